// A drill says whether the snapshot equals its source and a Mastodon would run: what was odd in the source already is a note,
// what hurts is a failure with its remedy, and rows that were lost are called lost.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import type { DrillDocument } from '../../src/drill/drill-record.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { damageTable, pageOf } from '../support/damaged-table.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { createMastodonVariant } from '../support/mastodon-variants.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

interface Written {
  readonly id: string;
  readonly mastodon: { readonly schemaVersion: string; readonly release: string | null } | null;
  readonly database: { readonly oddities: readonly { kind: string; name: string; detail: string }[] };
}

describe('the verdict of a drill', () => {
  let server: PostgresServer;
  const scratch = temporaryDirectory();
  before(async () => {
    chmodSync(scratch.path, 0o755);
    linkPrograms(`${scratch.path}/bin`, 15);
    server = await startPostgres({ major: 15 });
    await server.query('alter role mastodon createdb');
    await createMastodonDatabase(server, { name: 'stock', megabytes: 1 });
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  const environmentOf = (name: string): Readonly<Record<string, string>> => {
    mkdirSync(`${scratch.path}/${name}`, { recursive: true });
    return {
      ...databaseEnvironment(server.mastodon(name)),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: `${scratch.path}/${name}`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_PG_BIN: `${scratch.path}/bin`,
      BACKUP_COMPRESSION: 'none',
    };
  };
  /** A copy of the stock Mastodon with these changes. */
  const changed = async (name: string, sql: string): Promise<string> => {
    await server.query(`create database ${name} template stock owner mastodon`);
    await server.query(sql, name);
    return name;
  };
  const backUp = async (name: string): Promise<Written> => {
    const result = await runCommand(['run'], environmentOf(name));
    assert.equal(result.status, 0, result.stderr);
    const folder = `${scratch.path}/${name}/daily`;
    const newest = readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .toSorted()
      .at(-1);
    return JSON.parse(readFileSync(`${folder}/${newest}`, 'utf8')) as Written;
  };
  const drill = async (name: string, status: DrillDocument['status']): Promise<DrillDocument> => {
    const result = await runCommand(['drill', '--json'], environmentOf(name));
    const document = JSON.parse(result.stdout) as DrillDocument;
    assert.equal(document.status, status, JSON.stringify(document.checks, null, 1));
    return document;
  };
  const found = ({ checks }: DrillDocument, name: string): DrillDocument['checks'][number] => {
    const check = checks.find((one) => one.check === name);
    assert.ok(check !== undefined, `${name} is not among ${checks.map((one) => one.check).join(', ')}`);
    return check;
  };
  const kinds = ({ database }: Written): readonly string[] =>
    database.oddities.map(({ kind, name }) => `${kind} ${name}`);

  it('passes a Mastodon 4.7, whose tables never use their sequences', async () => {
    await createMastodonVariant(server, { name: 'next', variant: '4.7', megabytes: 1 });
    const manifest = await backUp('next');
    assert.deepEqual(kinds(manifest), [
      'sequence-behind public.account_summaries_account_id_seq',
      'sequence-behind public.global_follow_recommendations_account_id_seq',
    ]);
    assert.doesNotMatch(JSON.stringify(manifest.database.oddities), /\d{6}/, 'no values are in the clear');
    const document = await drill('next', 'passed');
    const { status, detail } = found(document, 'sequences');
    assert.equal(status, 'note');
    assert.match(detail, /as in the source: public\.account_summaries_account_id_seq is at 1, but/);
    assert.match(found(document, 'contents').detail, /^\d+ objects of the archive, all of them there$/);
    assert.equal(found(document, 'sequence positions').status, 'ok');
  });

  it('passes foreign keys that were never validated and have old orphans, and says what to do', async () => {
    const name = await changed(
      'unvalidated',
      `alter table bookmarks drop constraint bookmarks_status_id_fkey;
       insert into bookmarks (account_id, status_id, created_at) select id, 17, now() from accounts limit 3;
       alter table bookmarks add constraint old_key foreign key (status_id) references statuses (id) not valid`,
    );
    assert.deepEqual(kinds(await backUp(name)), ['unvalidated-constraint public.bookmarks old_key']);
    const document = await drill(name, 'passed');
    const { detail, remedy } = found(document, 'constraints of the source');
    assert.match(detail, /not validated in the source, and old rows break them: old_key of public\.bookmarks/);
    assert.match(remedy ?? '', /VALIDATE CONSTRAINT/);
    const restored = await runCommand(['restore', 'latest', '--to-database', 'unvalidated_again'], environmentOf(name));
    assert.equal(restored.status, 0, restored.stderr);
  });

  it('does not take posts of other servers for ours where `local` is null, whatever their date', async () => {
    const name = await changed(
      'ahead',
      `insert into statuses (uri, text, created_at, updated_at, local, account_id)
       select 'https://elsewhere.example/1', 'from the future', '2099-01-01', now(), null, id from accounts limit 1`,
    );
    assert.deepEqual(kinds(await backUp(name)), []);
    assert.equal(found(await drill(name, 'passed'), 'newest post').status, 'ok');
  });

  it('takes a post of ours that was dated ahead in the source for what it is', async () => {
    const name = await changed(
      'own_ahead',
      `insert into statuses (uri, text, created_at, updated_at, local, account_id)
       select null, 'from the future', '2099-01-01', now(), null, id from accounts where domain is null limit 1`,
    );
    assert.deepEqual(kinds(await backUp(name)), ['future-posts public.statuses']);
    const { status, detail } = found(await drill(name, 'passed'), 'newest post');
    assert.equal(status, 'note');
    assert.match(detail, /of 2099-01-01.*as in the source$/);
  });

  it('does not judge another Rails application as a Mastodon', async () => {
    await server.createDatabase('other_rails');
    await server.query(
      `set role mastodon; create table schema_migrations (version varchar primary key); insert into schema_migrations values ('20251023210145');
       create table accounts (id bigserial primary key, name varchar); create table statuses (id bigserial primary key, created_at timestamp default '2099-01-01');
       insert into statuses default values`,
      'other_rails',
    );
    assert.equal((await backUp('other_rails')).mastodon, null);
    const document = await drill('other_rails', 'passed');
    assert.match(found(document, 'Mastodon').detail, /no Mastodon database/);
  });

  it('fails orphans under a valid key, names them, and says that no older snapshot has more', async () => {
    const name = await changed(
      'orphans',
      `alter table favourites disable trigger all; delete from favourites;
       insert into favourites (account_id, status_id, created_at) select id, 17, now() from accounts limit 4`,
    );
    const manifest = await backUp(name);
    assert.ok(kinds(manifest).includes('disabled-trigger public.favourites favourites_status_id_fkey'));
    const document = await drill(name, 'failed');
    const { detail, remedy } = found(document, 'missing rows');
    assert.match(
      detail,
      /not in public\.statuses, and 1 foreign key fails: public\.favourites \(status_id\): 4 rows name 1 that is missing/,
    );
    assert.match(detail, /no older snapshot here has more rows of it/);
    assert.match(remedy ?? '', /Delete the rows that name what is not there/);
    assert.equal(found(document, 'triggers of the source').status, 'note');
  });

  it('calls rows lost that a zeroed page has swallowed, and names the snapshot that has them', async () => {
    const name = await changed('zeroed', 'select 1');
    const good = await backUp(name);
    const [counted] = await server.query("select count(*)::int as n from accounts where ctid < '(1,0)'", name);
    await damageTable(server, {
      database: name,
      table: 'accounts',
      change: (content) => {
        pageOf(content, 0).fill(0);
        return content;
      },
    });
    await backUp(name);
    const document = await drill(name, 'failed');
    const missing = document.checks.filter(({ check }) => check === 'missing rows');
    assert.equal(missing.length, 1, JSON.stringify(document.checks));
    const { detail, remedy } = found(document, 'missing rows');
    assert.match(detail, /^rows that others name are not in public\.accounts, and \d\d foreign keys fail/);
    assert.match(detail, new RegExp(`daily/${good.id} of \\S+ has ${String(counted?.['n'])} more rows? of it$`));
    assert.match(remedy ?? '', new RegExp(`^Keep daily/${good.id}: the source seems to have lost rows`));
  });

  it('names the check that only the time has broken, and what helps', async () => {
    const name = await changed(
      'timed',
      `create table tickets (id integer primary key, expires_at timestamptz check (expires_at > now()));
       alter table tickets owner to mastodon; insert into tickets values (1, now() + interval '1 second'); select pg_sleep(1.1)`,
    );
    await backUp(name);
    const document = await drill(name, 'failed');
    assert.match(found(document, 'restore').remedy ?? '', /make it NOT VALID in the source/);
  });

  it('passes what is peculiar and faithful, and a restore takes it', async () => {
    const name = await changed(
      'peculiar',
      `set role mastodon;
       create table parts (day date, n integer) partition by range (day);
       create table parts_2025 partition of parts for values from ('2025-01-01') to ('2026-01-01');
       insert into parts values ('2025-05-05', 1);
       create index on_parent_alone on only parts (n);
       create sequence downwards increment -1; create table down (id integer primary key default nextval('downwards'));
       alter sequence downwards owned by down.id; insert into down select from generate_series(1, 3);
       create sequence round maxvalue 3 cycle; create table rounds (id integer default nextval('round'), at timestamptz default now());
       alter sequence round owned by rounds.id; insert into rounds select from generate_series(1, 4);
       create table no_key (n integer); insert into no_key values (1), (1), (null);
       create table computed (id bigint generated by default as identity primary key, n integer, double integer generated always as (n * 2) stored);
       insert into computed (id, n) values (77, 1); insert into computed (n) values (2);
       create table ordered (n integer unique deferrable initially deferred, m integer references down deferrable);
       insert into ordered values (1, -1);
       create table checked (n integer, at timestamptz); insert into checked values (-1, now());
       alter table checked add constraint positive check (n > 0) not valid, add constraint soon check (at > now()) not valid;
       create function gone() returns integer language sql as 'select 1';
       create function uses_gone() returns integer language plpgsql as 'begin return gone(); end';
       create view dangling as select uses_gone() as n; drop function gone();
       create materialized view unfilled as select 1 / (n - n) as never from checked with no data;
       create table logged (n integer); create function log() returns trigger language plpgsql as 'begin raise exception ''no''; end';
       create trigger off before insert on logged for each row execute function log(); alter table logged disable trigger off; insert into logged values (1);
       create table unlucky (n integer); insert into unlucky values (1), (1);
       reset role;
       create unique index concurrently_failed on unlucky (n) where n > 1;
       update pg_index set indisvalid = false where indexrelid = 'concurrently_failed'::regclass;
       alter index concurrently_failed owner to mastodon`,
    );
    const manifest = await backUp(name);
    assert.deepEqual(kinds(manifest), [
      'invalid-index public.concurrently_failed',
      'invalid-index public.on_parent_alone',
      'unvalidated-constraint public.checked positive',
      'unvalidated-constraint public.checked soon',
      'sequence-behind public.computed_id_seq',
      'disabled-trigger public.logged off',
      'unpopulated-view public.unfilled',
    ]);
    const document = await drill(name, 'passed');
    assert.equal(found(document, 'sequences').status, 'note', 'of computed, whose first id was given by hand');
    assert.match(
      found(document, 'sequences').detail,
      /^behind their tables, as in the source: public\.computed_id_seq is at 1/,
    );
    assert.match(
      found(document, 'indexes of the source').detail,
      /left out of dumps unless .*: public\.concurrently_failed/,
    );
    assert.match(
      found(document, 'views of the source').detail,
      /never filled in the source, and cannot be: public\.unfilled/,
    );
    const restored = await runCommand(['restore', 'latest', '--to-database', 'peculiar_again'], environmentOf(name));
    assert.equal(restored.status, 0, restored.stderr);
    assert.match(restored.stdout, /indexes of the source: .*public\.concurrently_failed.*REINDEX INDEX CONCURRENTLY/s);
  });

  it('is incomplete, and says what is lacking here, for a column in a collation of the source’s C library', async () => {
    const name = await changed(
      'foreign_collation',
      `create collation pg_catalog."xx_XX" (locale = 'C')`.replace('pg_catalog.', 'public.'),
    );
    await server.query('alter collation public."xx_XX" owner to mastodon', name);
    await server.query(
      `update pg_collation set collcollate = 'xx_XX.utf8', collctype = 'xx_XX.utf8' where collname = 'xx_XX'`,
      name,
    );
    await backUp(name);
    const document = await drill(name, 'incomplete');
    assert.match(
      found(document, 'server').detail,
      /this server lacks what the source has: could not create locale "xx_XX\.utf8"/,
    );
  });
});
