// What a dump holds is code of whoever could write into the database, or into the bucket. Wherever it is evaluated (by a restore,
// by a drill and its checks, by our own questions) it must never be in a session with more rights than a database's owner has.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { Client } from 'pg';
import type { RestoreReport } from '../../src/app/restore-verb.ts';
import type { DrillDocument } from '../../src/drill/drill-record.ts';
import { restoreScriptName } from '../../src/kit/restore-script.ts';
import { databaseEnvironment, runCommand, startCommand } from '../support/command.ts';
import { connectTest } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres, testPassword, type PostgresServer } from '../support/postgres-server.ts';
import { commandBlocks, createStockShell } from '../support/stock-tools.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

/** Tries every way out of a session that we know, and leaves a file named for where it got out. */
const attack = (witness: string): string => `
  create table stolen (place text, way text);
  create function attack(place text) returns boolean language plpgsql as $attack$
  declare
    way text;
  begin
    foreach way in array array[
      format('copy (select 1) to program %L', 'touch ${witness}/' || place), 'reset role', 'set role none', 'reset session authorization', 'set session authorization postgres', 'set role postgres',
      'set role pg_execute_server_program', 'grant pg_execute_server_program to ' || pg_catalog.quote_ident(session_user),
      'alter role ' || pg_catalog.quote_ident(session_user) || ' superuser', 'alter role postgres password null',
      'update pg_authid set rolsuper = true', 'create extension if not exists dblink', 'create extension if not exists adminpack',
      'create extension if not exists file_fdw', 'create language plpython3u', 'load ''/tmp/evil.so''',
      'create event trigger every on ddl_command_end execute function no_function()',
      'alter database ' || pg_catalog.quote_ident(current_database()) || ' set search_path = public, pg_catalog',
      format('select dblink_exec(''host=127.0.0.1 port=%s user=postgres password=x dbname=postgres'', ''copy (select 1) to program ''''touch ${witness}/dblink'''''')',
             current_setting('port')),
      'create table if not exists lines (line text)', 'copy lines from program ''touch ${witness}/from''', 'copy lines from ''/etc/passwd''',
      'select pg_read_file(''/etc/passwd'')', 'select lo_import(''/etc/passwd'')', 'select pg_ls_dir(''/'')',
      format('copy (select 1) to program %L', 'touch ${witness}/' || place)]
    loop
      begin
        execute way;
        if way ~ '^copy|pg_read_file|lo_import|pg_ls_dir|dblink_exec|superuser$|authorization postgres' then
          insert into public.stolen values (place, way);
        end if;
      exception when others then null;
      end;
    end loop;
    -- For whoever comes next in this session.
    begin reset role; exception when others then null; end;
    return true;
  end $attack$;
  create function quiet(place text, value integer) returns integer immutable language plpgsql as
    $$ begin perform public.attack(place); return value; end $$;
`;

/** Everywhere that code of a database's owner is evaluated while it is restored or checked. */
const places = `
  create table checked (v integer check (attack('check')));
  create table unvalidated (v integer); insert into unvalidated values (1);
  alter table unvalidated add constraint later check (attack('not-valid')) not valid;
  create domain guarded as integer check (attack('domain'));
  create table of_domain (v guarded);
  create table generated (v integer, w integer generated always as (quiet('generated', v)) stored);
  create table defaulted (v integer default quiet('default', 1), w integer);
  create table indexed (v integer); create unique index on indexed (quiet('index', v)); create index on indexed (v) where quiet('predicate', v) > 0;
  create table excluded (v integer, exclude using btree (quiet('exclusion', v) with =));
  create table counted (v integer); create statistics of_expression on quiet('statistics', v), v from counted;
  create table parted (v integer) partition by list (quiet('partition', v)); create table part partition of parted for values in (1);
  create table secured (v integer); alter table secured enable row level security; alter table secured force row level security;
  create policy reading on secured using (attack('policy'));
  create table ruled (v integer); create rule also as on insert to ruled do also select attack('rule');
  create table triggered (v integer); create function fire() returns trigger language plpgsql as $$ begin perform public.attack('trigger'); return new; end $$;
  insert into checked values (1); insert into of_domain values (1); insert into generated values (1); insert into defaulted (w) values (1);
  insert into indexed values (1); insert into excluded values (1); insert into counted values (1); insert into parted values (1);
  insert into secured values (1); insert into ruled values (1); insert into triggered values (1);
  create trigger fire before insert or update on triggered for each row execute function fire(); alter table triggered enable always trigger fire;
  create materialized view refreshed as select attack('view') as done;
  create view seen as select attack('plain-view') as done;
  create aggregate total(integer) (sfunc = int4pl, stype = integer);
  create function format(text, name, name) returns text language plpgsql as $$ begin perform public.attack('format'); return quote_ident($2) || '.' || quote_ident($3); end $$;
  create function format(text, text, bigint, text, text) returns text language plpgsql as $$ begin perform public.attack('format-of-rows'); return pg_catalog.format($1, $2, $3, $4, $5); end $$;
  create function quote_ident(name) returns text language plpgsql as $$ begin perform public.attack('quote_ident'); return pg_catalog.quote_ident($1::text); end $$;
  create sequence passed; select nextval('passed');
  create function unlike(name, name) returns boolean language plpgsql as $$ begin perform public.attack('operator'); return $1::text !~ $2::text; end $$;
  create operator !~ (leftarg = name, rightarg = name, function = unlike);
`;

describe('code in a dump that was made by an ordinary role', () => {
  let source: PostgresServer;
  const scratch = temporaryDirectory();
  const witness = `${scratch.path}/witness`;
  let environment: Readonly<Record<string, string>>;
  before(async () => {
    chmodSync(scratch.path, 0o755);
    mkdirSync(witness);
    chmodSync(witness, 0o777);
    source = await startPostgres({ major: 15 });
    await source.createDatabase('hostile');
    // Else it may not read what it guards from itself.
    await source.query('alter role mastodon bypassrls');
    const client = await connectTest(source.mastodon('hostile'));
    await client.query(attack(witness));
    await client.query(places);
    await client.query('delete from stolen');
    await client.end();
    mkdirSync(`${scratch.path}/backups`);
    environment = {
      ...databaseEnvironment(source.mastodon('hostile')),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_COMPRESSION: 'none',
    };
    const run = await runCommand(['run'], environment);
    assert.equal(run.status, 0, run.stderr);
  });
  after(async () => {
    await source[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });
  const assertNothingGotOut = (): void => assert.deepEqual(readdirSync(witness), [], 'a program was run');

  for (const major of [15, 18] as const) {
    it(`runs without a superuser's rights in a drill of PostgreSQL ${major}, which it passes`, async () => {
      const bin = linkPrograms(`${scratch.path}/bin-${major}`, major);
      const result = await runCommand(['drill', '--json'], { ...environment, BACKUP_PG_BIN: bin });
      assertNothingGotOut();
      assert.equal(result.status, 0, result.stderr + result.stdout);
      const { status, checks } = JSON.parse(result.stdout) as DrillDocument;
      assert.equal(status, 'passed', JSON.stringify(checks, null, 1));
      assert.match(checks.find(({ check }) => check === 'amcheck')?.detail ?? '', /^\d+ B-trees walked$/);
    });

    it(`runs without a superuser's rights where a superuser of PostgreSQL ${major} restores it, and beside what it made`, async () => {
      await using target = await startPostgres({ major });
      const settings = { ...environment, ...databaseEnvironment(target.superuser('x')) };
      // The second finds what the first has made in the place of the database, and asks about it.
      for (const args of [['--to-database'], ['--replace']]) {
        const result = await runCommand(['restore', 'latest', ...args, 'restored', '--json'], settings);
        assertNothingGotOut();
        assert.equal(result.status, 0, result.stderr);
        assert.equal((JSON.parse(result.stdout) as RestoreReport).owner, 'mastodon');
        assert.deepEqual(await target.query('select distinct place, way from stolen', 'restored'), []);
      }
      assert.deepEqual(await target.query('select rolname from pg_roles where rolsuper'), [{ rolname: 'postgres' }]);
    });
  }

  for (const way of ['the script that lies beside the backups', "the kit's stock commands"] as const)
    it(`runs without a superuser's rights in ${way}, and what it made is the role's`, async () => {
      await using target = await startPostgres({ major: 15 });
      const shell = createStockShell(`${scratch.path}/${way.length}`);
      const lines = way.startsWith('the script') ? ['sh "$DIR/$SCRIPT"'] : await stockLines();
      const result = await shell.run(lines, {
        SCRIPT: restoreScriptName,
        DIR: `${scratch.path}/backups`,
        INSTANCE: 'social.example',
        PGHOST: '127.0.0.1',
        PGPORT: String(target.port),
        PGUSER: 'postgres',
        PGPASSWORD: testPassword,
      });
      assertNothingGotOut();
      assert.equal(result.status, 0, result.stdout + result.stderr);
      assert.deepEqual(await target.query('select distinct place, way from stolen', 'hostile'), []);
      assert.deepEqual(await target.query("select rolname from pg_roles where rolname !~ '^pg_' order by rolname"), [
        { rolname: 'mastodon' },
        { rolname: 'postgres' },
      ]);
      assert.deepEqual(await target.query('select rolname from pg_roles where rolsuper'), [{ rolname: 'postgres' }]);
      assert.deepEqual(
        await target.query("select distinct tableowner from pg_tables where schemaname = 'public'", 'hostile'),
        [{ tableowner: 'mastodon' }],
      );
      assert.deepEqual(
        await target.query("select pg_get_userbyid(datdba) as owner from pg_database where datname = 'hostile'"),
        [{ owner: 'mastodon' }],
      );
    });

  /** The kit from its second step to its fourth, line by line. */
  async function stockLines(): Promise<readonly string[]> {
    const kit = await runCommand(['recovery-kit'], environment);
    assert.equal(kit.status, 0, kit.stderr);
    const wanted =
      /^(?:Where you are|On a machine where|The manifest with the newest|Is the dump whole|or with a server elsewhere|then, for each|and the database|Compare every|Ids of follows)/;
    return commandBlocks(kit.stdout)
      .filter(({ label }) => wanted.test(label))
      .flatMap((block) => block.lines);
  }

  it("is not lent a superuser's rights by a backup of one, nor by what asks before it", async () => {
    const settings = { ...environment, ...databaseEnvironment(source.superuser('hostile')) };
    for (const args of [['doctor'], ['run']]) {
      const { stderr } = await runCommand(args, settings);
      assertNothingGotOut();
      assert.doesNotMatch(stderr, /Unexpected failure/);
    }
  });

  it('finds no way to the superuser of the throw-away server through its socket, and nothing of ours in its environment', async () => {
    const client = await connectTest(source.mastodon('hostile'));
    await client.query(
      `create function waits() returns integer language plpgsql as
         $$ begin if current_database() = 'drill' then perform pg_sleep(600); end if; return 1; end $$;
       create materialized view slow as select waits()`,
    );
    await client.end();
    const bin = linkPrograms(`${scratch.path}/bin-socket`, 15);
    const secret = 'canary-of-the-environment';
    const settings = { ...environment, BACKUP_PG_BIN: bin, SMTP_PASSWORD: secret };
    const run = await runCommand(['run'], settings);
    assert.equal(run.status, 0, run.stderr);
    await using drilling = startCommand(['drill'], settings);
    const home = await until('a server that waits for the view', {
      seconds: 30,
      look: async () => {
        const [name] = readdirSync(`${scratch.path}/scratch`).filter((one) => one.startsWith('drill-'));
        const directory = `${scratch.path}/scratch/${name}`;
        const pidFile = ((): string => {
          try {
            return readFileSync(`${directory}/data/postmaster.pid`, 'utf8');
          } catch {
            return '';
          }
        })();
        return /^ready\s*$/m.test(pidFile) && { directory, processId: Number.parseInt(pidFile, 10) };
      },
    });
    for (const [user, password] of [
      ['postgres', ''],
      ['postgres', 'postgres'],
      ['drill', ''],
    ] as const) {
      const intruder = new Client({ host: home.directory, user, password: () => password, database: 'postgres' });
      await assert.rejects(intruder.connect(), /password authentication failed|empty password|client password/i, user);
    }
    const environments = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== drilling.child.pid)
      .map((name) => {
        try {
          return {
            name,
            text: readFileSync(`/proc/${name}/environ`, 'utf8'),
            parent: readFileSync(`/proc/${name}/stat`, 'utf8'),
          };
        } catch {
          return { name, text: '', parent: '' };
        }
      })
      .filter(({ parent }) => [drilling.child.pid, home.processId].includes(Number(/\) \S (\d+)/.exec(parent)?.[1])));
    assert.ok(environments.length >= 2, 'the server and its processes were seen');
    for (const { text } of environments) assert.doesNotMatch(text, new RegExp(secret));
    assert.deepEqual(
      readdirSync(home.directory).filter((name) => !/^(?:data|\.s\.PGSQL.*|restore-.*\.list|passwd|group)$/.test(name)),
      [],
      'no file with a password',
    );
    drilling.child.kill('SIGTERM');
    assert.equal((await drilling.result).status, 130);
  });
});

describe('what only a superuser may have made', () => {
  it('is left out of a drill by name, which is incomplete then and never runs it', async () => {
    using scratch = temporaryDirectory();
    chmodSync(scratch.path, 0o755);
    const witness = `${scratch.path}/witness`;
    mkdirSync(witness);
    chmodSync(witness, 0o777);
    await using source = await startPostgres({ major: 15 });
    await source.createDatabase('mighty');
    await source.query(
      `create table things (id integer primary key, name text); insert into things values (1, 'one'); alter table things owner to mastodon;
       create function raw(integer) returns integer language internal immutable strict as 'int4abs';
       create index on things (raw(id));
       create function on_ddl() returns event_trigger language plpgsql as
         $$ begin if current_database() = 'drill' then copy (select 1) to program 'touch ${witness}/event'; end if; end $$;
       create event trigger watch on ddl_command_end execute function on_ddl();
       create operator class backwards for type integer using btree as operator 1 > , operator 2 >= , operator 3 = , operator 4 <= , operator 5 < , function 1 btint4cmp(integer, integer);
       create extension dblink;
       create function calls() returns text language sql as $$ select current_user::text $$;
       create materialized view privileged as select calls() as who;
       create function writes() returns boolean language plpgsql as
         $$ begin if current_database() = 'drill' then copy (select 1) to program 'touch ${witness}/view'; end if; return true; end $$;
       create materialized view writing as select writes() as done`,
      'mighty',
    );
    mkdirSync(`${scratch.path}/backups`);
    const settings = {
      ...databaseEnvironment(source.superuser('mighty')),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_COMPRESSION: 'none',
      BACKUP_PG_BIN: linkPrograms(`${scratch.path}/bin`, 15),
    };
    const run = await runCommand(['run'], settings);
    assert.equal(run.status, 0, run.stderr);
    const result = await runCommand(['drill', '--json'], settings);
    assert.deepEqual(readdirSync(witness), []);
    assert.equal(result.status, 22, result.stderr);
    const { status, checks } = JSON.parse(result.stdout) as DrillDocument;
    assert.equal(status, 'incomplete');
    const told = checks.map(({ check, detail }) => `${check}: ${detail}`).join('\n');
    for (const says of [
      /^extensions: not created by a drill, because they reach beyond their database: dblink$/m,
      /^left out: 1 function \(public\.raw\(integer\)\): only a superuser/m,
      /^left out: 1 index \(public\.things_raw_idx\): only a superuser/m,
      /^left out: 1 event trigger \(watch\): only a superuser/m,
      /^left out: 1 operator class \(public\.backwards\): only a superuser/m,
      /^rights: 1 statement wants more rights than a dump is given here: must be superuser .* COPY to or from an external program$/m,
    ])
      assert.match(told, says);
    assert.ok(
      checks.some(({ check, status: found }) => check === 'rows' && found === 'ok'),
      told,
    );
  });
});
