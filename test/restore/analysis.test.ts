// A restored database has the planner's statistics of every table, whoever of two sessions can do what.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Client } from 'pg';
import { connect, type ConnectionSettings } from '../../src/database/connection.ts';
import { analyzeDatabase } from '../../src/restore/analysis.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';

const tables = `create table plain as select generate_series(1, 1000) as n;
  create schema "Odd ""one"; create table "Odd ""one"."Ta.ble" as select generate_series(1, 10) as n;
  create table parted (n int) partition by range (n);
  create table parted_low partition of parted for values from (0) to (100);
  create table parted_high partition of parted for values from (100) to (1000) partition by range (n);
  create table parted_higher partition of parted_high for values from (100) to (1000);
  insert into parted select generate_series(1, 900);
  create table ancestor (n int); create table heir () inherits (ancestor); insert into heir values (1), (2);
  create materialized view seen as select n from plain;
  create table passing (n int);
  create schema closed; create table closed.hidden as select 1 as n;
  -- Those that a new database comes with.
  delete from pg_statistic where starelid = 'pg_class'::regclass`;
const namesOf = (rows: readonly Record<string, unknown>[]): readonly string[] =>
  rows.map((row) => String(row['name'])).toSorted();

const parted = ['parted', 'parted_high', 'parted_higher', 'parted_low'];
const others = ['ancestor', 'heir', 'pg_class', 'seen', 'Ta.ble'];

describe('all tables are analysed', { timeout: 120_000 }, () => {
  let server: PostgresServer;
  let name: string;
  let count = 0;
  const { signal } = new AbortController();
  before(async () => {
    server = await startPostgres({ major: 15 });
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    count += 1;
    name = `restored_${count}`;
    await server.createDatabase(name);
    await server.query(tables, name);
  });

  const analysed = async (): Promise<readonly string[]> =>
    namesOf(
      await server.query(
        `select distinct tablename::text as name from pg_stats where schemaname not in ('pg_catalog', 'information_schema') or tablename = 'pg_class'`,
        name,
      ),
    );
  const waiting = async (): Promise<readonly unknown[]> =>
    (await server.query('select pid from pg_locks where not granted', name)).map(({ pid }) => pid);
  const areWaiting = async (sessions: number): Promise<readonly unknown[]> =>
    until('what is locked is waited for', {
      seconds: 10,
      look: async () => {
        const found = await waiting();
        return found.length === sessions && found;
      },
    });
  const holding = async (...names: readonly string[]): Promise<Client & AsyncDisposable> => {
    const client = await connect(server.superuser(name), signal);
    await client.query('begin');
    for (const one of names) await client.query(`lock table public.${one}`);
    return client;
  };
  const nobody = (): ConnectionSettings => ({ ...server.superuser(name), user: 'nobody' });
  const everything = [...parted, ...others, 'plain', 'hidden'].toSorted();

  it('by two sessions side by side', async () => {
    await using control = await connect(server.superuser(name), signal);
    await using holder = await holding('parted');
    const work = analyzeDatabase(control, { connection: server.superuser(name), signal });
    await until('the other session does the rest', {
      seconds: 10,
      look: async () => (await analysed()).length === everything.length - parted.length,
    });
    await holder.query('commit');
    await work;
    assert.deepEqual(await analysed(), everything);
  });

  it('by the first alone where no second is to be had, although one is dropped meanwhile', async () => {
    await using control = await connect(server.superuser(name), signal);
    await using holder = await holding('parted');
    const work = analyzeDatabase(control, { connection: nobody(), signal });
    await areWaiting(1);
    assert.deepEqual(await analysed(), []);
    await holder.query('drop table public.passing; drop schema closed cascade; commit');
    await work;
    assert.deepEqual(
      await analysed(),
      everything.filter((one) => one !== 'hidden'),
    );
  });

  it('by the first to their end when the second is ended at one', async () => {
    await using control = await connect(server.superuser(name), signal);
    await using holder = await holding('parted', 'plain');
    const work = analyzeDatabase(control, { connection: server.superuser(name), signal });
    const pids = await areWaiting(2);
    const [{ pid: own } = {}] = await server.query(
      `select pid from pg_locks where not granted and relation = 'parted'::regclass`,
      name,
    );
    for (const pid of pids) if (pid !== own) await server.query(`select pg_terminate_backend(${String(pid)})`, name);
    await areWaiting(1);
    await holder.query('commit');
    await work;
    assert.deepEqual(await analysed(), everything);
  });

  it('also those in a schema that the role may not look into, where the database is its own', async () => {
    await using control = await connect(server.mastodon(name), signal);
    await analyzeDatabase(control, { connection: server.mastodon(name), signal });
    assert.deepEqual(await analysed(), everything);
  });

  it('and the second ends with the first', async () => {
    await using control = await connect(server.superuser(name), signal);
    await using holder = await holding('parted', 'plain');
    const work = assert.rejects(analyzeDatabase(control, { connection: server.superuser(name), signal }), /was lost/);
    await areWaiting(2);
    await server.query(
      `select pg_terminate_backend(pid) from pg_locks where not granted and relation = 'parted'::regclass`,
      name,
    );
    await work;
    await holder.query('commit');
    await until('nobody but the one that held the locks is left', {
      seconds: 20,
      look: async () => {
        const [left] = await server.query(
          `select count(*)::int as count from pg_stat_activity where datname = current_database() and application_name = 'mastodon-backup'`,
          name,
        );
        return left?.['count'] === 1;
      },
    });
    // It ends with the table that it is at.
    const found = await analysed();
    assert.ok(!parted.some((one) => found.includes(one)), String(found));
  });
});
