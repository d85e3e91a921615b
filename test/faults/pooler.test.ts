// A pooler before the database is found and refused, and nothing of a dump reaches the site's own sessions.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connect } from '../../src/database/connection.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { runCommand } from '../support/command.ts';
import { connectTest } from '../support/mastodon-data.ts';
import { startKeyChanger, startPgBouncer, withoutPgBouncer, type Pooler } from '../support/poolers.ts';
import { followLog } from '../support/log-follower.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { startStage, type FaultStage } from './support.ts';

const says = /is not PostgreSQL itself, but a pooler.*Set BACKUP_DATABASE_URL to a direct connection/;

describe('a pooler before the database', () => {
  let stage: FaultStage;
  before(async () => {
    stage = await startStage({ megabytes: 1 });
  });
  after(async () => stage[Symbol.asyncDispose]());

  const isRefused = async (pooler: Pooler): Promise<void> => {
    const environment = { ...stage.environment, DB_PORT: String(pooler.port) };
    await stage.assertFailed(await runCommand(['run'], environment), { status: 10, says });
    const { stdout, status } = await runCommand(['doctor', '--json'], environment);
    assert.equal(status, 5);
    const finding = (JSON.parse(stdout) as Finding[]).find(({ check }) => check === 'database');
    assert.equal(finding?.status, 'problem');
    assert.match(`${finding?.detail}. ${finding?.remedy}`, says);
  };

  for (const mode of ['transaction', 'session'] as const) {
    it(`is refused when it is PgBouncer in ${mode} mode`, { skip: withoutPgBouncer }, async () => {
      await using pooler = await startPgBouncer(stage.server, { mode });
      const site = await connectTest({ ...stage.server.mastodon('mastodon_production'), port: pooler.port });
      try {
        await site.query('select 1');
        await isRefused(pooler);
        const { rows } = await site.query(
          "select current_setting('search_path') as path, count(*)::int as n from accounts group by 1",
        );
        assert.equal(rows.length, 1);
      } finally {
        await site.end();
      }
    });
  }

  it(
    'keeps the log from being followed, and the receiver and the doctor say why',
    { skip: withoutPgBouncer },
    async () => {
      await using pooler = await startPgBouncer(stage.server, { mode: 'session' });
      using folder = temporaryDirectory();
      const connection = { ...stage.server.superuser(), port: pooler.port };
      await using follower = followLog(connection, { directory: folder.path, server: stage.server });
      await assert.rejects(follower.ended, /is not PostgreSQL itself, but a pooler/);
      assert.deepEqual(await stage.server.query('select 1 from pg_replication_slots'), []);
      const environment = { ...stage.environment, DB_PORT: String(pooler.port), BACKUP_PITR: 'on' };
      const { stdout } = await runCommand(['doctor', '--json'], environment);
      const finding = (JSON.parse(stdout) as Finding[]).find(({ check }) => check === 'point-in-time recovery');
      assert.equal(finding?.status, 'problem');
      assert.match(`${finding.detail}. ${finding.remedy ?? ''}`, says);
    },
  );

  it('is refused when it says hello with any key of its own', async () => {
    for (const processId of [1, 0, 4_194_304]) {
      await using pooler = await startKeyChanger(stage.server, { processId });
      await isRefused(pooler);
    }
  });

  it('is not mistaken for one: a server of any version, by TCP and by its socket', async () => {
    for (const major of [14, 18] as const) {
      await using server = await startPostgres({ major });
      for (const host of ['127.0.0.1', server.socketDirectory]) {
        await using client = await connect({ ...server.superuser(), host }, AbortSignal.timeout(20_000));
        const { rows } = await client.query<{ limits: string }>(
          "select string_agg(setting, ',') as limits from pg_settings where name in ('transaction_timeout', 'idle_session_timeout')",
        );
        assert.match(rows[0]?.limits ?? '', /^0(,0)?$/);
      }
    }
  });

  it('with a time limit for transactions set for everybody, our own sessions have none', async () => {
    await using server = await startPostgres({ major: 18 });
    // From the next session on: what a test itself has to do may take longer on a busy machine.
    await server.query("alter role all set transaction_timeout = '100ms'");
    await using client = await connect(server.superuser(), AbortSignal.timeout(20_000));
    await client.query('select pg_sleep(0.5)');
  });
});
