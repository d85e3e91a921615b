// An upgrade of the server from one major version to another, with people who go on writing, somebody who will not go, and
// every mistake in between: the old server must be as it was, and the next step clear.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { Client } from 'pg';
import { connect } from '../../src/database/connection.ts';
import { compareServers } from '../../src/upgrade/both-servers.ts';
import { databaseEnvironment, runCommand, startCommand, type CommandResult } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startStandby } from '../support/standby-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const name = 'mastodon_production';

interface Finding {
  readonly check: string;
  readonly status: string;
  readonly detail: string;
}

describe('upgrade', () => {
  let old: PostgresServer;
  let next: PostgresServer;
  let environment: Record<string, string>;
  let to: string;
  const scratch = temporaryDirectory();
  before(async () => {
    [old, next] = await Promise.all([startPostgres({ major: 14 }), startPostgres({ major: 15 })]);
    await createMastodonDatabase(old, { name, megabytes: 1 });
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
  });
  after(async () => {
    await old[Symbol.asyncDispose]();
    await next[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  const upgrade = async (...args: readonly string[]): Promise<CommandResult> =>
    runCommand(['upgrade', ...args], environment);
  const puma = async (): Promise<Client & AsyncDisposable> => {
    const client = new Client({ ...old.mastodon(name), ssl: false, application_name: 'puma' });
    await client.connect();
    return Object.assign(client, { [Symbol.asyncDispose]: async () => client.end() });
  };
  const databases = async (server: PostgresServer): Promise<readonly unknown[]> =>
    (await server.query('select datname from pg_database where not datistemplate order by 1')).map(
      ({ datname }) => datname,
    );

  it('check says what is odd about the old server, and prints the service of the new one', async () => {
    await old.query('create database elsewhere');
    await old.query(
      "alter role mastodon set work_mem = '8MB'; create role grafana login; select pg_create_physical_replication_slot('replica')",
    );
    const { status, stdout, stderr } = await upgrade('check', '--json');
    assert.equal(status, 0, stderr);
    const { findings, service } = JSON.parse(stdout) as {
      findings: Finding[];
      service: { name: string; text: string };
    };
    const details = new Map(findings.map(({ check, detail }) => [check, detail]));
    assert.match(
      details.get('version') ?? '',
      /^PostgreSQL 14\.\d+.* gets no fixes any more \(last release 2026-11-12\)$/,
    );
    assert.match(details.get('other databases') ?? '', /^elsewhere \(/);
    assert.match(details.get('settings') ?? '', /ROLE mastodon SET work_mem=8MB/);
    assert.match(details.get('roles') ?? '', /grafana/);
    assert.match(details.get('beside the database') ?? '', /the replication slot replica/);
    assert.equal(service.name, 'db15');
    assert.match(service.text, /image: postgres:15-alpine[^]*- \.\/postgres15:\/var\/lib\/postgresql\/data\n/);
    assert.match(service.text, /POSTGRES_USER=mastodon/);
    await old.query('drop database elsewhere; ');
    await old.query(
      "drop role grafana; alter role mastodon reset work_mem; select pg_drop_replication_slot('replica')",
    );
  });

  it('check refuses a server that the database cannot move to', async () => {
    const wrong = async (
      args: readonly string[],
      overrides: Readonly<Record<string, string>> = {},
    ): Promise<CommandResult> => runCommand(['upgrade', 'check', ...args], { ...environment, ...overrides });
    const same = await wrong(['--to', `127.0.0.1:${old.port}`]);
    assert.equal(same.status, 2, same.stderr);
    assert.match(same.stderr, /is the server that Mastodon uses now/);
    // Under another of its names.
    const alias = await wrong(['--to', `localhost:${old.port}`]);
    assert.equal(alias.status, 5, alias.stderr);
    assert.match(alias.stdout, /FAILED +target identity +it is the same cluster/);
    assert.match(alias.stdout, /FAILED +target version/);
    const backwards = await wrong(['--to', `127.0.0.1:${old.port}`], databaseEnvironment(next.superuser('postgres')));
    assert.equal(backwards.status, 5, backwards.stderr);
    assert.match(backwards.stdout, /FAILED +target version +PostgreSQL 14\.\d+ there is not newer than 15/);
    const nowhere = await wrong(['--to', '127.0.0.1:1']);
    assert.equal(nowhere.status, 10, nowhere.stderr);
    const odd = await wrong(['--to', 'db18/mastodon']);
    assert.equal(odd.status, 2, odd.stderr);
    await next.query('alter role mastodon nocreatedb');
    const rights = await wrong(['--to', to]);
    assert.match(rights.stdout, /FAILED +target role +'mastodon' may not create databases there/);
    await next.query('alter role mastodon createdb');
  });

  it('rehearse restores the newest snapshot there while people write, and takes it away again', async () => {
    const none = await upgrade('rehearse', '--to', to);
    assert.equal(none.status, 4, none.stderr);
    const run = await runCommand(['run'], environment);
    assert.equal(run.status, 0, run.stderr);
    const untouched = await databases(next);
    await using writer = await puma();
    const rehearsed = await upgrade('rehearse', '--to', to, '--json');
    assert.equal(rehearsed.status, 0, rehearsed.stderr);
    await writer.query('select 1');
    const { durationMs, serverVersion } = JSON.parse(rehearsed.stdout) as { durationMs: number; serverVersion: string };
    assert.ok(durationMs > 0);
    assert.match(serverVersion, /^15/);
    assert.deepEqual(await databases(next), untouched);
    const check = await upgrade('check', '--to', to);
    assert.match(check.stdout, /ok +time +the rehearsal of daily\//);
  });

  it('run waits for people to leave, and names who stays', async () => {
    const writer = await puma();
    const refused = await upgrade('run', '--to', to);
    assert.equal(refused.status, 2, refused.stderr);
    assert.match(refused.stderr, /Somebody is still connected to 'mastodon_production' after 30 s: puma \(1\)/);
    assert.match(refused.stderr, /docker compose stop web streaming sidekiq/);
    assert.deepEqual(await databases(next), ['postgres']);
    await writer[Symbol.asyncDispose]();
  });

  it('run finds what was written behind its back, and does it again', async () => {
    await using running = startCommand(['upgrade', 'run', '--to', to], environment);
    await running.saw('Restore started');
    await old.query("insert into accounts (username, created_at, updated_at) select 'late', now(), now()", name);
    const result = await running.result;
    assert.equal(result.status, 20, result.stderr);
    assert.match(result.stderr, /Somebody wrote into 'mastodon_production' on the old server while it was upgraded/);
  });

  it('run moves the database, compares both, and says the one word to change', async () => {
    const done = await upgrade('run', '--to', to);
    assert.equal(done.status, 0, done.stderr);
    assert.match(done.stdout, /ok +rows on both servers +\d+ in \d+ tables, the same here and there/);
    assert.match(
      done.stdout,
      new RegExp(`Change in \\.env\\.production, and start Mastodon:\n  DB_PORT=${next.port}\n`),
    );
    assert.match(done.stdout, new RegExp(`To go back[^\n]*\n  DB_PORT=${old.port}\n`));
    const count = 'select count(*)::int as n, max(id) as id from accounts';
    assert.deepEqual(await next.query(count, name), await old.query(count, name));
    const owners = await next.query("select distinct tableowner from pg_tables where schemaname = 'public'", name);
    assert.deepEqual(owners, [{ tableowner: 'mastodon' }]);
    // What an earlier try had made is kept beside it.
    assert.equal((await databases(next)).filter((one) => String(one).startsWith(`${name}_before_`)).length, 1);
    assert.match(done.stdout, /prune --accept-new-server/);
  });

  it('run a second time only compares, and sees when the new server is not the old one any more', async () => {
    const again = await upgrade('run', '--to', to, '--json');
    assert.equal(again.status, 0, again.stderr);
    assert.match(again.stderr, /Nobody has written since the last dump/);
    assert.match(again.stderr, /It is restored there already/);
    await next.query('delete from accounts where id = (select max(id) from accounts)', name);
    const different = await upgrade('run', '--to', to);
    assert.equal(different.status, 20, different.stderr);
    assert.match(different.stderr, /rows on both servers: public\.accounts has \d+ instead of \d+/);
  });

  it('run takes the last dump anew when somebody has removed it', async () => {
    rmSync(`${scratch.path}/backups/labelled`, { recursive: true });
    const { status, stdout, stderr } = await upgrade('run', '--to', to, '--json');
    assert.equal(status, 0, stderr);
    assert.match(stderr, /Dump started/);
    const { snapshot } = JSON.parse(stdout) as { snapshot: string };
    assert.ok(existsSync(`${scratch.path}/backups/${snapshot}.json`));
  });

  it('is accepted by name when retention asks whose the snapshots are', async () => {
    const moved = { ...environment, ...databaseEnvironment(next.mastodon(name)) };
    const { stdout } = await runCommand(['prune', '--dry-run'], moved);
    assert.match(stdout, /another database server[^]*prune --accept-new-server/);
  });
});

describe('both servers side by side', () => {
  it('are the same from 14 to 18, and told apart by a row, a sequence, an index', async () => {
    using scratch = temporaryDirectory();
    await using old = await startPostgres({ major: 14 });
    await using next = await startPostgres({ major: 18 });
    await createMastodonDatabase(old, { name, megabytes: 1 });
    await next.query('alter role mastodon createdb');
    mkdirSync(`${scratch.path}/backups`);
    const settings = {
      BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_COMPRESSION: 'none',
      LOCAL_DOMAIN: 'social.example',
    };
    for (const [args, server] of [
      [['run'], old],
      [['restore', 'latest', '--to-database', name], next],
    ] as const) {
      const { status, stderr } = await runCommand(args, { ...databaseEnvironment(server.mastodon(name)), ...settings });
      assert.equal(status, 0, stderr);
    }
    const signal = AbortSignal.timeout(1_800_000);
    await using here = await connect(old.mastodon(name), signal);
    await using there = await connect(next.mastodon(name), signal);
    const wrong = async (): Promise<readonly string[]> =>
      (await compareServers({ old: here, new: there }, { limitMs: 60_000, signal }))
        .filter(({ status }) => status === 'failed')
        .map(({ check, detail }) => `${check}: ${detail}`);
    assert.deepEqual(await wrong(), []);
    const [index] = await next.query(
      "select indexrelid::regclass::text as name from pg_index i join pg_class c on c.oid = indrelid where relname = 'statuses' and not indisunique",
      name,
    );
    await next.query(
      `drop index ${String(index?.['name'])}; delete from follows where id = (select min(id) from follows)`,
      name,
    );
    await next.query("select setval('accounts_id_seq', 1)", name);
    assert.match(
      (await wrong()).join('\n'),
      /rows.*: public\.follows has[^]*sequences.*accounts_id_seq[^]*objects.*\d+ indexes instead of/,
    );
  });
});

it('an upgrade of a standby is refused: who writes to its primary would not be seen', async () => {
  await using primary = await startPostgres({ major: 15 });
  await createMastodonDatabase(primary, { name, megabytes: 1 });
  await using standby = await startStandby(primary);
  await using next = await startPostgres({ major: 17 });
  await next.query('alter role mastodon createdb');
  using scratch = temporaryDirectory();
  mkdirSync(`${scratch.path}/backups`);
  const environment = {
    ...databaseEnvironment(standby.mastodon(name)),
    BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
    BACKUP_STATE_DIR: `${scratch.path}/state`,
    BACKUP_COMPRESSION: 'none',
    LOCAL_DOMAIN: 'social.example',
  };
  for (const [action, status] of [
    ['check', 5],
    ['run', 20],
  ] as const) {
    const refused = await runCommand(['upgrade', action, '--to', `127.0.0.1:${next.port}`], environment);
    assert.equal(refused.status, status, refused.stdout + refused.stderr);
    assert.match(refused.stdout + refused.stderr, /it is a standby: Mastodon writes to another server/);
  }
  assert.deepEqual(await next.query('select from pg_database where datname = $$mastodon_production$$'), []);
});
