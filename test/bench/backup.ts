// The classic script against this program, on one database and one S3 server, by turns: what each takes in time, processor, memory,
// disk and requests.
//
//   npm run bench -- [--megabytes 100] [--rounds 3] [--only REGEX] [--json FILE]

import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { execFileSync } from 'node:child_process';
import type { ObjectKey } from '../../src/storage/store.ts';
import { watchLocks } from './lock-watch.ts';
import { measure, median, type Measured } from './measured.ts';
import { builtProgram, openStage } from './stage.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});
const cores = availableParallelism();
const mib = 1_048_576;

await using stage = await openStage({ megabytes: Number(values.megabytes), user: 'mastodon' });
const { s3, programs, temporary } = stage;
const identity = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
const ours = { ...stage.ours, BACKUP_KEEP_DAILY: '1000', BACKUP_ALLOW_PLAINTEXT: 'true' };
const script = {
  ...stage.libpq,
  PGDATABASE: stage.connection.database,
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  AWS_DEFAULT_REGION: 'us-east-1',
};
const upload = (file: string): string =>
  `aws --endpoint-url ${s3.endpoint} s3 cp --only-show-errors ${file} s3://${s3.bucket}/script/${path.basename(file)}`;

interface Contender {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** With which of them it is compared; left out: the first. */
  readonly against?: string;
}

const shell = (name: string, text: string): Contender => ({
  name,
  file: '/bin/bash',
  args: ['--norc', '-c', `set -e -o pipefail; cd ${temporary}; ${text}`],
  env: script,
});
const program = (name: string, settings: Readonly<Record<string, string>>): Contender => ({
  name,
  file: process.execPath,
  args: [...builtProgram, 'run', 'daily', '--json'],
  env: { ...ours, ...settings },
});
const dump = `${programs}/pg_dump -Fc -Z 0`;
const classic = `${dump} | xz -T4 > dump.xz; ${upload('dump.xz')}`;
const wholeDay = 'script, a day of three tiers';
const contenders: readonly Contender[] = [
  shell('script, xz -T4', classic),
  shell(`script, xz -T${cores}`, `${dump} | xz -T${cores} > dump.xz; ${upload('dump.xz')}`),
  shell(`limit: xz -T${cores} of the dump`, `xz -T${cores} -c ../finished.dump > dump.xz`),
  program('xz, full', {}),
  program('xz, etag', { BACKUP_VERIFY: 'etag' }),
  program('xz, full, age', { BACKUP_AGE_RECIPIENTS: /age1\w+/.exec(identity)?.[0] ?? '' }),
  program('zstd, full', { BACKUP_COMPRESSION: 'zstd' }),
  program('none, full', { BACKUP_COMPRESSION: 'none' }),
  shell(wholeDay, [classic, classic, classic].join('; ')),
  {
    ...program('xz, full, a day of three tiers', {}),
    args: ['--max-semi-space-size=2', fileURLToPath(new URL('three-tiers.ts', import.meta.url))],
    against: wholeDay,
  },
].filter(({ name }) => new RegExp(values.only).test(name));
execFileSync('/bin/bash', ['--norc', '-c', `${dump} > ${stage.folder}/finished.dump`], { env: script });

interface Row extends Measured {
  readonly name: string;
  readonly temporaryBytes: number;
  readonly objectBytes: number;
  readonly requests: number;
  /** How long locks on tables were held, in seconds. */
  readonly lockSeconds: number;
}

await using locks = await watchLocks(stage.server.superuser(stage.connection.database));
const rows: Row[] = [];
for (let round = 1; round <= Number(values.rounds); round += 1) {
  for (const contender of contenders) {
    s3.seen.length = 0;
    locks.longest();
    const before = new Set(await s3.keys());
    const measured = await measure(contender.file, contender);
    if (measured.status !== 0) throw new Error(`${contender.name} ended with ${measured.status}: ${measured.stderr}`);
    const objects = (await s3.keys()).filter((key) => !before.has(key) && !key.endsWith('.json'));
    const left = readdirSync(temporary).filter((name) => name.endsWith('.xz'));
    const temporaryBytes = left.reduce((sum, name) => sum + statSync(path.join(temporary, name)).size, 0);
    const objectBytes = await sizeOf(objects);
    rows.push({
      name: contender.name,
      ...measured,
      temporaryBytes,
      objectBytes,
      requests: s3.seen.length,
      lockSeconds: locks.longest(),
    });
    for (const name of left) rmSync(path.join(temporary, name));
    const store = s3.store();
    for (const key of await s3.keys())
      if (!before.has(key)) await store.remove(key as ObjectKey, { signal: AbortSignal.timeout(60_000) });
    process.stderr.write(`round ${round}: ${contender.name}: ${measured.wallSeconds.toFixed(1)} s\n`);
  }
}

async function sizeOf(keys: readonly string[]): Promise<number> {
  let bytes = 0;
  for await (const object of s3.store().list('', { signal: AbortSignal.timeout(60_000) }))
    if (keys.includes(object.key)) bytes += object.bytes;
  return bytes;
}

const of = (name: string, value: (row: Row) => number): number =>
  median(rows.filter((row) => row.name === name).map(value));
const [first] = contenders;
const dumpBytes = statSync(path.join(stage.folder, 'finished.dump')).size;
const lines = [
  `${(dumpBytes / mib).toFixed(0)} MiB of dump, ${cores} cores, medians of ${values.rounds}`,
  '',
  '| what | seconds | ratio (lowest to highest) | processor seconds | peak memory, MiB | temporary, MiB | object, MiB | requests | locks held, s |',
  '|---|---:|---:|---:|---:|---:|---:|---:|---:|',
  ...contenders.map(({ name, against }) => {
    // Pairs of one round: the machine is another one in the next.
    const own = rows.filter((row) => row.name === name);
    const others = rows.filter((row) => row.name === (against ?? first?.name));
    const ratios = own.map((row, round) => row.wallSeconds / (others[round]?.wallSeconds ?? Number.NaN));
    const cells = [
      name,
      of(name, (row) => row.wallSeconds).toFixed(1),
      `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
      of(name, (row) => row.cpuSeconds).toFixed(1),
      (of(name, (row) => row.peakBytes) / mib).toFixed(0),
      (of(name, (row) => row.temporaryBytes) / mib).toFixed(1),
      (of(name, (row) => row.objectBytes) / mib).toFixed(1),
      of(name, (row) => row.requests).toFixed(0),
      of(name, (row) => row.lockSeconds).toFixed(1),
    ];
    return `| ${cells.join(' | ')} |`;
  }),
];
process.stdout.write(`${lines.join('\n')}\n`);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(rows, null, 2));
