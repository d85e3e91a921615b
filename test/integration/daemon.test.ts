// The daemon as a process against a real database and a real bucket: what it does by itself, what health says of it, and how
// it ends.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Health } from '../../src/health/assess.ts';
import { databaseEnvironment, runCommand, startCommand } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { freePort, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { minuteBegins } from '../support/clock-ahead.ts';
import { healthOf, untilHealth } from '../support/health.ts';
import { until } from '../support/until.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const never = '0 0 29 2 *';

describe('the daemon', () => {
  let server: PostgresServer;
  let s3: S3TestServer;
  const scratch = temporaryDirectory();
  let names = 0;
  before(async () => {
    server = await startPostgres({ major: 15 });
    s3 = await startS3();
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 2 });
  });
  after(async () => {
    await s3[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  // A prefix and a state directory of its own for each test.
  const environmentOf = (more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => {
    names += 1;
    return {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      ...s3.environment,
      LOCAL_DOMAIN: 'social.example',
      BACKUP_S3_PREFIX: `test-${names}`,
      BACKUP_STATE_DIR: `${scratch.path}/state-${names}`,
      BACKUP_COMPRESSION_LEVEL: '1',
      BACKUP_SCHEDULE_DAILY: never,
      BACKUP_SCHEDULE_WEEKLY: 'off',
      BACKUP_SCHEDULE_MONTHLY: 'off',
      BACKUP_SCHEDULE_DRILL: 'off',
      ...more,
    };
  };
  const listed = async (environment: Readonly<Record<string, string>>) => {
    const { stdout } = await runCommand(['list', '--json'], environment);
    return (
      JSON.parse(stdout) as {
        snapshots: { tier: string; id: string; copiedFrom: string | null; slot: string | null }[];
      }
    ).snapshots;
  };

  it('takes a first daily at once and a weekly as its copy, serves both documents, and ends on TERM with status 0', async () => {
    const port = await freePort();
    const environment = environmentOf({
      ...minuteBegins({ inSeconds: 8 }),
      BACKUP_SCHEDULE_WEEKLY: '* * * * *',
      BACKUP_HTTP_PORT: String(port),
      BACKUP_HTTP_TOKEN: 'let-me-see-it',
    });
    assert.equal((await healthOf(environment)).status, 'starting');
    await using daemon = startCommand(['daemon'], environment);
    await untilHealth('a weekly', {
      environment,
      seconds: 90,
      wanted: ({ tiers }) => typeof tiers['weekly']?.lastSuccessAt === 'string',
    });
    const snapshots = await listed(environment);
    const daily = snapshots.find(({ tier }) => tier === 'daily');
    const weekly = snapshots.find(({ tier }) => tier === 'weekly');
    assert.equal(weekly?.copiedFrom, `daily/${daily?.id}`);
    assert.ok(weekly?.slot !== null);
    const copies = s3.seen.filter(({ method, path }) => method === 'GET' && path.endsWith(`${weekly?.id}.dump.xz`));
    assert.ok(copies.length > 0, 'the copy was not read back');
    const verified = await runCommand(['verify', 'latest:weekly'], environment);
    assert.equal(verified.status, 0, verified.stderr);

    const url = `http://127.0.0.1:${port}`;
    const headers = { authorization: 'Bearer let-me-see-it' };
    assert.equal((await fetch(`${url}/healthz`)).status, 401);
    const healthz = await fetch(`${url}/healthz`, { headers });
    assert.equal(healthz.status, 200);
    assert.equal(((await healthz.json()) as Health).status, 'healthy');
    const metrics = await (await fetch(`${url}/metrics`, { headers })).text();
    assert.match(metrics, /^mastodon_backup_healthy 1$/m);
    assert.match(metrics, /^mastodon_backup_snapshots\{destination="s3",tier="weekly"\} \d+$/m);
    assert.match(metrics, /^mastodon_backup_next_run_timestamp_seconds\{schedule="weekly"\} \d+$/m);
    const page = await fetch(`${url}/`, {
      headers: { authorization: `Basic ${Buffer.from('anybody:let-me-see-it').toString('base64')}` },
    });
    assert.equal(page.status, 200);
    const shown = await page.text();
    assert.match(shown, /<title>✓ All is backed up · social\.example<\/title>/);
    assert.doesNotMatch(shown, /let-me-see-it|test-secret-key/);
    assert.equal((await fetch(`${url}/nothing`, { headers })).status, 404);

    daemon.child.kill('SIGTERM');
    const { status, stderr } = await daemon.result;
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Next run/);
    assert.doesNotMatch(stderr, /let-me-see-it|test-secret-key/);
  });

  it('waits for the database, and does not fail', async () => {
    const environment = environmentOf({ DB_NAME: 'comes_later' });
    await using daemon = startCommand(['daemon'], environment);
    await daemon.saw('Waiting for the database');
    assert.equal((await healthOf(environment)).status, 'starting');
    await until('it says what it waits for', {
      seconds: 20,
      look: async () =>
        /waits for the database; .* tries it in \S+ \w+ in any case/.test(
          (await runCommand(['status'], environment)).stdout.replaceAll(/\s+/g, ' '),
        ),
    });
    await createMastodonDatabase(server, { name: 'comes_later', megabytes: 1 });
    await untilHealth('healthy', { environment, seconds: 30, wanted: ({ healthy }) => healthy });
    daemon.child.kill('SIGTERM');
    assert.equal((await daemon.result).status, 0);
  });

  it('is not locked out by a run that was killed, reports it, lists nothing half, and catches up once', async () => {
    const environment = environmentOf();
    s3.rule(({ method, query }) => (method === 'PUT' && !query.has('uploads') ? { kind: 'hang' } : { kind: 'pass' }));
    await using killed = startCommand(['daemon'], environment);
    await killed.saw('Dump started');
    await untilHealth('running in health', { environment, seconds: 20, wanted: ({ running }) => running !== null });
    killed.child.kill('SIGKILL');
    await killed.result;
    s3.rule(() => ({ kind: 'pass' }));
    assert.deepEqual(await listed(environment), []);
    await using daemon = startCommand(['daemon'], environment);
    await daemon.saw('An earlier run was cut off');
    await untilHealth('healthy', { environment, seconds: 60, wanted: ({ healthy }) => healthy });
    assert.equal((await listed(environment)).length, 1);
    daemon.child.kill('SIGTERM');
    assert.equal((await daemon.result).status, 0);
  });

  it('ends a run on TERM and leaves no upload and no backend', async () => {
    // What is stored is larger than a part.
    const environment = environmentOf({
      DB_NAME: 'large',
      BACKUP_COMPRESSION: 'none',
      BACKUP_COMPRESSION_LEVEL: '',
    });
    await createMastodonDatabase(server, { name: 'large', megabytes: 12 });
    const seenBefore = s3.seen.length;
    s3.rule(({ method, query }) => (method === 'PUT' && query.has('partNumber') ? { kind: 'hang' } : { kind: 'pass' }));
    await using daemon = startCommand(['daemon'], environment);
    await until('a part on its way', {
      seconds: 60,
      look: async () => s3.seen.slice(seenBefore).some(({ query }) => query.has('partNumber')),
    });
    const startedAt = performance.now();
    daemon.child.kill('SIGTERM');
    const { status, stderr } = await daemon.result;
    assert.equal(status, 0, stderr);
    assert.ok(performance.now() - startedAt < 15_000);
    s3.rule(() => ({ kind: 'pass' }));
    assert.deepEqual(await s3.unfinishedUploads(), []);
    const backends = await server.query("select 1 from pg_stat_activity where application_name = 'mastodon-backup'");
    assert.deepEqual(backends, []);
    assert.deepEqual(await listed(environment), []);
  });

  it('knows in a new container with an empty state directory what the bucket holds', async () => {
    const environment = environmentOf();
    assert.equal((await runCommand(['run'], environment)).status, 0);
    const fresh = { ...environment, BACKUP_STATE_DIR: `${scratch.path}/fresh` };
    await using daemon = startCommand(['daemon'], fresh);
    await untilHealth('healthy', { environment: fresh, seconds: 30, wanted: ({ healthy }) => healthy });
    assert.equal((await listed(fresh)).length, 1, 'a restart added a run');
    daemon.child.kill('SIGTERM');
    await daemon.result;
  });

  it('copies to the other destination what it missed, and does not dump again', async () => {
    const local = `${scratch.path}/nas`;
    const environment = environmentOf({ BACKUP_LOCAL_DIR: local });
    await using daemon = startCommand(['daemon'], environment);
    await daemon.saw('does not exist');
    await until('a backup in the bucket', { seconds: 60, look: async () => (await listed(environment)).length === 1 });
    const missed = await untilHealth('the failed destination in health', {
      environment,
      seconds: 20,
      // Until the run has ended, the place that cannot be read is all that health knows.
      wanted: ({ status, warnings }) => status !== 'starting' && warnings.some((text) => text.includes(local)),
    });
    assert.equal(missed.status, 'degraded');
    daemon.child.kill('SIGTERM');
    await daemon.result;
    const { mkdirSync } = await import('node:fs');
    mkdirSync(local);
    await using again = startCommand(['daemon'], environment);
    await again.saw('Copying a snapshot that this store missed');
    await untilHealth('healthy', { environment, seconds: 30, wanted: ({ status }) => status === 'healthy' });
    const here = JSON.parse((await runCommand(['list', '--from', 'local', '--json'], environment)).stdout) as {
      snapshots: { id: string }[];
    };
    assert.deepEqual(
      here.snapshots.map(({ id }) => id),
      (await listed(environment)).map(({ id }) => id),
    );
    assert.equal((await runCommand(['verify', '--from', 'local'], environment)).status, 0);
    again.child.kill('SIGTERM');
    await again.result;
  });
});
