// The role that dumps: whatever it may not read is named before the dump, all of it, with what helps; a role that may only
// read is enough.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { findMissingRights } from '../../src/database/dump-rights.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { runCommand } from '../support/command.ts';
import { connectTest } from '../support/mastodon-data.ts';
import { startStage, type FaultStage } from './support.ts';

const database = 'mastodon_production';

describe('the role that dumps', () => {
  let stage: FaultStage;
  before(async () => {
    stage = await startStage({ megabytes: 1, settings: { max_prepared_transactions: '2' } });
    await stage.server.query(`create role reader login; grant connect on database ${database} to reader`, database);
  });
  after(async () => stage[Symbol.asyncDispose]());

  const as = (user: string): Readonly<Record<string, string>> => ({ ...stage.environment, DB_USER: user });
  const findings = async (user: string): Promise<readonly Finding[]> => {
    const { stdout, stderr } = await runCommand(['doctor', '--json'], as(user));
    assert.notEqual(stdout, '', stderr);
    return JSON.parse(stdout) as Finding[];
  };

  for (const [what, sql, undo, says] of [
    [
      'tables of another owner',
      'alter table schema_migrations owner to postgres; alter table follows owner to postgres',
      'alter table schema_migrations owner to mastodon; alter table follows owner to mastodon',
      /permission denied for table follows \(owner postgres\), permission denied for table schema_migrations.*GRANT pg_read_all_data TO "mastodon".*DB_USER/,
    ],
    [
      'a sequence of another owner',
      'create sequence extra',
      'drop sequence extra',
      /permission denied for sequence extra.*GRANT pg_read_all_data/,
    ],
    [
      'a schema that it may not enter',
      'create schema closed; create table closed.things (n int); grant select on closed.things to mastodon',
      'drop schema closed cascade',
      /permission denied for schema closed.*GRANT pg_read_all_data/,
    ],
    [
      'row security on a table of its own',
      'alter table follows enable row level security; alter table follows force row level security',
      'alter table follows no force row level security; alter table follows disable row level security',
      /row security hides rows of table follows.*BYPASSRLS/,
    ],
    [
      'a large object of another owner',
      "select lo_from_bytea(4711, 'large')",
      'select lo_unlink(4711)',
      /permission denied for large object 4711.*GRANT SELECT ON LARGE OBJECT 4711 TO "mastodon"/,
    ],
    [
      'a partition of another owner',
      `create table parts (n int) partition by list (n); create table parts_1 partition of parts for values in (1); alter table parts owner to mastodon`,
      'drop table parts',
      /permission denied for table parts_1/,
    ],
  ] as const) {
    it(`is told before the dump of ${what}, by run and doctor`, async () => {
      await stage.server.query(sql, database);
      try {
        const result = await runCommand(['run'], as('mastodon'));
        await stage.assertFailed(result, { status: 10, says });
        const rights = (await findings('mastodon')).find(({ check }) => check === 'rights');
        assert.equal(rights?.status, 'problem');
        assert.match(`${rights?.detail}. ${rights?.remedy}`, says);
      } finally {
        await stage.server.query(undo, database);
      }
    });
  }

  it('is told when pg_dump itself does not get in', async () => {
    const hba = `${stage.server.socketDirectory}/data/pg_hba.conf`;
    const original = readFileSync(hba, 'utf8');
    writeFileSync(hba, `local all mastodon peer\n${original}`);
    await stage.server.query('select pg_reload_conf()');
    try {
      const environment = { ...stage.environment, DB_HOST: stage.server.socketDirectory };
      const result = await runCommand(['run'], environment);
      await stage.assertFailed(result, { status: 10, says: /peer authentication failed.*DB_HOST=localhost, DB_PASS/i });
    } finally {
      writeFileSync(hba, original);
      await stage.server.query('select pg_reload_conf()');
    }
  });

  it('may wait for a prepared transaction, which is named with the statement that ends it', async () => {
    const client = await connectTest(stage.server.superuser(database));
    await client.query("begin; lock table follows in access exclusive mode; prepare transaction 'it''s forgotten'");
    try {
      const result = await runCommand(['run'], { ...as('mastodon'), BACKUP_LOCK_WAIT: '1s' });
      await stage.assertFailed(result, {
        status: 10,
        says: /LOCK TABLE public\.follows.*the prepared transaction 'it''s forgotten'.*ROLLBACK PREPARED 'it''s forgotten'/,
      });
    } finally {
      await client.query("rollback prepared 'it''s forgotten'");
      await client.end();
    }
  });

  it('reads a partitioned table whose row security does not hide the rows of its partitions', async () => {
    await stage.server.query(
      `create table guarded (n int) partition by list (n); create table guarded_1 partition of guarded for values in (1);
       insert into guarded values (1); alter table guarded enable row level security; grant select on guarded, guarded_1 to mastodon`,
      database,
    );
    try {
      const result = await runCommand(['run', '--label', 'guarded'], as('mastodon'));
      assert.equal(result.status, 0, result.stderr);
    } finally {
      await stage.server.query('drop table guarded', database);
    }
  });

  it('may be one that only reads, and it is asked about 500 more tables within two seconds', async () => {
    await stage.server.query(
      `do $$ begin for n in 1..500 loop execute format('create table many_%s (id serial primary key)', n); end loop; end $$;
       create table hidden (n int); alter table hidden enable row level security`,
      database,
    );
    const result = await runCommand(['run'], as('reader'));
    assert.match(
      result.stderr,
      /permission denied for sequence \w+.* and \d+ more.*GRANT pg_read_all_data TO "reader"; ALTER ROLE|and \d+ more/,
    );
    await stage.server.query('grant pg_read_all_data to reader; alter role reader bypassrls', database);
    await stage.server.query('alter role reader set default_transaction_read_only = on');
    const rights = (await findings('reader')).find(({ check }) => check === 'rights');
    assert.equal(rights?.status, 'ok', JSON.stringify(rights));
    const client = await connectTest(stage.server.mastodon(database));
    const startedAt = performance.now();
    await findMissingRights(client);
    const tookMs = performance.now() - startedAt;
    await client.end();
    assert.ok(tookMs < 2_000, `${Math.round(tookMs)} ms`);
    const backedUp = await runCommand(['run'], as('reader'));
    assert.equal(backedUp.status, 0, backedUp.stderr);
  });
});
