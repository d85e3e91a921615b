// Point-in-time recovery as it is switched on: one setting, the daemon, and the commands.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../src/database/connection.ts';
import { renderStatus } from '../../src/cli/status-text.ts';
import { renderMetrics } from '../../src/http/metrics.ts';
import { statusPage } from '../../src/http/status-page.ts';
import { openApp } from '../support/app.ts';
import { startDaemon, type RunningDaemon } from '../support/daemon.ts';
import { freePort, linkPrograms, reachableBinaries, serverUser, testPassword } from '../support/postgres-server.ts';
import { startStockServer, type StockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const major = 15;
const stack = new AsyncDisposableStack();
const signal = new AbortController().signal;
let server: StockServer;
let environment: Readonly<Record<string, string>>;
let daemon: RunningDaemon;

const source = {
  from: null,
  instance: null,
  acceptUnsigned: false,
  identities: [],
  wait: true,
  signal,
  onProgress: () => undefined,
} as const;
const goal = {
  replace: false,
  jobs: 1,
  schemas: null,
  withoutExtensions: [],
  locale: null,
  owner: 'mastodon',
  createRole: false,
  ignoreSecrets: false,
} as const;

const plain = (text: string): string => text;

async function clock(): Promise<string> {
  const [row] = await server.query(
    "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') as now",
    'mastodon_production',
  );
  return `${String(row?.['now'])}Z`;
}

async function isStored(): Promise<void> {
  const [row] = await server.query("select (pg_current_wal_flush_lsn() - '0/0')::text as lsn");
  const wanted = BigInt(String(row?.['lsn']));
  await until('the log to be stored', {
    seconds: 30,
    async look() {
      const { following } = await daemon.app.pitrStatus(signal);
      const [high = '0', low = '0'] = (following?.storedTo ?? '0/0').split('/');
      return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`) >= wanted;
    },
  });
}

before(async () => {
  const folder = stack.use(temporaryDirectory());
  chmodSync(folder.path, 0o711);
  server = stack.use(await startStockServer(major));
  await server.createDatabase('mastodon_production');
  const backups = path.join(folder.path, 'backups');
  mkdirSync(backups);
  environment = {
    LOCAL_DOMAIN: 'example.social',
    DB_HOST: server.address,
    DB_PORT: String(server.port),
    DB_USER: 'postgres',
    DB_PASS: testPassword,
    BACKUP_PG_BIN: linkPrograms(path.join(folder.path, 'bin'), major),
    BACKUP_LOCAL_DIR: backups,
    BACKUP_STATE_DIR: path.join(folder.path, 'state'),
    BACKUP_SCRATCH_DIR: path.join(folder.path, 'scratch'),
    BACKUP_SCHEDULE_DAILY: 'off',
    BACKUP_SCHEDULE_WEEKLY: 'off',
    BACKUP_SCHEDULE_MONTHLY: 'off',
    BACKUP_SCHEDULE_DRILL: 'off',
    BACKUP_PITR: 'on',
    BACKUP_PITR_UPLOAD_EVERY: '1s',
  };
  daemon = stack.use(startDaemon(environment));
  await server.query(
    'create table counters (counter int primary key, at timestamptz default clock_timestamp())',
    'mastodon_production',
  );
});
after(async () => stack.disposeAsync());

describe('with BACKUP_PITR=on', () => {
  it('the daemon follows the log and makes a first base backup by itself', async () => {
    const status = await until('a base backup', {
      seconds: 60,
      async look() {
        const found = await daemon.app.pitrStatus(signal);
        return found.chains[0]?.restorableFrom === null || found.chains.length === 0 ? undefined : found;
      },
    });
    assert.equal(status.following?.slot?.status, 'reserved');
    assert.equal(status.following.slot.limitBytes, 2 * 1024 ** 3);
    assert.deepEqual(status.chains[0]?.gaps, []);
    assert.equal(status.chains[0]?.bases.length, 1);
  });

  it('health, metrics and the status say what moments can be had', async () => {
    const { pitr, warnings } = await until('the daemon to have looked', {
      seconds: 15,
      async look() {
        const found = await daemon.app.health();
        // It looks at the log and at the chain at moments of their own.
        const { restorableFrom = null, lagSeconds = null } = found.pitr ?? {};
        return restorableFrom === null || lagSeconds === null ? undefined : found;
      },
    });
    assert.deepEqual([pitr?.slot, warnings.filter((one) => /log|moment/i.test(one))], ['reserved', []]);
    assert.ok(Date.parse(pitr?.restorableTo ?? '') >= Date.parse(pitr?.restorableFrom ?? ''));
    const { text } = await renderMetrics(await daemon.app.remembered(), { toolVersion: '0' });
    assert.match(text, /^mastodon_backup_pitr_lag_seconds \d+$/m);
    assert.match(text, /^mastodon_backup_pitr_restorable_from_timestamp_seconds 1\d{9}/m);
    const status = await daemon.app.status();
    assert.match(renderStatus(status, { columns: 100, paint: plain }), /^Moments +every one from 20\d\d-/m);
    assert.match(statusPage(status, { refreshSeconds: null }), /<h2>Moments<\/h2>/);
  });

  it('doctor says that the log can be followed and what it costs, and of a role that may not what to give it', async () => {
    const found = (await daemon.app.doctor(signal)).filter(({ check }) => /recovery|slot|replication/.test(check));
    assert.deepEqual(
      found.map(({ check, status }) => [check, status]),
      [
        ['point-in-time recovery', 'ok'],
        ['slot limit', 'ok'],
      ],
    );
    await using plainRole = openApp({ ...environment, DB_USER: 'mastodon' });
    const refused = (await plainRole.doctor(signal)).find(({ check }) => check === 'point-in-time recovery');
    assert.equal(refused?.status, 'problem');
    assert.match(refused.remedy ?? '', /ALTER ROLE "mastodon" REPLICATION/);
  });

  it('a moment becomes a new database of the running server, with exactly what was there then', async () => {
    const marks: { at: string; counter: number }[] = [];
    for (let counter = 1; counter <= 6; counter += 1) {
      await server.query(`insert into counters values (${counter})`, 'mastodon_production');
      await sleep(30);
      marks.push({ at: await clock(), counter });
      await sleep(30);
    }
    await isStored();
    const { at = '', counter } = marks[3] ?? {};
    const report = await daemon.app.restoreMoment({ ...source, ...goal, at, database: 'undo' });
    const [row] = await server.query('select max(counter) as last, count(*)::int as count from counters', 'undo');
    assert.deepEqual(row, { last: counter, count: counter });
    const [live] = await server.query('select max(counter) as last from counters', 'mastodon_production');
    assert.deepEqual(live, { last: 6 });
    assert.match(report.snapshot, /^pitr\//);
    assert.equal(report.database, 'undo');
    assert.ok(
      (report.moment.lastTransactionAt ?? '') < at.replace('Z', '+00'),
      String(report.moment.lastTransactionAt),
    );
  });

  it('a moment becomes a data directory that the same PostgreSQL replays by itself, and none that is not empty', async () => {
    const [row] = await server.query('select max(counter) as last from counters', 'mastodon_production');
    const directory = path.join(path.dirname(server.data), 'brought-back');
    const made = await daemon.app.layOutMoment({ ...source, at: 'latest', directory });
    assert.equal(made.serverMajor, major);
    await assert.rejects(daemon.app.layOutMoment({ ...source, at: 'latest', directory }), /is not empty/);
    if (serverUser.uid !== undefined) execFileSync('chown', ['-R', `${serverUser.uid}:${serverUser.gid}`, directory]);
    const port = await freePort();
    const child = spawn(
      path.join(reachableBinaries(major), 'bin/postgres'),
      ['-D', directory, '-c', `port=${port}`, '-c', `unix_socket_directories=${path.dirname(server.data)}`],
      { ...serverUser, stdio: 'ignore', env: { LC_ALL: 'C' } },
    );
    const closed = new Promise((resolve) => child.once('close', resolve));
    try {
      const last = await until('it to be promoted', {
        seconds: 30,
        async look() {
          assert.equal(child.exitCode, null);
          const settings = { ...server.superuser('mastodon_production'), port };
          await using client = await connect(settings, signal).catch(() => null);
          const { rows } =
            (await client?.query(
              'select pg_is_in_recovery() as recovers, max(counter) as last from public.counters',
            )) ?? {};
          return rows?.[0]?.recovers === false ? (rows[0].last as unknown) : undefined;
        },
      });
      assert.equal(last, row?.['last']);
    } finally {
      child.kill('SIGQUIT');
      await closed;
    }
  });

  it('a moment that cannot be had is refused in words, and leaves no database', async () => {
    const early = { ...source, ...goal, at: '2020-01-01 00:00:00Z', database: 'never' };
    await assert.rejects(daemon.app.restoreMoment(early), /the first moment that can be had is/);
    const late = { ...early, at: '2099-01-01 00:00:00Z' };
    await assert.rejects(daemon.app.restoreMoment(late), /after the last transaction that is stored/);
    assert.deepEqual(await server.query("select 1 from pg_database where datname = 'never'"), []);
  });

  it('where several instances share a place it asks which one, and takes no other for it', async () => {
    const pitr = path.join(environment['BACKUP_LOCAL_DIR'] ?? '', 'pitr');
    const [system = ''] = readdirSync(pitr);
    const other = path.join(pitr, '7');
    cpSync(path.join(pitr, system, 'base'), path.join(other, 'base'), { recursive: true });
    try {
      for (const name of readdirSync(path.join(other, 'base')).filter((one) => one.endsWith('.json'))) {
        const file = path.join(other, 'base', name);
        const text = readFileSync(file, 'utf8').replace(system, '7').replace('example.social', 'other.social');
        writeFileSync(file, text);
      }
      const request = { ...source, ...goal, at: '2020-01-01 00:00:00Z', database: 'never' };
      await assert.rejects(daemon.app.restoreMoment(request), /several instances: example.social, other.social/);
      const ours = { ...request, instance: 'example.social' };
      await assert.rejects(daemon.app.restoreMoment(ours), /the first moment that can be had is/);
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  it('the newest moment is drilled like a snapshot, and what came of it is remembered', async () => {
    const drilled = await daemon.app.drillMoment(source);
    assert.equal(drilled.status, 'passed', JSON.stringify(drilled.checks));
    assert.ok(drilled.moment !== null && drilled.checks.some(({ check }) => check === 'rows'));
    assert.equal(
      (await daemon.app.health()).warnings.filter((one) => /drill of the newest moment/.test(one)).length,
      0,
    );
  });

  it('a base backup by hand needs nobody but the daemon, and none is made where the log is not followed', async () => {
    const report = await daemon.app.pitrBase({ wait: true, signal, onProgress: () => undefined });
    const { chains } = await daemon.app.pitrStatus(signal);
    assert.equal(chains[0]?.bases[0]?.id, report.id);
    await using off = openApp({ ...environment, BACKUP_PITR: 'off' });
    await assert.rejects(off.pitrBase({ wait: true, signal, onProgress: () => undefined }), /BACKUP_PITR is off/);
  });
});
