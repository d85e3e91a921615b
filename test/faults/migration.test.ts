// A migration that comes while a dump runs: it waits no longer than BACKUP_YIELD_AFTER, and the backup is made afterwards.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClock } from '../../src/daemon/clock.ts';
import { runDaemon } from '../../src/daemon/services.ts';
import { openApp } from '../support/app.ts';
import { startCommand } from '../support/command.ts';
import { until } from '../support/until.ts';
import { startStage, type FaultStage } from './support.ts';

const patienceMs = 15_000;

describe('a migration behind a dump', () => {
  let stage: FaultStage;
  before(async () => {
    stage = await startStage({ megabytes: 24 });
  });
  after(async () => stage[Symbol.asyncDispose]());

  // A bucket that takes no part holds the dump up, and the dump its locks.
  const holdDump = (): void =>
    stage.s3.rule(({ method, query }) =>
      method === 'PUT' && query.has('partNumber') ? { kind: 'hang' } : { kind: 'pass' },
    );
  const environmentOf = (): Readonly<Record<string, string>> => ({ ...stage.environment, BACKUP_S3_CONCURRENCY: '1' });
  const dumpHoldsLocks = async (): Promise<void> => {
    await until('the locks of the dump', {
      seconds: 15,
      look: async () => {
        const rows = await stage.server.query(
          `select 1 from pg_locks l join pg_stat_activity a using (pid)
            where a.application_name = 'mastodon-backup' and l.relation = 'statuses'::regclass and l.granted`,
          'mastodon_production',
        );
        return rows.length > 0;
      },
    });
  };

  for (const statement of [
    'alter table statuses add column added_by_a_migration integer',
    'create index concurrently added_by_a_migration on statuses (created_at, id)',
  ]) {
    it(`goes on: ${statement.split(' ').slice(0, 3).join(' ')}`, async () => {
      holdDump();
      await using running = startCommand(['run'], { ...environmentOf(), BACKUP_YIELD_AFTER: '2s' });
      await dumpHoldsLocks();
      const startedAt = performance.now();
      await stage.server.query(statement, 'mastodon_production');
      const waitedMs = performance.now() - startedAt;
      assert.ok(waitedMs > 1_500 && waitedMs < patienceMs, `it waited ${Math.round(waitedMs)} ms`);
      await stage.assertFailed(await running.result, {
        status: 10,
        says: /gave way to a session that had waited \d+ s/,
      });
      await stage.assertNoBackend();
    });
  }

  it('does not end a dump that nobody waits for', async () => {
    holdDump();
    await using running = startCommand(['run', '--label', 'undisturbed'], {
      ...environmentOf(),
      BACKUP_YIELD_AFTER: '1s',
    });
    await dumpHoldsLocks();
    // What does not conflict with a reader does not wait, and ends nothing.
    await stage.server.query('update accounts set updated_at = now() where id is not null', 'mastodon_production');
    await sleep(4_000);
    assert.equal(running.child.exitCode, null, 'the dump was ended');
    running.child.kill('SIGTERM');
    await stage.assertFailed(await running.result, { status: 130, says: /Interrupted/ });
  });

  it('is followed by a backup: the daemon tries again and succeeds', async () => {
    const lines: string[] = [];
    await using app = openApp({ ...environmentOf(), BACKUP_YIELD_AFTER: '1s' }, { lines });
    holdDump();
    const stop = new AbortController();
    const clock = createClock(() => new Date());
    const daemon = runDaemon({ app, clock, toolVersion: '0.0.0-test', yieldPauseMs: 500, signal: stop.signal });
    await dumpHoldsLocks();
    await stage.server.query('alter table accounts add column added_meanwhile integer', 'mastodon_production');
    stage.s3.rule(() => ({ kind: 'pass' }));
    const health = await until('healthy', {
      seconds: 30,
      look: async () => {
        const found = await app.health();
        return found.status === 'healthy' && found.running === null && found;
      },
    });
    stop.abort();
    await daemon;
    assert.deepEqual(health.warnings, []);
    assert.match(lines.join(''), /gave way/);
    assert.ok((await stage.s3.keys()).some((key) => /^daily\/.*\.json$/.test(key)));
  });
});
