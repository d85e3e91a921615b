// What may befall a daemon that runs for years: channels, buckets and state directories that go and come back, a bucket that
// others write into too. It goes on backing up, says what is wrong, and health tells the truth throughout.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Health } from '../../src/health/assess.ts';
import { startHttp } from '../../src/http/server.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { openApp } from '../support/app.ts';
import { runCommand } from '../support/command.ts';
import { startReceiver } from '../notify/receiver.ts';
import { startDaemon } from '../support/daemon.ts';
import { aManifest, dumpKey } from '../support/manifests.ts';
import { freePort } from '../support/postgres-server.ts';
import { healthOf, untilHealth } from '../support/health.ts';
import { until } from '../support/until.ts';
import { fixtureClient, startStage, type FaultStage } from './support.ts';

const signal = AbortSignal.timeout(1_800_000);
const never = '0 0 29 2 *';

describe('a daemon', () => {
  let stage: FaultStage;
  let names = 0;
  const usualTmp = process.env['TMPDIR'];
  before(async () => {
    stage = await startStage({ megabytes: 2 });
    // The place that is used instead of a state directory must not be the machine's own.
    const elsewhere = path.join(stage.scratch, 'tmp');
    mkdirSync(elsewhere);
    process.env['TMPDIR'] = elsewhere;
  });
  beforeEach(() => stage.s3.rule(() => ({ kind: 'pass' })));
  after(async () => {
    if (usualTmp === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = usualTmp;
    await stage[Symbol.asyncDispose]();
  });

  // A prefix and a state directory of its own for each test.
  const environmentOf = (more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => {
    names += 1;
    return {
      ...stage.environment,
      LOCAL_DOMAIN: 'social.example',
      BACKUP_S3_PREFIX: `test-${names}`,
      BACKUP_STATE_DIR: path.join(stage.scratch, `state-${names}`),
      BACKUP_SCHEDULE_DAILY: never,
      BACKUP_SCHEDULE_WEEKLY: 'off',
      BACKUP_SCHEDULE_MONTHLY: 'off',
      BACKUP_SCHEDULE_DRILL: 'off',
      ...more,
    };
  };
  // Health is right as soon as the backup counts; the run that made it ends a little later.
  const untilIdle = async (environment: Readonly<Record<string, string>>): Promise<void> => {
    await untilHealth('healthy, and no run', {
      environment,
      seconds: 30,
      wanted: ({ healthy, running }) => healthy && running === null,
    });
  };
  const snapshotsOf = async (environment: Readonly<Record<string, string>>) => {
    await using app = openApp(environment);
    return (await app.list({ tier: null, from: null, signal })).snapshots;
  };

  it('backs up although every channel is down, and names each of them in log and health', async () => {
    const down = `http://127.0.0.1:${await freePort()}`;
    const environment = environmentOf({
      BACKUP_WEBHOOK_URL: `${down}/hook/secret-part`,
      BACKUP_NTFY_URL: `${down}/topic`,
      BACKUP_DISCORD_WEBHOOK_URL: `${down}/discord`,
      BACKUP_SLACK_WEBHOOK_URL: `${down}/slack`,
      BACKUP_PING_URL: `${down}/ping`,
      BACKUP_EMAIL_TO: 'admin@social.example',
      SMTP_SERVER: '127.0.0.1',
      SMTP_PORT: down.split(':').at(-1) ?? '',
      SMTP_FROM_ADDRESS: 'mastodon@social.example',
    });
    await using daemon = startDaemon(environment);
    const health = await untilHealth('the channels in health', {
      environment,
      seconds: 60,
      wanted: ({ warnings }) => warnings.length >= 6,
    });
    assert.equal(health.status, 'degraded');
    for (const channel of ['webhook', 'ntfy', 'discord', 'slack', 'e-mail', 'ping'])
      assert.ok(
        health.warnings.some((text) => text.toLowerCase().includes(`messages by ${channel} fail`)),
        `${channel}: ${health.warnings.join(' | ')}`,
      );
    assert.match(daemon.said(), /ECONNREFUSED/);
    assert.doesNotMatch(daemon.said() + health.warnings.join(), /secret-part/);
    assert.equal((await snapshotsOf(environment)).length, 1);
  });

  it('serves while the bucket cannot be reached, says so, and backs up when it can', async () => {
    const environment = environmentOf();
    stage.s3.rule(() => ({ kind: 'answer', status: 403, code: 'AccessDenied' }));
    await using daemon = startDaemon(environment);
    await using http = await startHttp(daemon.app, {
      listen: null,
      port: 0,
      token: null,
      ownNames: [],
      toolVersion: '0',
    });
    const health = await untilHealth('the trouble in health', {
      environment,
      seconds: 20,
      wanted: ({ warnings }) => warnings.length > 0,
    });
    assert.equal(health.status, 'starting');
    assert.match(health.warnings.join(), /bucket 'backups'.*cannot be read: .*access is denied/);
    const served = await fetch(`http://127.0.0.1:${http.port}/healthz`);
    assert.equal(served.status, 503);
    assert.match(((await served.json()) as Health).warnings.join(), /access is denied/);
    await until('what the daemon waits for', {
      seconds: 20,
      look: async () =>
        /what is stored cannot be read. It is looked at again (?:in|at)/.test(
          (await daemon.app.status()).verdict.detail,
        ),
    });
    await until('a second try', {
      seconds: 20,
      look: async () => daemon.said().split('A destination cannot be read').length > 2,
    });
    stage.s3.rule(() => ({ kind: 'pass' }));
    await untilHealth('healthy', { environment, seconds: 30, wanted: ({ status }) => status === 'healthy' });
    assert.equal((await fetch(`http://127.0.0.1:${http.port}/healthz`)).status, 200);
  });

  it('says of settings with which no run can begin that it is tried again, and when', async () => {
    const environment = environmentOf({ BACKUP_MEMORY_LIMIT: '16MiB' });
    await using daemon = startDaemon(environment, { firstSetbackMs: 60_000 });
    await until('the verdict', {
      seconds: 20,
      look: async () => {
        const { verdict, failures } = await daemon.app.status();
        const isSaid = /What was tried has failed; .* The next is tried in \S+ \w+\./.test(verdict.detail);
        return isSaid && verdict.headline === 'There is no backup' && failures.length === 1;
      },
    });
  });

  it('tells people of a revoked key once, goes on trying, and tells them when it fails for another reason', async () => {
    await using receiver = await startReceiver();
    const environment = environmentOf({
      BACKUP_WEBHOOK_URL: `${receiver.url}/hook`,
      BACKUP_PING_URL: `${receiver.url}/ping`,
    });
    const countOf = (where: string): number => receiver.received.filter((one) => one.path === where).length;
    const refuse = (code: string): void =>
      stage.s3.rule(({ method }) =>
        method === 'PUT' || method === 'POST' ? { kind: 'answer', status: 403, code } : { kind: 'pass' },
      );
    refuse('InvalidAccessKeyId');
    try {
      await using _daemon = startDaemon(environment, { firstSetbackMs: 50 });
      await until('three tries', { seconds: 60, look: async () => countOf('/ping/fail') >= 3 });
      assert.equal(countOf('/hook'), 1, 'told once');
      refuse('QuotaExceeded');
      await until('the other reason', { seconds: 60, look: async () => countOf('/hook') > 1 });
    } finally {
      stage.s3.rule(() => ({ kind: 'pass' }));
    }
    const told = receiver.received.filter((one) => one.path === '/hook').map(({ body }) => body);
    assert.match(told[0] ?? '', /access key id is unknown/);
    assert.match(told[1] ?? '', /storage is full/);
  });

  it('tells people of it again where the message did not reach them', async () => {
    await using receiver = await startReceiver();
    receiver.answer({ status: 400 });
    const environment = environmentOf({
      BACKUP_WEBHOOK_URL: `${receiver.url}/hook`,
      BACKUP_PING_URL: `${receiver.url}/ping`,
    });
    const countOf = (where: string): number => receiver.received.filter((one) => one.path === where).length;
    stage.s3.rule(({ method }) =>
      ['PUT', 'POST'].includes(method) ? { kind: 'answer', status: 403, code: 'InvalidAccessKeyId' } : { kind: 'pass' },
    );
    try {
      await using _daemon = startDaemon(environment, { firstSetbackMs: 20 });
      await until('a second message', { seconds: 60, look: async () => countOf('/hook') > 1 });
      receiver.answer({ status: 200 });
      const [told, tried] = [countOf('/hook'), countOf('/ping/fail')];
      await until('two tries more', { seconds: 60, look: async () => countOf('/ping/fail') > tried + 1 });
      assert.ok(countOf('/hook') <= told + 1, 'told once');
    } finally {
      stage.s3.rule(() => ({ kind: 'pass' }));
    }
  });

  it('backs up although its HTTP port is taken, names the service in health, and serves when the port is free', async () => {
    const port = await freePort();
    const taken = createServer();
    await new Promise<void>((resolve) => {
      taken.listen(port, resolve);
    });
    const environment = environmentOf({ BACKUP_HTTP_PORT: String(port) });
    await using daemon = startDaemon(environment, { firstSetbackMs: 200 });
    const health = await untilHealth('a backup, and the service in health', {
      environment,
      seconds: 60,
      wanted: ({ status }) => status === 'degraded',
    });
    assert.match(
      health.warnings.join(),
      /The service 'http' died and is started again: Port \d+ cannot be served: .*EADDRINUSE/,
    );
    assert.equal((await snapshotsOf(environment)).length, 1);
    await new Promise((resolve) => taken.close(resolve));
    await until('the status over HTTP', {
      seconds: 60,
      look: async () =>
        fetch(`http://127.0.0.1:${port}/healthz`).then(
          ({ status }) => status === 200,
          () => false,
        ),
    });
    assert.doesNotMatch(daemon.said(), /The scheduled backup failed/);
  });

  it('ends well when it is told to while it looks at a bucket that hangs', async () => {
    stage.s3.rule(() => ({ kind: 'hang' }));
    const seen = stage.s3.seen.length;
    const daemon = startDaemon(environmentOf());
    await until('a question to the bucket', { seconds: 20, look: async () => stage.s3.seen.length > seen });
    await daemon[Symbol.asyncDispose]();
    stage.s3.rule(() => ({ kind: 'pass' }));
    assert.match(daemon.said(), /The daemon has ended/);
  });

  it('makes its own first backup beside manifests that are garbled, of a format to come or of another instance, and leaves those alone', async () => {
    const environment = environmentOf({ BACKUP_KEEP_DAILY: '1' });
    const prefix = `${environment['BACKUP_S3_PREFIX']}/`;
    const store = stage.s3.store();
    const other = aManifest({ dataAt: new Date(Date.now() - 3_600_000).toISOString(), instance: 'other.example' });
    const texts = {
      'daily/2026-01-07T000000Z-aaaaaa.json': '{"format":',
      'daily/2026-01-07T000000Z-aaaaaa.dump.xz': 'of the garbled one',
      'daily/2026-01-08T000000Z-bbbbbb.json': '{"format":2,"later":true}',
      'daily/2026-01-08T000000Z-bbbbbb.dump.xz': 'of the newer one',
      [`daily/${other.id}.json`]: JSON.stringify(other),
      [dumpKey(other)]: 'content',
    };
    for (const [key, text] of Object.entries(texts))
      await store.putDocument(`${prefix}${key}` as ObjectKey, Buffer.from(text), { signal });
    await using daemon = startDaemon(environment);
    await untilHealth('healthy', { environment, seconds: 30, wanted: ({ healthy }) => healthy });
    // Retention has had its turn, twice.
    await daemon.app.run({
      purpose: { kind: 'by hand', tier: 'daily' },
      wait: true,
      signal,
      onProgress: () => undefined,
    });
    const keys = await stage.s3.keys();
    for (const key of Object.keys(texts)) assert.ok(keys.includes(`${prefix}${key}`), `${key} is gone`);
    const own = (await snapshotsOf(environment)).filter(({ instance }) => instance === 'social.example');
    assert.equal(own.length, 1, 'KEEP_DAILY=1 keeps one of ours');
    assert.match(daemon.said(), /"key":"[^"]*aaaaaa\.json"[^\n]*A manifest cannot be read; it is left alone/);
    assert.match(daemon.said(), /"key":"[^"]*bbbbbb\.json"[^\n]*format 2 is not known/);
  });

  it('reports another container that backs the same instance up into the same place, and loses nothing', async () => {
    const environment = environmentOf();
    const second = { ...environment, BACKUP_STATE_DIR: `${environment['BACKUP_STATE_DIR']}-second` };
    await using _one = startDaemon(environment);
    await using _two = startDaemon(second);
    const snapshots = await until('a backup of each', {
      seconds: 60,
      look: async () => {
        const found = await snapshotsOf(environment);
        return found.length === 2 && found;
      },
    });
    const reports = await until('a report by one of them', {
      seconds: 30,
      look: async () => {
        const found = await Promise.all([healthOf(environment), healthOf(second)]);
        return found.some(({ status }) => status === 'degraded') && found;
      },
    });
    const ids = snapshots.map(({ id }) => id);
    const warning = reports.flatMap(({ warnings }) => warnings).join(' | ');
    assert.match(warning, /Another container backs up 'social\.example' into bucket 'backups'/);
    assert.ok(
      ids.some((id) => warning.includes(id)),
      warning,
    );
    for (const { tier, id } of snapshots) {
      const verified = await runCommand(['verify', `${tier}/${id}`], environment);
      assert.equal(verified.status, 0, verified.stderr);
    }
  });

  it('tells the truth before, during and after a run, after a failed one, after a deadline, and in a new container', async () => {
    let ahead = 0;
    const environment = environmentOf({ BACKUP_SCHEDULE_DAILY: '0 12 * * *', BACKUP_STALL_TIMEOUT: '5s' });
    const broken = fixtureClient(stage.scratch, { name: 'broken', script: 'echo "pg_dump: error: no" >&2; exit 1' });
    const now = (): Date => new Date(Date.now() + ahead);
    await using app = openApp(environment, { now });
    await using failing = openApp({ ...environment, BACKUP_PG_BIN: broken }, { now });
    const request = {
      purpose: { kind: 'by hand', tier: 'daily' },
      wait: false,
      signal,
      onProgress: () => undefined,
    } as const;
    assert.equal((await healthOf(environment)).status, 'starting');

    await assert.rejects(failing.run(request), { code: 'dump' });
    const failed = await healthOf(environment);
    assert.equal(failed.status, 'late', 'the first attempt has failed and there is no backup');
    assert.match(failed.tiers['daily']?.lastFailure?.message ?? failed.warnings.join(), /pg_dump: error: no/);

    stage.s3.rule(({ method, query }) =>
      method === 'PUT' && !query.has('uploads') ? { kind: 'hang' } : { kind: 'pass' },
    );
    const running = app.run(request);
    running.catch(() => undefined);
    const during = await untilHealth('the run in health', {
      environment,
      seconds: 20,
      wanted: ({ running: run }) => run !== null,
    });
    assert.equal(during.running?.command, 'run daily');
    assert.equal(during.healthy, false);
    stage.s3.rule(() => ({ kind: 'pass' }));
    await running.catch(async () => app.run(request));
    assert.deepEqual(
      [await healthOf(environment)].map(({ status, running: now_, warnings }) => [status, now_, warnings]),
      [['healthy', null, []]],
    );

    await assert.rejects(failing.run(request), { code: 'dump' });
    const degraded = await healthOf(environment);
    assert.equal(degraded.status, 'degraded', 'the backup is still fresh');
    assert.equal(degraded.tiers['daily']?.lastFailure?.step, 'dump');

    const deadline = Date.parse(degraded.tiers['daily']?.deadlineAt ?? '');
    ahead = deadline - 1_000 - Date.now();
    assert.equal((await app.health()).status, 'degraded', 'a second before the deadline');
    ahead = deadline - Date.now();
    const late = await app.health();
    assert.deepEqual([late.status, late.healthy], ['late', false]);
    assert.match(late.warnings.join(), /The daily backup is late: it was due by /);
    ahead = 0;

    const fresh = { ...environment, BACKUP_STATE_DIR: `${environment['BACKUP_STATE_DIR']}-new` };
    await using _daemon = startDaemon(fresh);
    await untilHealth('healthy', { environment: fresh, seconds: 20, wanted: ({ status }) => status === 'healthy' });
    assert.equal((await snapshotsOf(fresh)).length, 1, 'a new container added a run');
  });

  for (const [what, lose] of [
    ['lost', (directory: string) => rmSync(directory, { recursive: true })],
    ['emptied', (directory: string) => void spawnSync('sh', ['-c', `rm -f ${directory}/*`])],
    [
      'in the way',
      (directory: string) => {
        rmSync(directory, { recursive: true });
        writeFileSync(directory, 'a file');
      },
    ],
  ] as const) {
    it(`stays healthy and goes on when its state directory is ${what}`, async () => {
      const environment = environmentOf();
      const directory = environment['BACKUP_STATE_DIR'] ?? '';
      const elsewhere = { ...environment, TMPDIR: process.env['TMPDIR'] ?? '' };
      await using daemon = startDaemon(environment);
      await untilIdle(elsewhere);
      lose(directory);
      await daemon.app.heartbeat({ startedAt: new Date(), troubles: [], waiting: null });
      assert.equal((await healthOf(elsewhere)).status, 'healthy', 'after the next heartbeat');
      const report = await daemon.app.run({
        purpose: { kind: 'by hand', tier: 'daily' },
        wait: true,
        signal,
        onProgress: () => undefined,
      });
      assert.equal(report.outcomes[0]?.kind, 'stored');
      const health = await healthOf(elsewhere);
      assert.equal(health.status, 'healthy', JSON.stringify(health));
      rmSync(path.join(process.env['TMPDIR'] ?? '', 'mastodon-backup'), { recursive: true, force: true });
    });
  }

  it('says so when there is no place for its state at all', async () => {
    const environment = environmentOf();
    const inTheWay = path.join(process.env['TMPDIR'] ?? '', 'mastodon-backup');
    writeFileSync(environment['BACKUP_STATE_DIR'] ?? '', 'a file');
    writeFileSync(inTheWay, 'a file');
    try {
      await using daemon = startDaemon(environment);
      await until('the failure', {
        seconds: 20,
        look: async () => daemon.said().includes('The scheduled backup failed'),
      });
      assert.match(daemon.said(), /Neither BACKUP_STATE_DIR .* can be written/);
    } finally {
      rmSync(inTheWay);
    }
  });

  it('goes on, and stays healthy, when its state directory becomes read-only', async (context) => {
    const environment = environmentOf();
    const directory = environment['BACKUP_STATE_DIR'] ?? '';
    mkdirSync(directory);
    if (spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]).status !== 0) {
      context.skip('this machine does not let us mount a file system');
      return;
    }
    try {
      const elsewhere = { ...environment, TMPDIR: process.env['TMPDIR'] ?? '' };
      await using daemon = startDaemon(environment);
      await untilIdle(elsewhere);
      // Refused while a file in it is being written.
      await until('the state directory to be read-only', {
        seconds: 10,
        look: async () => spawnSync('mount', ['-o', 'remount,ro', directory]).status === 0,
      });
      const request = {
        purpose: { kind: 'by hand', tier: 'daily' },
        wait: true,
        signal,
        onProgress: () => undefined,
      } as const;
      assert.equal((await daemon.app.run(request)).outcomes[0]?.kind, 'stored');
      await daemon.app.heartbeat({ startedAt: new Date(), troubles: [], waiting: null });
      const health = await healthOf(elsewhere);
      assert.equal(health.status, 'healthy', JSON.stringify(health));
      assert.equal(
        health.tiers['daily']?.lastSuccessAt,
        (await snapshotsOf(environment))[0]?.committedAt.toISOString(),
        'health knows the run after the loss',
      );
      assert.match(daemon.said(), /BACKUP_STATE_DIR cannot be used; state and lock are kept elsewhere/);
      rmSync(path.join(process.env['TMPDIR'] ?? '', 'mastodon-backup'), { recursive: true, force: true });
    } finally {
      spawnSync('umount', ['--lazy', directory]);
    }
  });
});
