// What changes a table while a backup begins: every row that was there before the change or after it is in the snapshot, the
// change goes on, and the moment in the manifest is that of the snapshot.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { followCommand, runCommand, type CommandResult } from '../support/command.ts';
import { connectTest } from '../support/mastodon-data.ts';
import { fixtureClient, startStage, type FaultStage } from './support.ts';
import { manifestFrom } from '../support/manifests.ts';

const database = 'mastodon_production';

describe('the moment of a snapshot', () => {
  let stage: FaultStage;
  let rows: Readonly<Record<string, number>>;
  before(async () => {
    stage = await startStage({ megabytes: 2 });
    await stage.server.query(
      `set role mastodon;
       create table events (id integer, kind text) partition by list (kind);
       create table events_a partition of events for values in ('a');
       create table events_b partition of events for values in ('b');
       insert into events select g, case when g % 2 = 0 then 'a' else 'b' end from generate_series(1, 60) g;
       create view loud as select id from events; create function shout() returns text language sql as $$ select 'a' $$;
       create sequence counter`,
      database,
    );
    rows = await backedUp(await runCommand(['run', '--label', 'undisturbed'], stage.environment));
  });
  after(async () => stage[Symbol.asyncDispose]());

  async function newest(): Promise<Manifest> {
    const { stdout } = await runCommand(['list', '--json'], stage.environment);
    const [manifest] = (JSON.parse(stdout) as { snapshots: unknown[] }).snapshots.map(manifestFrom);
    assert.ok(manifest !== undefined);
    return manifest;
  }

  async function backedUp(result: CommandResult): Promise<Readonly<Record<string, number>>> {
    assert.equal(result.status, 0, result.stderr);
    return (await newest()).database.rows;
  }

  /** A client whose pg_dump runs `sql` once, after the snapshot was taken and before the real one starts. */
  function clientAfter(name: string, sql: string): string {
    const done = `${stage.scratch}/${name}.done`;
    rmSync(done, { force: true });
    const psql = '"$(dirname "$real")/psql" -qAtX -v ON_ERROR_STOP=1';
    return fixtureClient(stage.scratch, {
      name,
      script: `[ -e '${done}' ] || { touch '${done}'; ${psql} >&2 <<'SQL' || exit 9\n${sql}\nSQL\n}\nexec "$real" "$@"`,
    });
  }

  for (const [what, statements] of [
    [
      'rewritten',
      'alter table follows alter column show_reblogs type int using show_reblogs::int, alter column show_reblogs drop default',
    ],
    [
      'emptied and filled again',
      'create temp table kept on commit drop as table follows; truncate follows; insert into follows select * from kept',
    ],
    [
      'dropped and made again under its name',
      'create table again as table statuses_tags; drop table statuses_tags; alter table again rename to statuses_tags',
    ],
    [
      'a partition that is emptied and filled again',
      `create temp table kept on commit drop as table events_a; truncate events_a; insert into events select * from kept`,
    ],
    [
      'a partition that is replaced by another one',
      `create table events_c as table events_a; alter table events detach partition events_a; drop table events_a;
       alter table events_c rename to events_a; alter table events attach partition events_a for values in ('a')`,
    ],
    [
      'moved to another schema and back',
      'create schema apart; alter table favourites set schema apart; alter table apart.favourites set schema public; drop schema apart',
    ],
    [
      'rewritten by a new column with a value for each row',
      'alter table mentions add column marked float default random()',
    ],
  ] as const) {
    it(`has every row of what is ${what} while the backup begins`, async () => {
      const migration = await connectTest(stage.server.mastodon(database));
      try {
        await migration.query(`begin; ${statements}`);
        await using running = followCommand(['run', '--label', 'moment'], stage.environment);
        await running.saw('Dump started');
        await sleep(1_500);
        await migration.query('commit');
        assert.deepEqual(await backedUp(await running.result), rows);
      } finally {
        await migration.end();
      }
    });
  }

  it('has every row, and a migration is let through, when it comes between the locks and those of pg_dump', async () => {
    const script = '[ -e "$0.done" ] || { touch "$0.done"; sleep 2; }; exec "$real" "$@"';
    await using running = followCommand(['run', '--label', 'between'], {
      ...stage.environment,
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'slow', script }),
      BACKUP_LOCK_WAIT: '2m',
      BACKUP_YIELD_AFTER: '1m',
    });
    await stage.saw(`application_name = 'mastodon-backup snapshot' and xact_start is not null`);
    const startedAt = performance.now();
    await stage.server.query(
      'begin; create temp table kept on commit drop as table follows; truncate follows; insert into follows select * from kept; commit',
      database,
    );
    assert.ok(performance.now() - startedAt < 20_000, 'it was waited out');
    const result = await running.result;
    assert.deepEqual(await backedUp(result), rows);
    assert.match(result.stderr, /"reason":"behind".*it begins anew/);
  });

  for (const [what, prepare, statements, undo] of [
    [
      'dropped with its schema',
      'create schema apart; create table apart.things (n int)',
      'drop schema apart cascade',
      'select',
    ],
    [
      'dropped for a view of its name',
      'create table things (n int)',
      'drop table things; create materialized view things as select 1 as n',
      'drop materialized view things',
    ],
  ] as const) {
    it(`goes on when a table that it waits for is ${what}`, async () => {
      await stage.server.query(prepare, database);
      await stage.server.query('grant pg_read_all_data to mastodon');
      const migration = await connectTest(stage.server.superuser(database));
      try {
        await migration.query(`begin; ${statements}`);
        await using running = followCommand(['run', '--label', 'gone'], stage.environment);
        await running.saw('Dump started');
        await sleep(1_000);
        await migration.query('commit');
        assert.deepEqual(await backedUp(await running.result), rows);
      } finally {
        await migration.end();
        await stage.server.query(`${undo}; revoke pg_read_all_data from mastodon`, database);
      }
    });
  }

  it('gives way for a role that becomes another one when it logs in, too', async () => {
    await stage.server.query(
      'create role dumper login; grant mastodon to dumper; alter role dumper set role = mastodon',
    );
    const script = '[ -e "$0.done" ] || { touch "$0.done"; sleep 2; }; exec "$real" "$@"';
    await using running = followCommand(['run', '--label', 'dumper'], {
      ...stage.environment,
      DB_USER: 'dumper',
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'slow-dumper', script }),
      BACKUP_LOCK_WAIT: '2m',
      BACKUP_YIELD_AFTER: '1m',
    });
    await stage.saw(`application_name = 'mastodon-backup snapshot' and xact_start is not null`);
    const startedAt = performance.now();
    await stage.server.query('begin; lock table follows in access exclusive mode; commit', database);
    assert.ok(performance.now() - startedAt < 20_000, 'it was waited out');
    const result = await running.result;
    assert.deepEqual(await backedUp(result), rows);
    assert.match(result.stderr, /"reason":"behind".*it begins anew/);
  });

  it('never makes a deadlock of a migration that takes its tables in another order', async () => {
    const migration = await connectTest(stage.server.mastodon(database));
    try {
      await migration.query('begin; lock table statuses in access exclusive mode');
      await using running = followCommand(['run', '--label', 'order'], stage.environment);
      await running.saw('Dump started');
      await sleep(1_000);
      const startedAt = performance.now();
      await migration.query('lock table accounts in access exclusive mode');
      assert.ok(performance.now() - startedAt < 500, 'the backup held a lock while it waited for another one');
      await migration.query('commit');
      await backedUp(await running.result);
    } finally {
      await migration.end();
    }
  });

  for (const [what, sql] of [
    ['view', 'drop view loud'],
    ['function', 'drop function shout()'],
    ['sequence', 'drop sequence counter'],
  ] as const) {
    it(`begins anew when a ${what} is dropped under pg_dump`, async () => {
      const environment = { ...stage.environment, BACKUP_PG_BIN: clientAfter(`drop-${what}`, sql) };
      const result = await runCommand(['run', '--label', 'dropped'], environment);
      assert.deepEqual(await backedUp(result), rows);
    });
  }

  it('is that of the data, and of the version of the schema, however long pg_dump takes to start', async () => {
    const sql = `insert into schema_migrations values ('99990101000000'); insert into settings (var, value) values ('late', clock_timestamp()::text); select pg_sleep(1)`;
    const environment = { ...stage.environment, BACKUP_PG_BIN: clientAfter('late', sql) };
    const result = await runCommand(['run', '--label', 'late'], environment);
    assert.deepEqual(await backedUp(result), rows);
    const { dataAt, mastodon } = await newest();
    const [late] = await stage.server.query("delete from settings where var = 'late' returning value", database);
    assert.ok(
      dataAt.getTime() <= Date.parse(String(late?.['value'])),
      `${dataAt.toISOString()} is after ${String(late?.['value'])}`,
    );
    assert.notEqual(mastodon?.schemaVersion, '99990101000000');
    await stage.server.query("delete from schema_migrations where version = '99990101000000'", database);
  });

  it('holds through every time limit that the role or the database has', async () => {
    const limits = ['idle_in_transaction_session_timeout', 'idle_session_timeout', 'lock_timeout', 'statement_timeout'];
    for (const name of limits)
      await stage.server.query(`alter role mastodon in database ${database} set ${name} = '300ms'`);
    try {
      const environment = {
        ...stage.environment,
        BACKUP_PG_BIN: clientAfter('limits', 'set statement_timeout = 0; select pg_sleep(1.5)'),
      };
      assert.deepEqual(await backedUp(await runCommand(['run', '--label', 'limits'], environment)), rows);
    } finally {
      await stage.server.query(`alter role mastodon in database ${database} reset all`);
    }
  });

  it('is no backup when the session that holds it is lost, and can be tried again', async () => {
    const sql =
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mastodon-backup snapshot'";
    const { id } = await newest();
    const result = await runCommand(['run', '--label', 'lost'], {
      ...stage.environment,
      BACKUP_PG_BIN: clientAfter('lost', sql),
    });
    assert.equal(result.status, 10, result.stderr);
    assert.match(result.stderr, /session that holds the snapshot was lost.*run the backup again/);
    assert.equal((await newest()).id, id);
    await stage.assertNoBackend();
  });
});
