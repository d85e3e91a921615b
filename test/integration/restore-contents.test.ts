// What a dump of other people's databases holds besides tables: it comes back, or the report counts it by kind. An extension
// that the target cannot have keeps nobody from the rest, and a restore that would bring nothing back is none.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import type { RestoreReport } from '../../src/app/restore-verb.ts';
import { databaseEnvironment, runCommand, type CommandResult } from '../support/command.ts';
import { connectTest, countRows, createMastodonDatabase } from '../support/mastodon-data.ts';
import { createMastodonVariant } from '../support/mastodon-variants.ts';
import { startPostgres, type PostgresServer, type SqlExtension } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** By name before what it needs; rows of its own in tables whose rows are dumped, by condition, in part and as a whole. */
const extensions: readonly SqlExtension[] = [
  {
    name: 'a_search',
    control: "requires = 'z_base'\nrelocatable = true",
    script: 'create view a_of_z as select 1 as one;',
  },
  { name: 'z_base', control: 'relocatable = true', script: 'create table z_things (id integer);' },
  {
    name: 'kept',
    control: 'relocatable = false\nschema = kept',
    script: `create table kept.some (id integer primary key, own boolean default true);
             insert into kept.some values (1, false), (2, false);
             create table kept.whole (id serial primary key, name text); insert into kept.whole (name) values ('built in');
             select pg_catalog.pg_extension_config_dump('kept.some', 'where own');
             select pg_catalog.pg_extension_config_dump('kept.whole', '');
             select pg_catalog.pg_extension_config_dump('kept.whole_id_seq', '');`,
  },
];

describe('what a dump holds besides tables', () => {
  let source: PostgresServer;
  let target: PostgresServer;
  const scratch = temporaryDirectory();
  before(async () => {
    [source, target] = await Promise.all([
      startPostgres({ major: 15, extensions }),
      startPostgres({ major: 15, extensions }),
    ]);
    for (const server of [source, target]) await server.query('alter role mastodon createdb');
  });
  after(async () => {
    await source[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  const settingsOf = (name: string): Readonly<Record<string, string>> => {
    mkdirSync(`${scratch.path}/${name}`, { recursive: true });
    return {
      LOCAL_DOMAIN: `${name}.example`,
      BACKUP_LOCAL_DIR: `${scratch.path}/${name}`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_COMPRESSION: 'none',
    };
  };
  const backUp = async (name: string): Promise<Readonly<Record<string, string>>> => {
    const settings = settingsOf(name);
    const run = await runCommand(['run'], { ...settings, ...databaseEnvironment(source.superuser(name)) });
    assert.equal(run.status, 0, run.stderr);
    return settings;
  };
  const restore = async (
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): Promise<CommandResult> => runCommand(['restore', 'latest', '--json', ...args], environment);
  const report = (result: CommandResult): RestoreReport => {
    assert.equal(result.status, 0, result.stderr);
    return JSON.parse(result.stdout) as RestoreReport;
  };
  const leftOut = (result: RestoreReport): string =>
    result.checks
      .filter(({ check }) => check === 'left out')
      .map(({ detail }) => detail)
      .join('\n');

  it('comes back, or is counted by kind', async () => {
    await createMastodonDatabase(source, { name: 'many', megabytes: 1 });
    await source.query(
      `create role reader; create schema pghero; create function pghero.one() returns integer language sql as 'select 1';
       create type pair as (a integer); create function pair_text(pair) returns text language sql as 'select $1.a::text';
       create cast (pair as text) with function pair_text(pair);
       create cast (text as integer) with inout as implicit;
       create function pg_catalog_like(text) returns uuid language sql as 'select null::uuid';
       create cast (text as uuid) with function pg_catalog_like(text);
       create function on_ddl() returns event_trigger language plpgsql as 'begin end';
       create event trigger watch on ddl_command_end execute function on_ddl();
       create function raw(integer) returns integer language internal as 'int4abs';
       create view uses_raw as select raw(1) as absolute;
       select lo_from_bytea(0, 'large');
       grant select on accounts to reader; create publication changes for table accounts;
       alter default privileges grant select on tables to reader;
       create aggregate total(integer) (sfunc = int4pl, stype = integer);
       create text search configuration words (copy = simple);
       create statistics names on username, domain from accounts;
       create rule quiet as on delete to tags do instead nothing;
       comment on table accounts is 'people'; comment on schema public is 'ours'; create schema "Odd one"; comment on schema "Odd one" is 'odd'; comment on database many is 'commented';
       alter database many set statement_timeout = '5min';
       alter database many set log_min_messages = 'warning';
       alter role mastodon in database many set search_path = "$user", public, pghero`,
      'many',
    );
    const settings = await backUp('many');
    const result = report(
      await restore(['--to-database', 'many'], { ...settings, ...databaseEnvironment(target.superuser('x')) }),
    );
    const [there] = await target.query(
      `select pghero.one() as hero, row(7)::pair::text as cast_of_user, '5'::text + 1 as cast_of_server, total(i) as total,
              obj_description('accounts'::regclass) as comment, obj_description('public'::regnamespace) as of_schema,
              (select count(*)::int from pg_largeobject_metadata) as large,
              (select count(*)::int from pg_statistic_ext) as statistics, (select count(*)::int from pg_ts_config where cfgname = 'words') as words
         from generate_series(1, 3) i`,
      'many',
    );
    assert.deepEqual(there, {
      hero: 1,
      cast_of_user: '7',
      cast_of_server: 6,
      total: 6,
      comment: 'people',
      of_schema: 'ours',
      large: 1,
      statistics: 1,
      words: 1,
    });
    const told = leftOut(result);
    for (const says of [
      /^1 event trigger \(watch\): only a superuser/m,
      /^1 function \(public\.raw\(integer\)\): only a superuser/m,
      /^1 view \(public\.uses_raw\): only a superuser/m,
      /^1 cast \(CAST \(text AS uuid\)\): only a superuser/m,
      /^1 publication \(changes\): they belong to a server/m,
      /^1 publication table \(public\.changes accounts\)/m,
      /^1 granted right \(public\.TABLE accounts\)/m,
      /^1 default right/m,
      /^1 comment \(DATABASE many\)/m,
    ])
      assert.match(told, says);
    assert.equal(told.split('\n').length, 9, told);
    const taken = result.checks.filter(({ check }) => check === 'settings').map(({ detail }) => detail);
    assert.deepEqual(taken, [
      `taken over from the dump: statement_timeout='5min', search_path='$user', 'public', 'pghero' of mastodon`,
      "not taken over from the dump: log_min_messages='warning' (only a superuser may set it)",
    ]);
    const client = await connectTest(target.mastodon('many'));
    const { rows } = await client.query('show search_path');
    await client.end();
    assert.deepEqual(rows, [{ search_path: '"$user", public, pghero' }]);
  });

  it('comes back for an ordinary role as far as it may have it', async () => {
    const settings = settingsOf('many');
    const result = report(
      await restore(['--to-database', 'ordinary'], { ...settings, ...databaseEnvironment(target.mastodon('x')) }),
    );
    assert.match(leftOut(result), /^2 casts \(CAST \(text AS integer\), CAST \(text AS uuid\)\): only a superuser/m);
    assert.deepEqual(await target.query('select pghero.one(), row(7)::pair::text', 'ordinary'), [{ one: 1, row: '7' }]);
  });

  it('is created in the order of need when it is an extension, each in its schema, its own rows once', async () => {
    await createMastodonDatabase(source, { name: 'extended', megabytes: 1 });
    await source.query(
      `create schema tools; create extension z_base schema tools; create extension a_search schema tools; create extension kept;
       insert into kept.some values (7, true); insert into kept.whole (name) values ('mine');
       update kept.whole set name = 'changed' where name = 'built in'`,
      'extended',
    );
    const settings = await backUp('extended');
    const result = report(
      await restore(['--to-database', 'extended'], { ...settings, ...databaseEnvironment(target.superuser('x')) }),
    );
    const state = `select (select array_agg(extname || ' ' || nspname order by extname) from pg_extension e join pg_namespace n on n.oid = extnamespace) as extensions,
                          (select array_agg(id || ' ' || own order by id) from kept.some) as some, (select array_agg(id || name order by id) from kept.whole) as whole,
                          (select last_value from kept.whole_id_seq) as sequence`;
    assert.deepEqual(await target.query(state, 'extended'), await source.query(state, 'extended'));
    assert.equal(result.checks.find(({ check }) => check === 'extension tables')?.status, 'ok');
    const rights = await target.query(
      "select relname from pg_class where relacl::text like '%mastodon\\_backup%' union select nspname from pg_namespace where nspacl::text like '%mastodon\\_backup%'",
      'extended',
    );
    assert.deepEqual(rights, [], 'what the login was lent is taken back');
  });

  it('that the target cannot have is named with what depends on it, and can be left out', async () => {
    await createMastodonVariant(source, { name: 'apart', variant: 'extensions-apart', megabytes: 1 });
    await source.query('create extension adminpack; create extension z_base', 'apart');
    const settings = await backUp('apart');
    await using newer = await startPostgres({ major: 18 });
    const environment = { ...settings, ...databaseEnvironment(newer.superuser('x')) };
    const refused = await restore(['--to-database', 'apart'], environment);
    assert.equal(refused.status, 20);
    assert.match(
      refused.stderr,
      /does not have what the dump needs: adminpack, z_base; nothing in the dump depends on them.*--without-extension adminpack --without-extension z_base/,
    );
    assert.deepEqual(await newer.query("select from pg_database where datname like 'apart%'"), []);
    const lacking = ['--without-extension', 'adminpack', '--without-extension', 'z_base'];
    const result = report(await restore(['--to-database', 'apart', ...lacking], environment));
    assert.match(leftOut(result), /^2 extensions \(adminpack, z_base\)/m);
    const { 'public.z_things': ofExtension, ...others } = await countRows(source.superuser('apart'));
    assert.equal(ofExtension, 0, 'a table of the extension that stays away');
    assert.deepEqual(await countRows(newer.superuser('apart')), others);
    const less = report(
      await restore(['--to-database', 'less', ...lacking, '--without-extension', 'pg_trgm'], environment),
    );
    assert.match(
      leftOut(less),
      /^1 index \(public\.statuses_text_trgm\): they depend on an extension that was left out/m,
    );
    const mistyped = ['--without-extension', 'citetx', '--without-extension', 'citext'];
    const least = await restore(['--to-database', 'least', ...lacking, ...mistyped], environment);
    assert.match(
      least.stderr,
      /no extension 'citetx' that --without-extension could leave out; it has: adminpack, .*citext/,
    );
    assert.doesNotMatch(least.stderr, /no extension '(?!citetx)/);
    const without = report(least);
    assert.match(leftOut(without), /^1 table \(public\.tags\): they depend on an extension/m);
    assert.match(leftOut(without), /^1 table with rows \(public\.tags\)/m);
  });

  it('is no table: then nothing is moved', async () => {
    await source.createDatabase('nothing');
    await source.query(
      'create schema empty; create function empty.one() returns integer language sql as $$ select 1 $$',
      'nothing',
    );
    const settings = { ...(await backUp('nothing')), ...databaseEnvironment(target.mastodon('precious')) };
    await target.createDatabase('precious');
    await target.query('create table kept as select 1; alter table kept owner to mastodon', 'precious');
    const refused = await restore(['--replace', 'precious'], settings);
    assert.equal(refused.status, 20);
    assert.match(refused.stderr, /would bring back no table at all/);
    const other = { ...settingsOf('many'), ...databaseEnvironment(target.mastodon('precious')) };
    const wrong = await restore(['--replace', 'precious', '--schema', 'pghero'], other);
    assert.equal(wrong.status, 20);
    assert.match(
      wrong.stderr,
      /would bring back no table at all.*Name a schema that has tables with --schema \(public\)/,
    );
    for (const name of ['pghreo', '"Odd one"']) {
      const beside = await restore(['--replace', 'precious', '--schema', 'public', '--schema', name], other);
      assert.equal(beside.status, 20);
      assert.match(beside.stderr, /nothing of the schema '[^']+'\. It has something of: Odd one, pghero, public\./);
    }
    assert.equal((await target.query('select from kept', 'precious')).length, 1);
  });

  it('is in a schema that the role finds by its own search path: Mastodon finds it after the restore', async () => {
    await createMastodonVariant(source, { name: 'own', variant: 'own-schema', megabytes: 1 });
    // No dump has what was set for the role alone.
    await source.query(
      'alter role mastodon in database own reset search_path; alter role mastodon set search_path = masto',
    );
    const settings = { ...(await backUp('own')), ...databaseEnvironment(target.mastodon('own')) };
    await source.query('alter role mastodon reset search_path');
    await target.createDatabase('own');
    await target.query('create table old as select 1; alter table old owner to mastodon', 'own');
    const result = report(await restore(['--replace', 'own'], settings));
    assert.match(result.checks.find(({ check }) => check === 'search path')?.detail ?? '', /set to "masto", "public"/);
    const client = await connectTest(target.mastodon('own'));
    const { rows } = await client.query('select count(*)::int as count from accounts');
    await client.end();
    assert.ok(Number((rows as { count: number }[])[0]?.count) > 10);
    // A role with a path of its own would not see what is set for the database.
    await target.query('alter role mastodon set search_path = elsewhere');
    report(await restore(['--to-database', 'own_again'], settings));
    const again = await connectTest(target.mastodon('own_again'));
    await again.query('select from accounts');
    await again.end();
    await target.query('alter role mastodon reset search_path');
  });

  it('names a role that the target lacks: it is said which to create', async () => {
    await createMastodonDatabase(source, { name: 'guarded', megabytes: 1 });
    await source.query('create policy readers on accounts to reader using (true)', 'guarded');
    const settings = { ...(await backUp('guarded')), ...databaseEnvironment(target.mastodon('x')) };
    const refused = await restore(['--to-database', 'guarded'], settings);
    assert.equal(refused.status, 20);
    assert.match(refused.stderr, /role "reader" does not exist.*CREATE ROLE "reader"/);
    await target.query('create role reader');
    report(await restore(['--to-database', 'guarded'], settings));
  });

  it('cannot be put where nothing can be written, and it is said why', async () => {
    const settings = settingsOf('many');
    await target.query('alter role mastodon set default_transaction_read_only = on');
    const readOnly = await restore(['--to-database', 'x'], {
      ...settings,
      ...databaseEnvironment(target.mastodon('x')),
    });
    assert.equal(readOnly.status, 20);
    assert.match(readOnly.stderr, /can only be read.*RESET default_transaction_read_only/);
    await target.query('alter role mastodon reset default_transaction_read_only');
    await target.query('create role modest login');
    await target.query('create database closed template template0');
    const closed = await restore(['--to-database', 'closed'], {
      ...settings,
      ...databaseEnvironment({ ...target.mastodon('x'), user: 'modest' }),
    });
    assert.equal(closed.status, 20);
    assert.match(
      closed.stderr,
      /may create nothing in the schema 'public' of 'closed'.*GRANT USAGE, CREATE ON SCHEMA "public" TO "modest"/,
    );
    await target.query('grant usage, create on schema public to modest', 'closed');
    const schemas = await restore(['--to-database', 'closed'], {
      ...settings,
      ...databaseEnvironment({ ...target.mastodon('x'), user: 'modest' }),
    });
    assert.match(schemas.stderr, /may not create the schemas pghero.*GRANT CREATE ON DATABASE "closed" TO "modest"/);
  });

  it('leaves no database behind when it fails while autovacuum is in it', async () => {
    await createMastodonDatabase(source, { name: 'vacuumed', megabytes: 1 });
    await source.query(
      `create table dead (id integer) with (autovacuum_vacuum_insert_threshold = 0, autovacuum_vacuum_insert_scale_factor = 0,
         autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1); alter table dead owner to mastodon;
       insert into dead select generate_series(1, 300000);
       create function slowly(seconds integer) returns boolean language plpgsql as
         $$ begin if current_database() like '%restoring%' then perform pg_sleep(seconds); if seconds > 10 then raise exception 'no'; end if; end if; return true; end $$;
       -- A session tells of its rows between two statements, and at most once a second: autovacuum hears of them after this one.
       create table later (seconds integer check (slowly(seconds))); insert into later values (2);
       create table zzz (seconds integer check (slowly(seconds))); insert into zzz values (20);
       alter table later owner to mastodon; alter table zzz owner to mastodon; alter function slowly(integer) owner to mastodon`,
      'vacuumed',
    );
    const settings = { ...(await backUp('vacuumed')), ...databaseEnvironment(target.mastodon('x')) };
    await target.query("alter system set autovacuum_naptime = '1s'");
    await target.query('select pg_reload_conf()');
    try {
      const running = restore(['--to-database', 'vacuumed'], settings);
      await until('autovacuum in the unfinished database', {
        seconds: 60,
        look: async () =>
          (
            await target.query(
              "select from pg_stat_activity where datname like 'vacuumed_restoring%' and backend_type = 'autovacuum worker'",
            )
          ).length > 0,
      });
      const result = await running;
      assert.equal(result.status, 20, result.stderr);
      assert.doesNotMatch(result.stderr, /could not be dropped/);
      assert.deepEqual(await target.query("select from pg_database where datname like 'vacuumed%'"), []);
    } finally {
      await target.query('alter system reset all');
      await target.query('select pg_reload_conf()');
    }
  });
});
