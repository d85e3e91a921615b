// An upgrade that is cut off at each of its steps, and one whose servers go away in the middle: the old server is as it was, what
// to do is said, and the same command brings it to its end.

import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Client } from 'pg';
import {
  databaseEnvironment,
  followCommand,
  runCommand,
  startCommand,
  type CommandResult,
} from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { endRestarted, restartServer } from '../support/restarted-server.ts';
import { startStockServer, type StockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const name = 'mastodon_production';

describe('an upgrade that is cut off', () => {
  let old: StockServer;
  let next: StockServer;
  let environment: Record<string, string>;
  let to: string;
  let untouched: unknown;
  const scratch = temporaryDirectory();
  before(async () => {
    [old, next] = await Promise.all([startStockServer(14), startStockServer(15)]);
    await createMastodonDatabase(old, { name, megabytes: 2 });
    await next.query('alter role mastodon createdb');
    mkdirSync(`${scratch.path}/backups`);
    to = `127.0.0.1:${next.port}`;
    environment = {
      ...databaseEnvironment(old.mastodon(name)),
      BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_COMPRESSION: 'none',
      LOCAL_DOMAIN: 'social.example',
    };
    untouched = await state(old);
  });
  // Each from the beginning, for a dump that nobody has written after is not made again.
  beforeEach(async () => {
    await next.query(`drop database if exists ${name}`);
    rmSync(`${scratch.path}/state`, { recursive: true, force: true });
  });
  after(async () => {
    for (const server of [old, next]) {
      await endRestarted(server.data).catch(() => undefined);
      await server[Symbol.asyncDispose]();
    }
    scratch[Symbol.dispose]();
  });

  // Databases, and what Mastodon's holds.
  async function state(server: StockServer): Promise<unknown> {
    const databases = await server.query('select datname from pg_database where not datistemplate order by 1');
    const [rows] = await server.query(
      'select (select count(*) from statuses) as statuses, (select max(id) from statuses) as newest, (select max(id) from accounts) as account',
      name,
    );
    return { databases, rows };
  }
  const databases = async (): Promise<readonly string[]> =>
    (await next.query('select datname from pg_database where not datistemplate order by 1')).map(({ datname }) =>
      String(datname),
    );
  const upgrade = async (): Promise<CommandResult> => runCommand(['upgrade', 'run', '--to', to], environment);
  const cutOff = async (at: string, signal: NodeJS.Signals): Promise<CommandResult> => {
    await using running = startCommand(['upgrade', 'run', '--to', to], environment);
    await running.saw(at);
    running.killGroup(signal);
    return await running.result;
  };

  it('before it began, by a server without the role or with a database of somebody else, touches neither', async () => {
    await next.query('alter role mastodon rename to somebody');
    const nobody = await upgrade();
    assert.equal(nobody.status, 20, nobody.stderr);
    assert.match(
      nobody.stderr,
      /has no role 'mastodon'.*Create it as a superuser: CREATE ROLE "mastodon" LOGIN CREATEDB/s,
    );
    await next.query('alter role somebody rename to mastodon');
    await next.query(`create database ${name} owner mastodon`);
    await next.query('create table theirs as select 1 as one', name);
    const theirs = await upgrade();
    assert.equal(theirs.status, 20, theirs.stderr);
    assert.match(theirs.stderr, /The database 'mastodon_production' is not empty: it has 1 table/);
    assert.deepEqual(await next.query('select one from theirs', name), [{ one: 1 }]);
    assert.deepEqual(await state(old), untouched);
  });

  it('by Ctrl-C while it waits for people, while it dumps and while it restores leaves nothing behind', async () => {
    const puma = new Client({ ...old.mastodon(name), ssl: false, application_name: 'puma' });
    await puma.connect();
    const waiting = await cutOff('Waiting until nobody', 'SIGINT');
    await puma.end();
    const dumping = await cutOff('Dump started', 'SIGINT');
    const restoring = await cutOff('Restore started', 'SIGINT');
    for (const { status, stderr } of [waiting, dumping, restoring]) {
      assert.equal(status, 130, stderr);
      assert.deepEqual(await databases(), ['postgres']);
      assert.deepEqual(await state(old), untouched);
    }
  });

  it('by a crash of the new server says so, and is done when it is there again', async () => {
    await using running = followCommand(['upgrade', 'run', '--to', to], environment);
    await running.saw('Restore started');
    await restartServer(next, { signal: 'SIGKILL' });
    const { status, stderr } = await running.result;
    assert.equal(status, 20, stderr);
    assert.match(stderr, /The new server went away.*run this again|\. [A-Z][^.]*\.$/m, 'what to do is said');
    assert.deepEqual(await state(old), untouched);
    const done = await upgrade();
    assert.equal(done.status, 0, done.stderr);
  });

  for (const step of ['Dump started', 'Restore started'])
    it(`by a crash of the old server after '${step}' says so`, async () => {
      await using running = followCommand(['upgrade', 'run', '--to', to], environment);
      await running.saw(step);
      await restartServer(old, { signal: 'SIGKILL' });
      const { status, stderr } = await running.result;
      assert.ok(status === 10 || status === 20, `${status} ${stderr}`);
      assert.match(stderr, /again/);
      assert.deepEqual(await state(old), untouched);
    });

  it('is not cut off by a restart of the old server while the new one is filled', async () => {
    await using running = followCommand(['upgrade', 'run', '--to', to], environment);
    await running.saw('Restore started');
    await restartServer(old, { signal: 'SIGINT' });
    const { status, stderr } = await running.result;
    // It may have been the moment in which nobody could connect.
    assert.ok(status === 0 || (status === 10 && /cannot be reached/.test(stderr)), `${status} ${stderr}`);
    assert.deepEqual(await state(old), untouched);
  });

  it('by a kill in the moment after the restore goes on with the comparison', async () => {
    const killed = await cutOff('Restore done', 'SIGKILL');
    assert.equal(killed.signal, 'SIGKILL', killed.stderr);
    assert.ok((await databases()).includes(name));
    const done = await upgrade();
    assert.equal(done.status, 0, done.stderr);
    assert.match(done.stderr, /It is restored there already; only the comparison was missing/);
    assert.match(done.stdout, /To go back/);
    assert.deepEqual(await state(old), untouched);
  });
});
