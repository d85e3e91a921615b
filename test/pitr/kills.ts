// `npm run test:kills -- [--major 15] [--kills 10] [--moments 5] [--seconds 20]`: what is lost when server and sidecar are killed at the same
// moment, at any moment, and whether a moment brings back exactly what was committed by then. A counter is written ten times a
// second; the newest that comes back is held against the last one that the server had confirmed.

import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { openApp } from '../support/app.ts';
import { startCommand } from '../support/command.ts';
import { askReplayed, bringBack } from '../support/pitr-replay.ts';
import { linkPrograms, testPassword, type ServerMajor } from '../support/postgres-server.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const { values } = parseArgs({
  options: {
    major: { type: 'string', default: '15' },
    kills: { type: 'string', default: '10' },
    moments: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '20' },
  },
});
const everyMs = 100;

interface Written {
  readonly counter: number;
  /** The server's clock after it had confirmed it, and before the next. */
  readonly at: string;
}

async function killOnce(
  major: ServerMajor,
  moments: number,
): Promise<{ lostMs: number; wrong: number; tried: number }> {
  using folder = temporaryDirectory();
  chmodSync(folder.path, 0o711);
  const directory = path.join(folder.path, 'backups');
  mkdirSync(directory);
  await using server = await startStockServer(major);
  const environment = {
    LOCAL_DOMAIN: 'example.social',
    DB_HOST: server.address,
    DB_PORT: String(server.port),
    DB_NAME: 'postgres',
    DB_USER: 'postgres',
    DB_PASS: testPassword,
    BACKUP_PG_BIN: linkPrograms(path.join(folder.path, 'bin'), major),
    BACKUP_LOCAL_DIR: directory,
    BACKUP_STATE_DIR: path.join(folder.path, 'state'),
    BACKUP_SCRATCH_DIR: path.join(folder.path, 'scratch'),
    BACKUP_SCHEDULE_DAILY: 'off',
    BACKUP_SCHEDULE_WEEKLY: 'off',
    BACKUP_SCHEDULE_MONTHLY: 'off',
    BACKUP_SCHEDULE_DRILL: 'off',
    BACKUP_PITR: 'on',
  };
  const daemon = startCommand(['daemon'], environment);
  await using app = openApp(environment);
  const client = new Client({ ...server.superuser(), ssl: false });
  client.on('error', () => undefined);
  await client.connect();
  await client.query('create table counters (counter int primary key)');
  await until('a base backup', {
    seconds: 60,
    async look() {
      const { chains } = await app.pitrStatus(AbortSignal.timeout(60_000));
      return chains.length > 0 && chains[0]?.restorableFrom !== null;
    },
  });
  const written: Written[] = [];
  const end = performance.now() + (Number(values.seconds) + Math.random() * 10) * 1_000;
  for (let counter = 1; performance.now() < end; counter += 1) {
    await client.query(`insert into counters values (${counter})`);
    const { rows } = await client.query<{ at: string }>(
      "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z' as at",
    );
    written.push({ counter, at: rows[0]?.at ?? '' });
    await sleep(everyMs);
  }
  process.kill(Number.parseInt(readFileSync(path.join(server.data, 'postmaster.pid'), 'utf8'), 10), 'SIGKILL');
  daemon.killGroup('SIGKILL');
  await daemon.result;
  await client.end().catch(() => undefined);

  const repository = createRepository(createLocalStore({ directory }));
  const scratch = path.join(folder.path, 'scratch');
  const newest = await newestOf(repository, { at: 'latest', major, directory: scratch });
  const last = written.at(-1);
  // None came back where they were killed before the first upload: all of them are lost.
  const back = written.find(({ counter }) => counter === newest.last) ?? written[0];
  const lostMs = Date.parse(last?.at ?? '') - Date.parse(back?.at ?? '');
  const stored = written.filter(({ counter }) => counter < newest.last);
  let wrong = newest.count === newest.last ? 0 : 1;
  let tried = 0;
  for (; tried < moments && stored.length > 0; tried += 1) {
    const one = stored[Math.floor(Math.random() * stored.length)];
    if (one === undefined) break;
    const found = await newestOf(repository, { at: one.at, major, directory: scratch });
    if (found.last !== one.counter || found.count !== one.counter) wrong += 1;
  }
  return { lostMs, wrong, tried };
}

async function newestOf(
  repository: Parameters<typeof bringBack>[0],
  options: Parameters<typeof bringBack>[1],
): Promise<{ readonly last: number; readonly count: number }> {
  await using back = await bringBack(repository, options);
  const [row] = await askReplayed(
    back,
    'select coalesce(max(counter), 0)::int as last, count(*)::int as count from public.counters',
  );
  return { last: Number(row?.['last']), count: Number(row?.['count']) };
}

const lost: number[] = [];
let isWrong = false;
for (let kill = 1; kill <= Number(values.kills); kill += 1) {
  const { lostMs, wrong, tried } = await killOnce(
    Number(values.major) as ServerMajor,
    kill === 1 ? Number(values.moments) : 0,
  );
  lost.push(lostMs);
  isWrong ||= wrong > 0;
  process.stdout.write(
    `PostgreSQL ${values.major}, kill ${kill}: ${(lostMs / 1_000).toFixed(1)} s lost, ${Math.floor(lostMs / 1_000)} values at one a second; ${tried} moments, ${wrong} wrong\n`,
  );
}
const longest = Math.max(...lost);
process.stdout.write(
  `PostgreSQL ${values.major}: at most ${(longest / 1_000).toFixed(1)} s lost in ${lost.length} kills\n`,
);
// The upload interval, and what was under way.
if (isWrong || !(longest <= 12_000)) process.exitCode = 1;
