// What reading ten thousand snapshots of a directory, or of a bucket, costs the commands that read it, and those that read only what
// is remembered: the time of a processor, which says more on a machine that others use too, the time by the clock, the most memory,
// and the requests to the bucket. The first time nothing is remembered of the manifests; each other time they are.
//
//   npm run build && node test/bench/catalogue-scale.ts [--place bucket] [--signed] [--days 417] [--tables 115] [--times 5] [--program dist/main.js]

import { spawn } from 'node:child_process';
import { globSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { noSigning, toSigningSettings } from '../../src/config/signing-keys.ts';
import { createSigningKey, parsePrivateKey } from '../../src/config/ssh-keys.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { furnish } from '../support/furnished-instance.ts';
import { startS3 } from '../support/s3-server.ts';
import { holding, statusFacts, timetable, yearOfRuns } from '../support/status-facts.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { imageEnvironment } from './image-environment.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const commands = [['health'], ['status'], ['list'], ['prune', '--dry-run']];
const { values } = parseArgs({
  options: {
    place: { type: 'string', default: 'directory' },
    signed: { type: 'boolean', default: false },
    days: { type: 'string', default: '417' },
    tables: { type: 'string', default: '115' },
    times: { type: 'string', default: '5' },
    program: { type: 'string', default: join(checkout, 'dist/main.js') },
  },
});
// By the clock of this machine: files that seem to be of the future are not known again.
const probe = `--import=${fileURLToPath(new URL('./processor-probe.mjs', import.meta.url))}`;

using folder = temporaryDirectory({ on: 'disk' });
const plan = { ...timetable, schedules: { ...timetable.schedules, hourly: '0 * * * *' } };
const isBucket = values.place === 'bucket';
const ofYear = yearOfRuns(Number(values.days), plan);
// What is in a directory has no content, and what is in a bucket is sent there.
const runs = isBucket ? ofYear.map((run) => ({ ...run, objectBytes: 7 })) : ofYear;
const { file: keyFile } = createSigningKey('bench');
const signing = values.signed ? toSigningSettings({ key: parsePrivateKey(keyFile), others: [] }) : noSigning;
const facts = statusFacts({ timetable: plan, stores: [holding(runs)] });
const furnished: Readonly<Record<string, string>> = await furnish(folder.path, facts, {
  tables: Number(values.tables),
  signing,
});
await using s3 = await startS3();
const { BACKUP_LOCAL_DIR: directory = '', ...others } = furnished;
if (isBucket) await send(directory);
const environment = {
  PATH: process.env['PATH'],
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
  ...others,
  ...(isBucket ? s3.environment : { BACKUP_LOCAL_DIR: directory }),
  ...(values.signed ? { BACKUP_SIGNING_KEY: keyFile } : {}),
  ...imageEnvironment,
  // Nobody answers there: retention goes without knowing the server.
  DB_HOST: '127.0.0.1',
  DB_PORT: '9',
  DB_NAME: 'mastodon_production',
  DB_USER: 'mastodon',
  BACKUP_SCHEDULE_HOURLY: '0 * * * *',
  BACKUP_KEEP_HOURLY: 'all',
  BENCH_PROCESSOR_FILE: join(folder.path, 'figures'),
};

console.log(`${runs.length} snapshots in a ${values.place}${values.signed ? ', signed' : ''}`);
for (const command of commands) {
  for (const file of globSync(join(folder.path, 'state/manifests-*'))) rmSync(file);
  const first = await measure(command);
  const all = [];
  for (let at = 0; at < Number(values.times); at += 1) all.push(await measure(command));
  const middle = all.toSorted((a, b) => a.tookMs - b.tookMs)[Math.floor(all.length / 2)];
  for (const [name, one] of [['first', first] as const, ['then', middle] as const]) {
    if (one === undefined) continue;
    const figures = `${one.usedMs} ms of a processor, ${one.tookMs} ms, ${one.mostMiB} MiB, ${one.requests} requests`;
    console.log(`${command.join(' ').padEnd(16)} ${name.padEnd(6)} ${figures}`);
  }
}
const remembered = globSync(join(folder.path, 'state/manifests-*')).map((file) => readFileSync(file).length);
console.log(`remembered in ${remembered.join(', ')} bytes`);

async function send(from: string): Promise<void> {
  const names = globSync('*/*', { cwd: from });
  const store = s3.store();
  const signal = AbortSignal.timeout(900_000);
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let name = names.pop(); name !== undefined; name = names.pop())
        await store.putDocument(name as ObjectKey, readFileSync(join(from, name)), { signal });
    }),
  );
}

async function measure(command: readonly string[]): Promise<{
  readonly usedMs: number;
  readonly mostMiB: number;
  readonly tookMs: number;
  readonly requests: number;
}> {
  s3.seen.length = 0;
  const startedAt = performance.now();
  const child = spawn(process.execPath, [probe, values.program, ...command], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  const tookMs = Math.round(performance.now() - startedAt);
  if (stdout === '') throw new Error(`${command.join(' ')} has said nothing: ${stderr.slice(0, 2_000)}`);
  const figures = JSON.parse(readFileSync(environment.BENCH_PROCESSOR_FILE, 'utf8')) as {
    readonly usedMs: number;
    readonly mostMiB: number;
  };
  return { ...figures, tookMs, requests: s3.seen.length };
}
