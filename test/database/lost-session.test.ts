// Sessions that break off under a query: whoever asks is told so in words, and that it may be tried again.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Client } from 'pg';
import { readSourceState } from '../../src/backup/source-state.ts';
import { connect } from '../../src/database/connection.ts';
import { readDatabaseFacts, readServerClock } from '../../src/database/server.ts';
import { createTurns } from '../../src/database/turns.ts';
import { AppError, retryOf } from '../../src/errors.ts';
import { readPitrSource } from '../../src/pitr/source.ts';
import { openDatabaseDoor, type DatabaseDoor } from '../support/database-door.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';

describe('a session that is lost under a query', () => {
  let server: PostgresServer;
  let line: DatabaseDoor;
  before(async () => {
    server = await startPostgres({ major: 15 });
    line = await openDatabaseDoor(server.port);
  });
  after(async () => {
    await line[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  const asleep = "select pid from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'";
  const processId = async (): Promise<number> =>
    until('a session that sleeps', {
      seconds: 10,
      look: async () => Number((await server.query(asleep))[0]?.['pid'] ?? 0) || undefined,
    });

  for (const [how, strike] of [
    ['ended', async () => server.query(`select pg_terminate_backend(${await processId()})`)],
    ['reset', async () => line.reset()],
    ['killed with the server', async () => process.kill(await processId(), 'SIGKILL')],
    ['silent', async () => line.set('silent')],
  ] as const) {
    it(`because it was ${how} is no unexpected failure`, async () => {
      const settings = { ...server.superuser(), port: line.port };
      const queryTimeoutMs = how === 'silent' ? 1_000 : 0;
      await using client = await connect(settings, AbortSignal.timeout(60_000), { queryTimeoutMs });
      const asking = client.query('select pg_sleep(60)');
      asking.catch(() => undefined);
      await processId();
      await strike();
      await assert.rejects(asking, (error) => {
        assert.ok(error instanceof AppError, String(error));
        assert.equal(error.code, 'database');
        assert.match(error.message, /^The session with the database postgres@127\.0\.0\.1:\d+\/postgres was lost: /);
        assert.equal(retryOf(error), 'soon');
        return true;
      });
      await assert.rejects(client.query('select'), AppError);
      line.set('open');
      await until('a server that has started again', {
        seconds: 10,
        look: async () =>
          server.query('select').then(
            () => true,
            () => false,
          ),
      });
    });
  }

  for (const [what, ask] of [
    ['its clock', readServerClock],
    ['itself', readDatabaseFacts],
    ['its log', readPitrSource],
    ["Mastodon's tables", async (client) => readSourceState(client, { lockWaitMs: 1_000, turns: createTurns() })],
  ] as const satisfies readonly (readonly [string, (client: Client) => Promise<unknown>])[]) {
    it(`is told with its next step by who asked for ${what}`, async () => {
      await using client = await connect(server.superuser(), AbortSignal.timeout(60_000));
      await client.query('select pg_terminate_backend(pg_backend_pid())').catch(() => undefined);
      await assert.rejects(ask(client), (error) => {
        assert.ok(error instanceof AppError, String(error));
        assert.match(error.message, /^The session with the database .* was lost: /);
        assert.match(error.hint ?? '', /^Look into the database's log/);
        assert.equal(error.reason, 'unreachable');
        return true;
      });
    });
  }

  it('is lost for those who wait behind a statement that nobody answers, at once', async () => {
    const queryTimeoutMs = 2_000;
    const settings = { ...server.superuser(), port: line.port };
    await using client = await connect(settings, AbortSignal.timeout(60_000), { queryTimeoutMs });
    line.set('silent');
    const startedAt = performance.now();
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map(async () => client.query('select')));
    line.set('open');
    assert.deepEqual(new Set(outcomes.map(({ status }) => status)), new Set(['rejected']));
    assert.ok(performance.now() - startedAt < 3 * queryTimeoutMs, 'each waited for a time-out of its own');
  });

  it('ends with the reason of its own signal when that cut it off', async () => {
    const stop = new AbortController();
    await using client = await connect(server.superuser(), stop.signal);
    const asking = client.query('select pg_sleep(60)');
    asking.catch(() => undefined);
    await processId();
    stop.abort(new AppError('interrupted', 'Interrupted by SIGTERM'));
    await assert.rejects(asking, /Interrupted by SIGTERM/);
  });

  it('leaves what the server has to say of a statement as it is', async () => {
    await using client = await connect(server.superuser(), AbortSignal.timeout(60_000));
    await assert.rejects(client.query('select nonsense'), { code: '42703' });
  });
});
