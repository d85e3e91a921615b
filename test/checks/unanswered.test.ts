// What takes longer to be checked than a statement may take is left without a verdict, by name, and keeps nobody from the rest.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { checkDatabase } from '../../src/checks/database-checks.ts';
import { connect } from '../../src/database/connection.ts';
import { connectTest } from '../support/mastodon-data.ts';
import { startPostgres } from '../support/postgres-server.ts';

it('a view and a constraint that never end are named as not checked, and everything else is checked', async () => {
  await using server = await startPostgres({ major: 15 });
  await server.createDatabase('slow');
  const maker = await connectTest(server.mastodon('slow'));
  await maker.query(
    `create function stays(integer) returns boolean language plpgsql as $$ begin perform pg_sleep(600); return true; end $$;
     create table things (id integer primary key); insert into things values (1);
     alter table things add constraint slow check (stays(id)) not valid;
     create materialized view slow_view as select stays(1) with no data; create materialized view quick_view as select 1 as one`,
  );
  await maker.end();
  const signal = new AbortController().signal;
  await using client = await connect(server.mastodon('slow'), signal);
  await client.query("set statement_timeout = '300ms'");
  const checks = await checkDatabase(client, {
    rows: { 'public.things': 1 },
    schemaVersion: null,
    dataAt: new Date(),
    oddities: [],
    signal,
  });
  const open = checks.filter(({ check }) => check === 'not checked').map(({ detail }) => detail);
  assert.deepEqual(open, [
    'took too long to be checked: slow of public.things',
    'took too long to be checked: public.slow_view',
  ]);
  assert.ok(
    checks.every(({ status }) => status !== 'failed'),
    JSON.stringify(checks),
  );
  assert.equal(checks.find(({ check }) => check === 'rows')?.status, 'ok');
});
