// A restored database has the planner's statistics of every table, whether there was a second session for it or not.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { connect } from '../../src/database/connection.ts';
import { analyzeDatabase } from '../../src/restore/analysis.ts';
import { until } from '../support/until.ts';
import { startPostgres } from '../support/postgres-server.ts';

it('all tables are analysed by two sessions, by the first alone, and while others drop some', async () => {
  await using server = await startPostgres({ major: 15 });
  const { signal } = new AbortController();
  const tables = `create table plain as select generate_series(1, 1000) as n;
    create schema "Odd ""one"; create table "Odd ""one"."Ta.ble" as select generate_series(1, 10) as n;
    create table parted (n int) partition by range (n);
    create table parted_low partition of parted for values from (0) to (100);
    create table parted_high partition of parted for values from (100) to (1000) partition by range (n);
    create table parted_higher partition of parted_high for values from (100) to (1000);
    insert into parted select generate_series(1, 900);
    create table ancestor (n int); create table heir () inherits (ancestor); insert into heir values (1), (2);
    create table passing (n int);
    create materialized view seen as select n from plain`;
  const whole = [
    'ancestor',
    'heir',
    'parted',
    'parted_high',
    'parted_higher',
    'parted_low',
    'plain',
    'seen',
    'Ta.ble',
    'pg_class',
  ];
  for (const [name, password] of [
    ['both', undefined],
    ['alone', 'wrong'],
  ] as const) {
    await server.createDatabase(name);
    await server.query(tables, name);
    const connection = server.superuser(name);
    await using control = await connect(connection, signal);
    const second = password === undefined ? connection : { ...connection, user: 'nobody', password };
    await using other = await connect(connection, signal);
    // The first that is analysed waits, until a later one is gone.
    await other.query('begin; lock table public.parted');
    const work = analyzeDatabase(control, { connection: second, signal });
    await until('one waits for its turn', {
      seconds: 10,
      look: async () => (await server.query('select from pg_locks where not granted', name)).length > 0,
    });
    await other.query('drop table public.passing; commit');
    await work;
    const { rows } = await control.query<{ readonly name: string }>(
      `select distinct tablename as name from pg_stats where tablename = any ($1)`,
      [whole],
    );
    assert.deepEqual(rows.map((row) => row.name).toSorted(), whole.toSorted(), name);
  }
});
