// What reading ten thousand snapshots of a directory costs the commands that read it, and those that read only what is remembered:
// the time of a processor, which says more on a machine that others use too, the time by the clock, and the most memory.
//
//   npm run build && node test/bench/catalogue-scale.ts [--days 417] [--times 3] [--program dist/main.js]

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { furnish } from '../support/furnished-instance.ts';
import { holding, statusFacts, timetable, yearOfRuns } from '../support/status-facts.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const commands = [['health'], ['status'], ['list'], ['prune', '--dry-run']];
const { values } = parseArgs({
  options: {
    days: { type: 'string', default: '417' },
    times: { type: 'string', default: '3' },
    program: { type: 'string', default: join(checkout, 'dist/main.js') },
  },
});
const preloads = ['../support/clock-ahead-preload.ts', './processor-probe.mjs'].map(
  (file) => `--import=${fileURLToPath(new URL(file, import.meta.url))}`,
);

using folder = temporaryDirectory();
const plan = { ...timetable, schedules: { ...timetable.schedules, hourly: '0 * * * *' } };
const runs = yearOfRuns(Number(values.days), plan);
const furnished = await furnish(folder.path, statusFacts({ timetable: plan, stores: [holding(runs)] }));
const environment = {
  PATH: process.env['PATH'],
  ...furnished,
  // Nobody answers there: retention goes without knowing the server.
  DB_HOST: '127.0.0.1',
  DB_PORT: '9',
  DB_NAME: 'mastodon_production',
  DB_USER: 'mastodon',
  BACKUP_SCHEDULE_HOURLY: '0 * * * *',
  BACKUP_KEEP_HOURLY: 'all',
  BENCH_PROCESSOR_FILE: join(folder.path, 'figures'),
};

console.log(`${runs.length} snapshots`);
for (const command of commands) {
  const all = Array.from({ length: Number(values.times) }, () => measure(command)).toSorted(
    (a, b) => a.usedMs - b.usedMs,
  );
  const middle = all[Math.floor(all.length / 2)];
  if (middle === undefined) continue;
  console.log(
    `${command.join(' ').padEnd(16)} ${middle.usedMs} ms of a processor, ${middle.tookMs} ms, ${middle.mostMiB} MiB`,
  );
}

function measure(command: readonly string[]): {
  readonly usedMs: number;
  readonly mostMiB: number;
  readonly tookMs: number;
} {
  const startedAt = performance.now();
  const { stdout, stderr } = spawnSync(process.execPath, [...preloads, values.program, ...command], {
    env: environment,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const tookMs = Math.round(performance.now() - startedAt);
  if (stdout === '') throw new Error(`${command.join(' ')} has said nothing: ${stderr.slice(0, 2_000)}`);
  const figures = JSON.parse(readFileSync(environment.BENCH_PROCESSOR_FILE, 'utf8')) as {
    readonly usedMs: number;
    readonly mostMiB: number;
  };
  return { ...figures, tookMs };
}
