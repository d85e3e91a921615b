// The moment in which a restored database gets its name: another restore does not take it for one that nobody finished, and a lost
// answer is not taken for a failure.

import assert from 'node:assert/strict';
import { createConnection, createServer, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { Client } from 'pg';
import { connect } from '../../src/database/connection.ts';
import { libcLocale } from '../../src/restore/database-creation.ts';
import { createTemporary, type TemporaryDatabase } from '../../src/restore/temporary-database.ts';
import { removeUnfinished } from '../../src/restore/unfinished-database.ts';
import { createRemains } from '../../src/stream/remains.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { quietLog } from '../support/quiet-log.ts';

/** How a server is reached. */
interface Way extends Disposable {
  readonly port: number;
  /** Who passes, from now on: the socket of a new connection, and what lets it through and answers the server's side of it. */
  onConnection(take: (outer: Socket, pass: () => Socket) => void): void;
}

async function openWay(port: number): Promise<Way> {
  let take = (_outer: Socket, pass: () => Socket): void => void pass();
  const door = createServer((outer) => {
    outer.on('error', () => undefined);
    take(outer, () => {
      const inner = createConnection({ port, host: '127.0.0.1' });
      inner.on('error', () => outer.destroy());
      outer.on('close', () => inner.end());
      outer.pipe(inner).pipe(outer);
      return inner;
    });
  });
  await new Promise<void>((resolve) => void door.listen(0, '127.0.0.1', resolve));
  const address = door.address();
  assert.ok(address !== null && typeof address === 'object');
  return {
    port: address.port,
    onConnection(next) {
      take = next;
    },
    [Symbol.dispose]: () => void door.close(),
  };
}

describe('the database of a restore that is under way', () => {
  const signal = AbortSignal.timeout(1_800_000);
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres({ major: 15 });
    await server.query('alter role mastodon createdb');
  });
  after(async () => server[Symbol.asyncDispose]());

  const create = async (
    admin: Client,
    { way, name }: { readonly way: Way; readonly name: string },
  ): Promise<TemporaryDatabase> =>
    createTemporary(admin, {
      server: { connection: { ...server.mastodon('postgres'), port: way.port }, role: 'mastodon' },
      name,
      encoding: 'UTF8',
      locale: libcLocale('C'),
      owner: 'mastodon',
      remains: createRemains(),
      prepare: async () => undefined,
      log: quietLog,
      signal,
    });
  const found = async (name: string): Promise<readonly unknown[]> =>
    server.query(`select datname, datconnlimit from pg_database where datname like '${name}%' order by 1`);

  it('is not dropped by another one on its way to its name, not even when the server is slow to answer', async () => {
    await using admin = await connect(server.mastodon('postgres'), signal);
    using way = await openWay(server.port);
    const temporary = await create(admin, { way, name: 'wanted' });
    const asked = Promise.withResolvers<() => Socket>();
    way.onConnection((_outer, pass) => asked.resolve(pass));
    const naming = temporary.giveName({ moveAside: false, now: new Date() });
    const pass = await asked.promise;
    await removeUnfinished(admin, { name: 'wanted', log: quietLog });
    way.onConnection((_outer, next) => next());
    pass();
    assert.equal(await naming, null);
    assert.deepEqual(await found('wanted'), [{ datname: 'wanted', datconnlimit: -1 }]);
  });

  it('has its name also when the answer is lost that it has', async () => {
    await using admin = await connect(server.mastodon('postgres'), signal);
    using way = await openWay(server.port);
    await server.createDatabase('named');
    await server.query('create database "named_before_20261123T120000Z"');
    const temporary = await create(admin, { way, name: 'named' });
    way.onConnection((outer, pass) => {
      const inner = pass();
      outer.on('data', (bytes: Buffer) => {
        if (!bytes.includes('commit')) return;
        // The server has it; nobody hears what comes of it.
        inner.unpipe(outer).resume();
        setTimeout(() => outer.resetAndDestroy(), 200);
      });
    });
    const aside = await temporary.giveName({ moveAside: true, now: new Date('2026-11-23T12:00:00Z') });
    assert.equal(aside, 'named_before_20261123T120001Z', 'the other name is taken');
    assert.deepEqual(await found('named'), [
      { datname: 'named', datconnlimit: -1 },
      { datname: 'named_before_20261123T120000Z', datconnlimit: -1 },
      { datname: aside, datconnlimit: -1 },
    ]);
  });
});
