// Servers whose log cannot be followed as they are: each is named for what it is, by the doctor beforehand and by the receiver, with
// what to do, nothing is left behind on it, and what passes by itself is waited for.

import assert from 'node:assert/strict';
import { chownSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connectForReplication } from '../../src/pitr/replication-connection.ts';
import type { ConnectionSettings } from '../../src/database/connection.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { startDaemon } from '../support/daemon.ts';
import { followLog, type LogFollower } from '../support/log-follower.ts';
import { serverUser } from '../support/postgres-server.ts';
import { startStandby } from '../support/standby-server.ts';
import { startStockServer, type StockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const signal = new AbortController().signal;
const folder = temporaryDirectory();
let server: StockServer;
before(async () => {
  server = await startStockServer(15, { settings: { max_replication_slots: '1', max_wal_senders: '2' } });
  await server.createDatabase('mastodon_production');
});
after(async () => {
  await server[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

let count = 0;
/** A place of its own for each test. */
function place(): string {
  count += 1;
  const directory = path.join(folder.path, `stored-${count}`);
  mkdirSync(directory);
  return directory;
}

function environmentOf(connection: ConnectionSettings): Readonly<Record<string, string>> {
  return {
    ...databaseEnvironment({ ...connection, database: 'mastodon_production' }),
    LOCAL_DOMAIN: 'example.social',
    BACKUP_LOCAL_DIR: place(),
    BACKUP_STATE_DIR: path.join(folder.path, `state-${count}`),
    BACKUP_PITR: 'on',
  };
}

async function doctor(connection: ConnectionSettings): Promise<string> {
  const { stdout, stderr } = await runCommand(['doctor', '--json'], environmentOf(connection));
  assert.ok(stdout !== '', stderr);
  return (JSON.parse(stdout) as Finding[])
    .filter(({ check, status }) => status === 'problem' && /recovery|replication/.test(check))
    .map(({ detail, remedy }) => `${detail}. ${remedy}`)
    .join('\n');
}

async function slots(): Promise<readonly unknown[]> {
  return server.query('select slot_name from pg_replication_slots');
}

async function isTold(follower: LogFollower, says: RegExp): Promise<void> {
  await until(`it to be told: ${says.source}`, { seconds: 15, look: async () => says.test(follower.obstacle() ?? '') });
}

describe('a server whose log cannot be followed', () => {
  it('is named where wal_level is minimal, with the statement that changes it', async () => {
    await using minimal = await startStockServer(15, { settings: { wal_level: 'minimal', max_wal_senders: '0' } });
    await minimal.createDatabase('mastodon_production');
    assert.match(await doctor(minimal.outside()), /wal_level is minimal.*ALTER SYSTEM SET wal_level = 'replica'/);
    await using follower = followLog(minimal.outside(), { directory: place(), server: minimal });
    await assert.rejects(follower.ended, /wal_level is minimal/);
  });

  it('is named where it has tablespaces, which nobody would find missing before a restore', async () => {
    const space = path.join(server.socketDirectory, 'space');
    mkdirSync(space);
    if (serverUser.uid !== undefined && serverUser.gid !== undefined) chownSync(space, serverUser.uid, serverUser.gid);
    await server.query(`create tablespace elsewhere location '${space}'`);
    try {
      assert.match(await doctor(server.outside()), /The server has tablespaces.*SET TABLESPACE pg_default/);
      await using follower = followLog(server.outside(), { directory: place(), server });
      await assert.rejects(follower.ended, /The server has tablespaces/);
      assert.deepEqual(await slots(), []);
    } finally {
      await server.query('drop tablespace elsewhere');
    }
  });

  it('is named where it is a standby, and followed as soon as it is none', async () => {
    await using standby = await startStandby(server);
    const connection = { ...server.superuser(), port: standby.mastodon('postgres').port };
    assert.match(await doctor(connection), /is a standby or recovers.*BACKUP_DATABASE_URL to the primary/);
    await using follower = followLog(connection, { directory: place(), server: standby });
    await isTold(follower, /is a standby or recovers/);
    assert.deepEqual(await standby.query('select slot_name from pg_replication_slots'), []);
    await standby.query('select pg_promote()');
    await until('it to be followed', { seconds: 30, look: async () => (follower.state()?.storedTo ?? 0n) > 0n });
    assert.equal(follower.state()?.problem, null);
  });

  it('is named where no slot is left, and followed as soon as one is', async () => {
    await server.query("select pg_create_physical_replication_slot('theirs')");
    assert.match(await doctor(server.outside()), /no replication slot left.*Raise max_replication_slots/);
    const environment = environmentOf(server.outside());
    await using daemon = startDaemon(environment);
    await until('the status to say it', {
      seconds: 15,
      look: async () => /No slot could be made/.test((await daemon.app.pitrStatus(signal)).obstacle ?? ''),
    });
    const { stdout } = await runCommand(['pitr', 'status'], environment);
    assert.match(stdout, /No log has been followed from here yet\nProblem: No slot could be made/);
    await server.query("select pg_drop_replication_slot('theirs')");
    const status = await until('it to be followed', {
      seconds: 30,
      async look() {
        const now = await daemon.app.pitrStatus(signal);
        return now.following !== null && now;
      },
    });
    assert.deepEqual([status.obstacle, status.following?.slot?.status], [null, 'reserved']);
  });

  it('is named where no sender is left, which is no pooler, and followed as soon as one is', async () => {
    await using waiting = await (async () => {
      await using stack = new AsyncDisposableStack();
      for (const _ of [1, 2]) stack.use(await connectForReplication(server.outside(), signal));
      return stack.move();
    })();
    const said = await doctor(server.outside());
    assert.match(said, /exceeds max_wal_senders.*Raise max_wal_senders/);
    assert.doesNotMatch(said, /PgBouncer/);
    await using follower = followLog(server.outside(), { directory: place(), server });
    await isTold(follower, /max_wal_senders/);
    await waiting.disposeAsync();
    await follower.caughtUp();
  });
});
