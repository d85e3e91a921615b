// What the status page of ten thousand snapshots costs a daemon: how long a page takes, and what fifty
// requests a second for half a minute do to it, while database and destination are gone: neither is asked.
//
//   node test/bench/status-page.ts [--seconds 30] [--days 417]

import { readFileSync, renameSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Status } from '../../src/status/status.ts';
import { databaseEnvironment, startCommand } from '../support/command.ts';
import { furnish } from '../support/furnished-instance.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { holding, now, statusFacts, timetable, yearOfRuns } from '../support/status-facts.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const perSecond = 50;
const paths = ['/', '/?hold', '/healthz', '/metrics'];
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '30' }, days: { type: 'string', default: '417' } },
});
const preload = fileURLToPath(new URL('../support/clock-ahead-preload.ts', import.meta.url));

using folder = temporaryDirectory();
const plan = { ...timetable, schedules: { ...timetable.schedules, hourly: '0 * * * *' } };
const runs = yearOfRuns(Number(values.days), plan);
const furnished = await furnish(folder.path, statusFacts({ timetable: plan, stores: [holding(runs)] }));
const server = await startPostgres({ major: 15 });
await server.createDatabase('mastodon_production');
const daemon = startCommand(['daemon'], {
  ...databaseEnvironment(server.mastodon('mastodon_production')),
  ...furnished,
  BACKUP_SCHEDULE_HOURLY: '0 * * * *',
  BACKUP_KEEP_HOURLY: 'all',
  NODE_OPTIONS: `--import=${preload}`,
});
const url = `http://127.0.0.1:${furnished['BACKUP_HTTP_PORT']}`;

const status = async (): Promise<Status> => (await (await fetch(`${url}/status.json`)).json()) as Status;
async function timed(path: string): Promise<number> {
  const startedAt = performance.now();
  const response = await fetch(`${url}${path}`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${path} was answered with ${response.status}: ${text.slice(0, 2_000)}`);
  return performance.now() - startedAt;
}
function residentMiB(): number {
  const [, pages = '0'] = readFileSync(`/proc/${daemon.child.pid}/statm`, 'utf8').split(' ');
  return Math.round((Number(pages) * 4_096) / 2 ** 20);
}
/** What the daemon has used of a processor: on a machine that others use too, more is said by it than by a clock. */
function processorMs(): number {
  const ticks = readFileSync(`/proc/${daemon.child.pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(ticks[11]) + Number(ticks[12])) * 10;
}
const round = (ms: number): string => `${ms.toFixed(0)} ms`;

// Until then pages are made of what was remembered.
await daemon.saw('Serving the status page');
await until('the catalogue is read', {
  seconds: 120,
  look: async () => (await status()).destinations.every(({ readAt }) => Date.parse(readAt ?? '') >= now.getTime()),
});
let used = processorMs();
async function page(): Promise<string> {
  const tookMs = await timed('/');
  const before = used;
  used = processorMs();
  return `${round(tookMs)} (${round(used - before)} of a processor)`;
}
console.log(`${runs.length} snapshots; a first page: ${await page()}`);
const later: string[] = [];
for (let count = 0; count < 10; count += 1) {
  // Longer than a page is kept for others.
  await sleep(1_100);
  used = processorMs();
  later.push(await page());
}
console.log(`a later page, made anew: ${later.join(', ')}`);

await server[Symbol.asyncDispose]();
renameSync(`${folder.path}/backups`, `${folder.path}/away`);
const memory = [residentMiB()];
used = processorMs();
const took: number[] = [];
const all: Promise<void>[] = [];
let refused = 0;
async function attempt(path: string): Promise<void> {
  try {
    took.push(await timed(path));
  } catch {
    refused += 1;
  }
}
const beginAt = performance.now();
for (let count = 0; count < Number(values.seconds) * perSecond; count += 1) {
  await sleep(Math.max(0, beginAt + (count * 1_000) / perSecond - performance.now()));
  all.push(attempt(paths[count % paths.length] ?? '/'));
  if (count % (perSecond * 5) === perSecond * 5 - 1) memory.push(residentMiB());
}
await Promise.all(all);
const sorted = took.toSorted((a, b) => a - b);
const at = (share: number): string => round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
console.log(
  `${took.length} requests (${refused} more were refused) in ${((performance.now() - beginAt) / 1_000).toFixed(1)} s: half within ${at(0.5)}, 99 % within ${at(0.99)}, all within ${at(1)}`,
);
console.log(`of a processor it used ${round(processorMs() - used)}`);
console.log(`memory, every five seconds: ${memory.join(', ')} MiB`);
const { destinations } = await status();
console.log(
  `without database and destination it says: ${destinations[0]?.count} snapshots, error ${destinations[0]?.error}`,
);
daemon.killGroup('SIGTERM');
await daemon.result;
