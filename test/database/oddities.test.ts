// What is odd about a source is asked of every release alike, in little time, and what cannot be asked harms nothing.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { checkDatabase } from '../../src/checks/database-checks.ts';
import { createTurns } from '../../src/database/turns.ts';
import { generalQuestions, readOddities, type Oddity, type OddityQuestion } from '../../src/database/oddities.ts';
import { connectTest } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';

const odd = `
  create table parents (id integer primary key); create table children (id serial primary key, parent integer, small smallint);
  alter table children add constraint to_parents foreign key (parent) references parents not valid;
  insert into parents values (1); alter table children disable trigger all;
  insert into children (id, parent) values (5, 2);`;

async function oddities(
  server: PostgresServer,
  {
    database,
    questions = generalQuestions,
  }: { readonly database: string; readonly questions?: readonly OddityQuestion[] },
): Promise<readonly Oddity[]> {
  const client = await connectTest(server.mastodon(database));
  try {
    await client.query('begin isolation level repeatable read read only');
    const found = await readOddities(client, { questions, turns: createTurns() });
    await client.query('select 1');
    await client.query('rollback');
    return found;
  } finally {
    await client.end();
  }
}

for (const major of [14, 17, 18] as const) {
  it(`is asked of PostgreSQL ${major}, whose restored copy is a faithful one`, async () => {
    await using server = await startPostgres({ major });
    await server.createDatabase('odd');
    // Since 18 a constraint may be left unenforced for good, and NOT NULL may be unvalidated.
    const newest = `
      alter table children add constraint never_enforced check (id < 0) not enforced,
        add constraint small_there not null small not valid;`;
    await server.query(`${odd}${major === 18 ? newest : ''}`, 'odd');
    await server.query(
      'grant select on all tables in schema public to mastodon; grant select on all sequences in schema public to mastodon',
      'odd',
    );
    const found = await oddities(server, { database: 'odd' });
    assert.deepEqual(
      found.map(({ kind, name, detail }) => `${kind} ${name}: ${detail}`),
      [
        ...(major === 18 ? ['unvalidated-constraint public.children never_enforced: check, not enforced'] : []),
        ...(major === 18 ? ['unvalidated-constraint public.children small_there: not null, not validated'] : []),
        'unvalidated-constraint public.children to_parents: foreign key, not validated',
        'sequence-behind public.children_id_seq: behind public.children.id',
        'disabled-trigger public.children to_parents: the constraint is not enforced: its triggers are disabled',
      ],
    );
    const client = await connectTest(server.superuser('odd'));
    const checks = await checkDatabase(client, {
      rows: { 'public.parents': 1, 'public.children': 1 },
      schemaVersion: null,
      dataAt: new Date(),
      oddities: found,
      signal: AbortSignal.timeout(60_000),
    });
    await client.end();
    assert.deepEqual(
      checks.filter(({ status }) => status === 'failed'),
      [],
    );
    const broken = checks.find(({ check }) => check === 'constraints of the source');
    assert.match(broken?.detail ?? '', /to_parents of children/);
    assert.equal(/small_there/.test(broken?.detail ?? ''), major === 18);
    assert.doesNotMatch(broken?.detail ?? '', /never_enforced/);
  });
}

it('what cannot be asked is said, and the transaction goes on', async () => {
  await using server = await startPostgres({ major: 15 });
  await server.createDatabase('slow');
  const ask =
    (sql: string): OddityQuestion['ask'] =>
    async (client) =>
      (await client.query(sql)) && [];
  const started = performance.now();
  const found = await oddities(server, {
    database: 'slow',
    questions: [
      { kind: 'broken', ask: ask('select 1 / 0') },
      ...['one', 'two', 'three', 'four'].map((kind) => ({ kind, ask: ask('select pg_sleep(60)') })),
    ],
  });
  assert.ok(performance.now() - started < 7_000, 'within its budget');
  assert.deepEqual(
    found.map(({ kind, name }) => `${kind} ${name}`),
    ['broken', 'one', 'two', 'three', 'four'].map((kind) => `not-asked ${kind}`),
  );
});

it('is asked of 500 tables in less than two seconds, and only so many are named', async (context) => {
  await using server = await startPostgres({ major: 15 });
  await server.createDatabase('many');
  await server.query(
    `set role mastodon;
     do $$ begin for i in 1..500 loop
       execute format('create table t%s (id bigserial primary key, n integer)', i);
       execute format('insert into t%s (id, n) select g, g from generate_series(2, 40) g', i);
     end loop; end $$`,
    'many',
  );
  const started = performance.now();
  const found = await oddities(server, { database: 'many' });
  const ms = Math.round(performance.now() - started);
  context.diagnostic(`${ms} ms for 500 tables`);
  assert.ok(ms < 2_000, `${ms} ms`);
  assert.equal(found.length, 51);
  assert.deepEqual(found.at(-1), { kind: 'sequence-behind', name: '', detail: 'and 450 more' });
});
