// What point-in-time recovery costs the database beside it, and how long a moment takes to come back.
//
//   npm run bench:pitr -- [--only load|burst|stop|slot|restore] [--major 15] [--store s3|directory] [--seconds 40] [--rounds 3]
//     [--megabytes-a-second 20] [--scale 70] [--day 240] [--encrypted] [--program dist/main.js]
//
// load     pgbench beside 20 MB of log a second, without and with the daemon, by turns: latency, how far it is behind, memory, processor
// burst    log as fast as the server writes it: memory, and how long the daemon needs to catch up
// stop     how long a fast stop of the server takes without the daemon, with it, and with its bucket down
// slot     what the server keeps for a daemon that is gone for good, and whether it goes on
// restore  a moment of a cluster of 1 GB behind the log of a day, part by part

import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { Client } from 'pg';
import type { MomentReport } from '../../src/app/moment-verb.ts';
import { createSigningKey } from '../../src/config/ssh-keys.ts';
import { runProcess, startCommand, type RunningCommand } from '../support/command.ts';
import { linkPrograms, testPassword, type ServerMajor } from '../support/postgres-server.ts';
import { startStockServer, type StockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import {
  behindBytes,
  catchUp,
  forget,
  peakOf,
  processorOf,
  recordOf,
  stateOf,
  stopFast,
  watchLag,
  type Watched,
} from './daemon-watch.ts';
import { imageEnvironment } from './image-environment.ts';
import { endOfLog, initialise, runLoad, writeLog, type Load } from './load.ts';
import { median } from './measured.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'load|burst|stop|slot|restore' },
    major: { type: 'string', default: '15' },
    store: { type: 'string', default: 's3' },
    seconds: { type: 'string', default: '40' },
    rounds: { type: 'string', default: '3' },
    'megabytes-a-second': { type: 'string', default: '20' },
    scale: { type: 'string', default: '70' },
    day: { type: 'string', default: '240' },
    encrypted: { type: 'boolean', default: false },
    program: { type: 'string', default: path.join(import.meta.dirname, '../../src/main.ts') },
  },
});
const major = Number(values.major) as ServerMajor;
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const megabyte = 1_000_000;
const mib = 1_048_576;
const clients = 4;
const identity = await generateX25519Identity();
const recipient = await identityToRecipient(identity);

/** A server on a disk that keeps what it confirms, and a place for backups of it. */
interface Ground extends AsyncDisposable, Watched {
  readonly server: StockServer;
  readonly folder: string;
  /** Ends the bucket. */
  readonly down: () => void;
}

async function prepare(scale: number, settings: Readonly<Record<string, string>> = {}): Promise<Ground> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryDirectory({ on: 'disk' })).path;
  chmodSync(folder, 0o711);
  const server = stack.use(
    await startStockServer(major, {
      on: 'disk',
      settings: { fsync: 'on', shared_buffers: '256MB', max_wal_size: '1GB', ...settings },
    }),
  );
  await initialise(server.superuser(), scale);
  const backups = path.join(folder, 'backups');
  mkdirSync(backups);
  const bucket = values.store === 's3' ? await startBucket() : null;
  stack.defer(() => bucket?.down());
  const control = new Client({ ...server.superuser(), ssl: false });
  control.on('error', () => undefined);
  await control.connect();
  stack.defer(async () => control.end().catch(() => undefined));
  const owned = stack.move();
  return {
    server,
    folder,
    control,
    down: () => bucket?.down(),
    environment: {
      ...(bucket?.environment ?? { BACKUP_LOCAL_DIR: backups }),
      LOCAL_DOMAIN: 'example.social',
      DB_HOST: server.address,
      DB_PORT: String(server.port),
      DB_NAME: 'postgres',
      DB_USER: 'postgres',
      DB_PASS: testPassword,
      BACKUP_PG_BIN: linkPrograms(path.join(folder, 'bin'), major),
      BACKUP_STATE_DIR: path.join(folder, 'state'),
      BACKUP_SCRATCH_DIR: path.join(folder, 'scratch'),
      BACKUP_SCHEDULE_DAILY: 'off',
      BACKUP_SCHEDULE_WEEKLY: 'off',
      BACKUP_SCHEDULE_MONTHLY: 'off',
      BACKUP_SCHEDULE_DRILL: 'off',
      // The first backup of a new instance is not what is measured.
      BACKUP_COMPRESSION: 'none',
      BACKUP_PITR: 'on',
      ...imageEnvironment,
      NODE_OPTIONS: '--max-semi-space-size=2',
      ...(values.encrypted
        ? { BACKUP_AGE_RECIPIENTS: recipient, BACKUP_SIGNING_KEY: createSigningKey('bench').file }
        : {}),
    },
    [Symbol.asyncDispose]: async () => owned.disposeAsync(),
  };
}

async function startBucket(): Promise<{ readonly environment: Record<string, string>; readonly down: () => void }> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'bucket.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  process.once('exit', () => void child.kill('SIGKILL'));
  const line = await new Promise<string>((resolve) => {
    child.stdout.setEncoding('utf8').once('data', resolve);
  });
  return { environment: JSON.parse(line) as Record<string, string>, down: () => void child.kill('SIGKILL') };
}

/** A daemon that follows the log and has nothing else to do: what the first backup and base took, one before it did. */
async function startDaemon(ground: Ground): Promise<RunningCommand> {
  if ((await recordOf(ground.environment))?.base === undefined) {
    await using first = await startFollowing(ground);
    process.stderr.write(`the first backup and base took ${peakOf(first.child.pid).toFixed(0)} MiB\n`);
  }
  return startFollowing(ground);
}

async function startFollowing({ environment, control }: Ground): Promise<RunningCommand> {
  const startedAt = Date.now();
  const daemon = startCommand(['daemon'], environment, { program: values.program });
  for (;;) {
    if (daemon.child.exitCode !== null) throw new Error((await daemon.result).stderr);
    const record = await recordOf(environment);
    const { running } = await stateOf(environment).readAttempts();
    const hasBase = record?.base !== null && record?.base !== undefined;
    const isFresh = Date.parse(record?.following?.at ?? '') > startedAt;
    if (hasBase && isFresh && running === null && (await behindBytes(control, record)) < mib) return daemon;
    await sleep(200);
  }
}

function say(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n\n`);
}

async function benchLoad(): Promise<void> {
  await using ground = await prepare(20);
  const { server, folder } = ground;
  const rate = Number(values['megabytes-a-second']) * megabyte;
  const run = async (): Promise<Load & { readonly logRate: number }> => {
    const stop = new AbortController();
    const log = writeLog(server.superuser(), { bytesPerSecond: rate, signal: stop.signal });
    const load = await runLoad(server.superuser(), { seconds, clients, folder });
    stop.abort();
    return { ...load, logRate: (await log).bytesPerSecond };
  };
  await run();
  const without: Awaited<ReturnType<typeof run>>[] = [];
  const beside: Awaited<ReturnType<typeof run>>[] = [];
  const daemon_: {
    readonly peak: number;
    readonly cpu: number;
    readonly bytes: number;
    readonly age: number;
    readonly after: number;
  }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    without.push(await run());
    await using daemon = await startDaemon(ground);
    const { pid } = daemon.child;
    forget(pid);
    const cpu = processorOf(pid);
    const stop = new AbortController();
    const lag = watchLag(ground, stop.signal);
    beside.push(await run());
    stop.abort();
    const { bytes, seconds: age } = await lag;
    const took = (processorOf(pid) - cpu) / seconds;
    daemon_.push({ peak: peakOf(pid), cpu: took, bytes: bytes / megabyte, age, after: await catchUp(ground) });
  }
  const row = (name: string, of: readonly (Load & { readonly logRate: number })[]): string =>
    `| ${name} | ${of.map(({ medianMs }) => medianMs.toFixed(2)).join(', ')} | ${of.map(({ p99Ms }) => p99Ms.toFixed(1)).join(', ')} | ${of.map(({ perSecond }) => perSecond.toFixed(0)).join(', ')} | ${of.map(({ logRate }) => (logRate / megabyte).toFixed(1)).join(', ')} |`;
  const ratio = median(beside.map(({ medianMs }, round) => medianMs / (without[round]?.medianMs ?? Number.NaN)));
  const all = (pick: (one: (typeof daemon_)[number]) => number, digits = 1): string =>
    daemon_.map((one) => pick(one).toFixed(digits)).join(', ');
  say([
    `pgbench with ${clients} clients, ${seconds} s a turn, ${values.store}${values.encrypted ? ', encrypted and signed' : ''}, PostgreSQL ${major}:`,
    '| | median, ms | 99th percentile, ms | transactions a second | log, MB a second |',
    '|---|---|---|---|---|',
    row('without', without),
    row('with', beside),
    `median latency: ${ratio.toFixed(2)} times`,
    `the daemon: peak ${all(({ peak }) => peak, 0)} MiB; ${all(({ cpu }) => cpu, 2)} of a core; at most ${all(({ bytes }) => bytes)} MB and ${all(({ age }) => age)} s behind; all stored ${all(({ after }) => after)} s after the end`,
  ]);
}

async function benchBurst(): Promise<void> {
  await using ground = await prepare(1, { max_wal_size: '4GB' });
  await using daemon = await startDaemon(ground);
  const { pid } = daemon.child;
  forget(pid);
  const stop = new AbortController();
  const lag = watchLag(ground, stop.signal);
  const log = writeLog(ground.server.superuser(), { bytesPerSecond: null, signal: stop.signal });
  await sleep(30_000);
  stop.abort();
  const rate = (await log).bytesPerSecond;
  const { bytes } = await lag;
  const after = await catchUp(ground);
  say([
    `30 s of log as fast as the server writes it, ${(rate / megabyte).toFixed(0)} MB a second: the daemon was ${(bytes / megabyte).toFixed(0)} MB behind at most, had all of it ${after.toFixed(1)} s after the end, and held ${peakOf(pid).toFixed(0)} MiB at most`,
  ]);
}

async function benchStop(): Promise<void> {
  const took = { without: [] as number[], with: [] as number[], down: [] as number[] };
  for (let round = 0; round < rounds; round += 1)
    for (const way of ['without', 'with', 'down'] as const) {
      await using ground = await prepare(5);
      const { server, folder, control } = ground;
      await using _daemon = way === 'without' ? null : await startDaemon(ground);
      await control.query('checkpoint');
      if (way === 'down') ground.down();
      const stop = new AbortController();
      const log = writeLog(server.superuser(), { bytesPerSecond: 20 * megabyte, signal: stop.signal }).catch(
        () => undefined,
      );
      await runLoad(server.superuser(), { seconds: 5, clients, folder });
      stop.abort();
      await log;
      await control.end();
      took[way].push(await stopFast(server));
    }
  const list = (of: readonly number[]): string => of.map((ms) => (ms / 1_000).toFixed(2)).join(', ');
  say([
    `a fast stop after 5 s of pgbench and 20 MB of log a second took: without us ${list(took.without)} s; with us ${list(took.with)} s; with us and the bucket down ${list(took.down)} s`,
  ]);
}

async function benchSlot(): Promise<void> {
  await using ground = await prepare(5, { max_wal_size: '256MB', min_wal_size: '80MB' });
  const { server, control } = ground;
  const limit = 512;
  const environment = { ...ground.environment, BACKUP_PITR_SLOT_LIMIT: `${limit}MiB` };
  {
    await using daemon = await startDaemon({ ...ground, environment });
    daemon.killGroup('SIGKILL');
    await daemon.result;
  }
  const stop = new AbortController();
  const log = writeLog(server.superuser(), { bytesPerSecond: 40 * megabyte, signal: stop.signal });
  let mostWal = 0;
  let mostKept = 0;
  let lostAfter: number | null = null;
  let status = '';
  const begin = await endOfLog(control);
  for (let look = 0; look < 240; look += 1) {
    const { rows } = await control.query<{ status: string; kept: string | null }>(
      'select wal_status as status, (pg_current_wal_lsn() - restart_lsn)::text as kept from pg_replication_slots',
    );
    const folder = path.join(server.data, 'pg_wal');
    const bytes = readdirSync(folder).reduce(
      (sum, name) => sum + (statSync(path.join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
    mostWal = Math.max(mostWal, bytes);
    status = rows[0]?.status ?? 'none';
    if (status !== 'lost') mostKept = Math.max(mostKept, Number(rows[0]?.kept ?? 0));
    else lostAfter ??= Number((await endOfLog(control)) - begin);
    await sleep(250);
  }
  stop.abort();
  const { bytesPerSecond } = await log;
  const { rows } = await control.query<{ one: number }>('select 1 as one');
  say([
    `the daemon killed for good, limit ${limit} MiB, ${(bytesPerSecond / megabyte).toFixed(0)} MB of log a second for a minute (max_wal_size 256 MB): the slot kept ${(mostKept / mib).toFixed(0)} MiB at most and was ${status} after ${lostAfter === null ? 'never' : `${(lostAfter / mib).toFixed(0)} MiB`}; pg_wal had ${(mostWal / mib).toFixed(0)} MiB at most; the server answers: ${rows[0]?.one === 1 ? 'yes' : 'NO'}`,
  ]);
}

async function benchRestore(): Promise<void> {
  await using ground = await prepare(Number(values.scale));
  const { server, folder, environment, control } = ground;
  const { rows } = await control.query<{ bytes: string }>("select pg_database_size('postgres')::text as bytes");
  let facts = '';
  {
    await using _daemon = await startDaemon(ground);
    const begin = await endOfLog(control);
    const load = await runLoad(server.superuser(), { seconds: Number(values.day), clients: 8, folder });
    const bytes = Number((await endOfLog(control)) - begin);
    facts = `${(Number(rows[0]?.bytes) / megabyte).toFixed(0)} MB, ${load.transactions} transactions (${(load.transactions / 86_400).toFixed(1)} a second for a day), ${(bytes / megabyte).toFixed(0)} MB of log`;
    await catchUp(ground);
  }
  const lines = [
    '| way | log read and checked | base fetched and unpacked | replayed | dumped | restored and checked | all |',
    '|---|---|---|---|---|---|---|',
  ];
  const key = path.join(folder, 'identity');
  writeFileSync(key, identity);
  const own = values.encrypted ? ['--identity', key] : [];
  const startedAt = performance.now();
  const done = await runProcess(['restore', '--at', 'latest', '--to-database', 'undo', '--json', ...own], environment, {
    program: values.program,
  });
  const all = (performance.now() - startedAt) / 1_000;
  if (done.status !== 0) throw new Error(done.stderr);
  const { moment, durationMs } = JSON.parse(done.stdout) as MomentReport;
  const s = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  lines.push(
    `| into a database | ${s(moment.stagedMs)}, ${moment.segments} segments | ${s(moment.unpackedMs)} | ${s(moment.replayedMs)} | ${s(moment.dumpedMs)} | ${s(durationMs)} | ${all.toFixed(1)} s |`,
  );
  say([`a moment of ${facts}; ${values.store}, PostgreSQL ${major}:`, ...lines]);
}

// What was started ends with us.
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => process.exit(1));
const benches = { load: benchLoad, burst: benchBurst, stop: benchStop, slot: benchSlot, restore: benchRestore };
for (const [name, bench] of Object.entries(benches)) if (new RegExp(`^(${values.only})$`).test(name)) await bench();
