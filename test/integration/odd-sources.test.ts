// Databases that are not quite like the guide's: each is backed up, drilled and restored, or it is said exactly why not.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import type { DrillDocument } from '../../src/drill/drill-record.ts';
import { databaseEnvironment, runCommand, type CommandResult } from '../support/command.ts';
import { countRows, createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe('an odd source', () => {
  let server: PostgresServer;
  const scratch = temporaryDirectory();
  before(async () => {
    chmodSync(scratch.path, 0o755);
    linkPrograms(`${scratch.path}/bin`, 15);
    server = await startPostgres({ major: 15 });
    await server.query('alter role mastodon createdb');
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  const environmentOf = (name: string): Readonly<Record<string, string>> => {
    mkdirSync(`${scratch.path}/${name}`, { recursive: true });
    return {
      ...databaseEnvironment(server.mastodon(name)),
      BACKUP_LOCAL_DIR: `${scratch.path}/${name}`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_PG_BIN: `${scratch.path}/bin`,
      BACKUP_COMPRESSION_LEVEL: '0',
    };
  };
  const done = async (
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): Promise<CommandResult> => {
    const result = await runCommand(args, environment);
    assert.equal(result.status, 0, result.stderr);
    return result;
  };
  const drilled = async (
    environment: Readonly<Record<string, string>>,
    status: DrillDocument['status'] = 'passed',
  ): Promise<DrillDocument> => {
    const result = await runCommand(['drill', '--json'], environment);
    assert.equal(result.status, status === 'passed' ? 0 : 22, result.stderr);
    const document = JSON.parse(result.stdout) as DrillDocument;
    assert.equal(document.status, status, JSON.stringify(document.checks));
    return document;
  };

  it('with pg_trgm comes back with it, and its index works', async () => {
    await createMastodonDatabase(server, { name: 'with_trgm', megabytes: 1 });
    await server.query(
      'create extension pg_trgm; create index trgm on statuses using gin (text gin_trgm_ops)',
      'with_trgm',
    );
    const environment = environmentOf('with_trgm');
    await done(['run'], environment);
    await drilled(environment);
    await done(['restore', 'latest', '--to-database', 'trgm_again'], environment);
    const rows = await server.query(
      "select indisvalid from pg_index where indexrelid = 'trgm'::regclass",
      'trgm_again',
    );
    assert.deepEqual(rows, [{ indisvalid: true }]);
  });

  it('with an extension in a schema of its own comes back whole with every schema', async () => {
    await server.createDatabase('apart');
    await server.query(
      `create schema tools; create extension pg_trgm schema tools;
       create table notes (id integer primary key, text text); alter table notes owner to mastodon;
       create index notes_trgm on notes using gin (text tools.gin_trgm_ops); grant usage on schema tools to mastodon`,
      'apart',
    );
    const environment = environmentOf('apart');
    await done(['run'], environment);
    await drilled(environment);
    await done(['restore', 'latest', '--to-database', 'apart_again'], environment);
    const [row] = await server.query(
      "select n.nspname as schema from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'pg_trgm'",
      'apart_again',
    );
    assert.deepEqual(row, { schema: 'tools' });
  });

  it('with a domain whose constraint was never validated, and large objects, comes back with the one and a word on the others', async () => {
    await server.createDatabase('domains');
    await server.query(
      `set role mastodon; create domain word as text;
       alter domain word add constraint no_spaces check (value not like '% %') not valid;
       create table words (word word); insert into words values ('one'); select lo_from_bytea(0, 'large')`,
      'domains',
    );
    const environment = environmentOf('domains');
    await done(['run'], environment);
    const { stdout } = await done(
      ['restore', 'latest', '--to-database', 'domains_again', '--schema', 'public'],
      environment,
    );
    assert.match(stdout, /note left out: \d+ large objects \(.*\): not asked for with --schema/);
    const whole = await done(['restore', 'latest', '--to-database', 'domains_whole', '--all-schemas'], environment);
    assert.match(whole.stdout, /ok {3}left out: nothing/);
    assert.equal((await server.query('select from pg_largeobject_metadata', 'domains_whole')).length, 1);
  });

  it('in another encoding and collation comes back in them', async () => {
    await server.query(
      "create database latin owner mastodon template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'",
    );
    await server.query("create table words as select 'Grüße' as word; alter table words owner to mastodon", 'latin');
    const environment = environmentOf('latin');
    await done(['run'], environment);
    await drilled(environment);
    await done(['restore', 'latest', '--to-database', 'latin_again'], environment);
    const [row] = await server.query(
      `select pg_encoding_to_char(encoding) as encoding, datcollate as collation
         from pg_database where datname = 'latin_again'`,
    );
    assert.deepEqual(row, { encoding: 'LATIN1', collation: 'C' });
    assert.deepEqual(await server.query('select word from words', 'latin_again'), [{ word: 'Grüße' }]);
  });

  for (const [what, locale] of [
    ['other characters than its collation', "lc_collate 'C' lc_ctype 'C.UTF-8'"],
    ["ICU's collation", "lc_collate 'C' lc_ctype 'C' locale_provider icu icu_locale 'en-US'"],
  ] as const) {
    it(`with ${what} sorts and compares as before`, async () => {
      const name = what.replaceAll(/\W/g, '_').toLowerCase();
      await server.query(`create database ${name} owner mastodon template template0 encoding 'UTF8' ${locale}`);
      await server.query("create table words as select unnest(array['É', 'a', 'B', 'b', 'A']) as word", name);
      await server.query('alter table words owner to mastodon', name);
      const sorted = 'select word, lower(word) as lower from words order by 1';
      const environment = environmentOf(name);
      await done(['run'], environment);
      await drilled(environment);
      await done(['restore', 'latest', '--to-database', `${name}_again`], environment);
      assert.deepEqual(await server.query(sorted, `${name}_again`), await server.query(sorted, name));
      const properties = `select datcollate, datctype, datlocprovider, daticulocale from pg_database where datname = current_database()`;
      assert.deepEqual(await server.query(properties, `${name}_again`), await server.query(properties, name));
    });
  }

  for (const [encoding, words] of [
    ['LATIN1', ['größe', 'größé']],
    ['WIN1251', ['люди', 'пост']],
  ] as const) {
    it(`with names outside of ASCII in ${encoding} comes back with every table under its own name`, async () => {
      const name = encoding.toLowerCase();
      await server.query(
        `create database ${name} owner mastodon template template0 encoding '${encoding}' lc_collate 'C' lc_ctype 'C'`,
      );
      for (const word of words)
        await server.query(
          `set role mastodon; create table "${word}" ("${word}" serial primary key); insert into "${word}" default values`,
          name,
        );
      const environment = environmentOf(name);
      await done(['run'], environment);
      const { stdout } = await done(['list', '--json'], environment);
      const [{ database }] = (JSON.parse(stdout) as { snapshots: [{ database: { rows: object } }] }).snapshots;
      assert.deepEqual(database.rows, Object.fromEntries(words.map((word) => [`public.${word}`, 1])));
      await drilled(environment);
      await done(['restore', 'latest', '--to-database', `${name}_again`], environment);
    });
  }

  it('with row security that is forced upon its owner comes back with the rows that this hides', async () => {
    await server.createDatabase('forced');
    await server.query(
      `set role mastodon; create table notes as select generate_series(1, 10) as n;
       alter table notes enable row level security, force row level security; create policy few on notes using (n < 3)`,
      'forced',
    );
    const environment = { ...environmentOf('forced'), DB_USER: 'postgres' };
    await done(['run'], environment);
    await drilled(environment);
    for (const [target, user] of [
      ['forced_again', 'mastodon'],
      ['forced_by_superuser', 'postgres'],
    ] as const) {
      await done(['restore', 'latest', '--to-database', target], { ...environment, DB_USER: user });
      const [row] = await server.query(
        "select (select count(*)::int from notes) as rows, relforcerowsecurity as forced from pg_class where relname = 'notes'",
        target,
      );
      assert.deepEqual(row, { rows: 10, forced: true });
    }
  });

  it('with tables of another server is drilled without them and by name, which asks no other server, and comes back without them', async () => {
    await server.createDatabase('far');
    await server.query(
      `create extension postgres_fdw; create server far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1');
       create user mapping for public server far options (password 'secret'); grant usage on foreign server far to mastodon;
       set role mastodon; create foreign table there (n integer) server far;
       create table parts (n integer) partition by list (n); create table part_1 partition of parts for values in (1);
       create foreign table part_2 partition of parts for values in (2) server far; insert into parts values (1)`,
      'far',
    );
    const environment = environmentOf('far');
    await done(['run'], environment);
    const { checks } = await drilled(environment, 'incomplete');
    const told = checks.map(({ check, status, detail }) => `${status} ${check}: ${detail}`).join('\n');
    assert.match(told, /^note left out: 2 foreign tables \(public\.part_2, public\.there\): only a superuser/m);
    assert.doesNotMatch(told, /^failed/m);
    const result = await done(['restore', 'latest', '--to-database', 'far_again'], {
      ...environment,
      DB_USER: 'postgres',
    });
    assert.match(result.stdout, /1 server \(far\).*1 user mapping .*2 foreign tables/s);
    assert.deepEqual(await server.query('select n from parts', 'far_again'), [{ n: 1 }]);
  });

  it('with a function that only a superuser may create comes back without it and what needs it', async () => {
    await server.createDatabase('replica_role');
    await server.query(
      `create function quiet() returns trigger language plpgsql set session_replication_role = 'replica' set search_path = public
         as 'begin return new; end';
       alter function quiet() owner to mastodon; create function usual() returns text language sql set timezone = 'UTC' set work_mem = '8MB'
         as $$ select '
    SET log_statement TO none' $$; alter function usual() owner to mastodon;
       create table notes (n integer primary key); alter table notes owner to mastodon;
       create trigger hush before insert on notes for each row execute function quiet(); insert into notes values (1)`,
      'replica_role',
    );
    const environment = environmentOf('replica_role');
    await done(['run'], environment);
    const { checks } = await drilled(environment, 'incomplete');
    assert.ok(checks.every(({ status }) => status !== 'failed'));
    for (const user of ['mastodon', 'postgres']) {
      const { stdout } = await done(['restore', 'latest', '--to-database', `replica_role_${user}`], {
        ...environment,
        DB_USER: user,
      });
      assert.match(stdout, /1 function \(public\.quiet\(\)\): only a superuser.*1 trigger \(public\.notes hush\)/s);
    }
  });

  it('with a trusted extension fills the empty database of a role that may create none, or leaves it empty', async () => {
    await server.createDatabase('trusted');
    await server.query(
      `set role mastodon; create extension citext; create table people (name citext primary key); insert into people values ('A')`,
      'trusted',
    );
    const environment = environmentOf('trusted');
    await done(['run'], environment);
    await server.query('create role modest login');
    for (const name of ['modest_one', 'modest_two'])
      await server.query(`create database ${name} owner modest template template0`);
    const modest = { ...environment, DB_USER: 'modest' };
    await done(['restore', 'latest', '--to-database', 'modest_one'], modest);
    assert.deepEqual(await server.query("select name = 'a' as same from people", 'modest_one'), [{ same: true }]);
    // Its table would make a type of that name.
    await server.query("create type people as enum ('x')", 'modest_two');
    const result = await runCommand(['restore', 'latest', '--to-database', 'modest_two'], modest);
    assert.equal(result.status, 20, result.stderr);
    assert.deepEqual(
      await server.query("select extname from pg_extension where extname <> 'plpgsql'", 'modest_two'),
      [],
    );
  });

  it('without LOCAL_DOMAIN is found again under another host name', async () => {
    await createMastodonDatabase(server, { name: 'nameless', megabytes: 1 });
    const environment = environmentOf('nameless');
    await done(['run'], environment);
    const elsewhere = { ...environment, DB_HOST: 'localhost', DB_NAME: 'another' };
    const document = await drilled(elsewhere);
    assert.equal(document.instance, '127.0.0.1/nameless');
    await done(['restore', 'latest', '--to-database', 'another'], elsewhere);
    assert.deepEqual(await countRows(server.mastodon('another')), await countRows(server.mastodon('nameless')));
  });

  it('with names, types and texts of every kind comes back the same', async () => {
    await createMastodonDatabase(server, { name: 'odd names, ö', megabytes: 1, withOddities: true });
    const environment = environmentOf('odd names, ö');
    await done(['run'], environment);
    await drilled(environment);
    await done(['restore', 'latest', '--to-database', `host=x 'odd' \\ too`], environment);
    assert.deepEqual(
      await countRows(server.mastodon(`host=x 'odd' \\ too`)),
      await countRows(server.mastodon('odd names, ö')),
    );
  });
});
