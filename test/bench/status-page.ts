// What the status page of ten thousand snapshots costs a daemon: how long a page takes, and what fifty requests a second for half
// a minute do to it, some by clients that never take their answer, while database and destination are gone: neither is asked.
//
//   node test/bench/status-page.ts [--seconds 30] [--days 417] [--paths /,/status.json] [--hanging 20]

import { readFileSync, renameSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
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
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    days: { type: 'string', default: '417' },
    paths: { type: 'string', default: '/,/?hold,/healthz,/metrics,/status.json' },
    hanging: { type: 'string', default: '20' },
  },
});
const paths = values.paths.split(',');
const probe = fileURLToPath(new URL('memory-probe.mjs', import.meta.url));
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
  NODE_OPTIONS: `--import=${preload} --import=${probe}`,
  BENCH_MEMORY_FILE: join(folder.path, 'memory'),
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
/** What the daemon holds by now, in MiB. */
function memoryNow(): string {
  const last = readFileSync(join(folder.path, 'memory'), 'utf8').trimEnd().split('\n').at(-1) ?? '{}';
  return Object.entries(JSON.parse(last) as Readonly<Record<string, number>>)
    .map(([name, size]) => `${name} ${size}`)
    .join(', ');
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
console.log(`memory in MiB, before: ${memoryNow()}`);
const ends = new AbortController();
// They ask, read nothing, and ask again when they are thrown out.
function hang(): void {
  const socket = connect(Number(furnished['BACKUP_HTTP_PORT']), '127.0.0.1', () =>
    socket.write('GET /status.json HTTP/1.1\r\nhost: localhost\r\n\r\n'),
  );
  socket.pause();
  socket.on('error', () => undefined);
  socket.on('close', () => !ends.signal.aborted && setTimeout(hang, 100).unref());
  ends.signal.addEventListener('abort', () => socket.destroy());
}
for (let count = 0; count < Number(values.hanging); count += 1) hang();
used = processorMs();
const took: number[] = [];
const all: Promise<void>[] = [];
const refused = new Map<string, number>();
async function attempt(path: string): Promise<void> {
  try {
    took.push(await timed(path));
  } catch (error) {
    const { cause } = error as Error;
    const why = `${path}: ${cause instanceof Error ? cause.message : String(error)}`;
    refused.set(why, (refused.get(why) ?? 0) + 1);
  }
}
const beginAt = performance.now();
for (let count = 0; count < Number(values.seconds) * perSecond; count += 1) {
  await sleep(Math.max(0, beginAt + (count * 1_000) / perSecond - performance.now()));
  all.push(attempt(paths[count % paths.length] ?? '/'));
  if (count % (perSecond * 10) === perSecond * 10 - 1)
    console.log(`  after ${(count + 1) / perSecond} s: ${memoryNow()}`);
}
await Promise.all(all);
ends.abort();
const sorted = took.toSorted((a, b) => a - b);
const at = (share: number): string => round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
console.log(
  `${took.length} requests (refused: ${refused.size === 0 ? 'none' : JSON.stringify(Object.fromEntries(refused))}) in ${((performance.now() - beginAt) / 1_000).toFixed(1)} s: half within ${at(0.5)}, 99 % within ${at(0.99)}, all within ${at(1)}`,
);
console.log(`of a processor it used ${round(processorMs() - used)}`);
await sleep(30_000);
console.log(`memory half a minute later: ${memoryNow()}`);
const { destinations } = await status();
console.log(
  `without database and destination it says: ${destinations[0]?.count} snapshots, error ${destinations[0]?.error}`,
);
daemon.killGroup('SIGTERM');
await daemon.result;
