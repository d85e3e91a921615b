// Two restores into the same name at the same time: neither takes the other's database for one that nobody finished.

import assert from 'node:assert/strict';
import { createConnection, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { connect } from '../../src/database/connection.ts';
import { libcLocale } from '../../src/restore/database-creation.ts';
import { createTemporary } from '../../src/restore/temporary-database.ts';
import { removeUnfinished } from '../../src/restore/unfinished-database.ts';
import { createRemains } from '../../src/stream/remains.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { quietLog } from '../support/quiet-log.ts';

describe('the database of a restore that is under way', () => {
  it('is not dropped by another one on its way to its name, not even when the server is slow to answer', async () => {
    await using server = await startPostgres({ major: 15 });
    await server.query('alter role mastodon createdb');
    const signal = AbortSignal.timeout(60_000);
    // New connections wait at the door while it is closed.
    let opened = Promise.resolve();
    let asked = Promise.withResolvers<void>();
    const door = createServer((outer) => {
      asked.resolve();
      outer.on('error', () => undefined);
      const pass = async (): Promise<void> => {
        await opened;
        const inner = createConnection({ port: server.port, host: '127.0.0.1' });
        inner.on('error', () => outer.destroy());
        outer.pipe(inner).pipe(outer);
      };
      void pass();
    });
    using stack = new DisposableStack();
    stack.defer(() => void door.close());
    await new Promise<void>((resolve) => void door.listen(0, '127.0.0.1', resolve));
    const address = door.address();
    assert.ok(address !== null && typeof address === 'object');
    await using admin = await connect(server.mastodon('postgres'), signal);
    const temporary = await createTemporary(admin, {
      server: { connection: { ...server.mastodon('postgres'), port: address.port }, role: 'mastodon' },
      name: 'wanted',
      encoding: 'UTF8',
      locale: libcLocale('C'),
      owner: 'mastodon',
      remains: createRemains(),
      prepare: async () => undefined,
      log: quietLog,
      signal,
    });
    const { promise, resolve: open } = Promise.withResolvers<void>();
    opened = promise;
    asked = Promise.withResolvers();
    stack.defer(open);
    const naming = temporary.giveName({ moveAside: false, now: new Date() });
    naming.catch(() => undefined);
    await asked.promise;
    await removeUnfinished(admin, { name: 'wanted', log: quietLog });
    open();
    assert.equal(await naming, null);
    const rows = await server.query("select datname, datconnlimit from pg_database where datname like 'wanted%'");
    assert.deepEqual(rows, [{ datname: 'wanted', datconnlimit: -1 }]);
  });
});
