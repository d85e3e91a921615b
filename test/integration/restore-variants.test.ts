// Mastodons as people have them, dumped from PostgreSQL 14 and restored into newer servers: every row, every object, and a
// role that finds its tables without naming their schema.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import type { RestoreReport } from '../../src/app/restore-verb.ts';
import { databaseEnvironment, runCommand, type CommandResult } from '../support/command.ts';
import { connectTest, countRows } from '../support/mastodon-data.ts';
import { createMastodonVariant, type MastodonVariant } from '../support/mastodon-variants.ts';
import { startPostgres, type PostgresServer, type ServerMajor } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const variants: readonly MastodonVariant[] = ['stock', '4.7', '3.x', 'own-schema', 'extensions-apart', 'wizard'];

/** Every relation, index, constraint, function and trigger as the server itself describes it. */
async function picture(server: PostgresServer, database: string): Promise<readonly unknown[]> {
  const client = await connectTest(server.superuser(database));
  try {
    await client.query("set search_path = ''");
    const { rows } = await client.query<{ kind: string; what: string }>(`
      select kind, what from (
        select 'relation' as kind, format('%s %I.%I', c.relkind, n.nspname, c.relname) as what from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
        union all select 'index', replace(pg_get_indexdef(indexrelid), ' ONLY ', ' ') from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^pg_'
        union all select 'constraint', conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(x.oid) from pg_constraint x where conrelid <> 0 and contype <> 'n' and connamespace in (select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')
        union all select 'function', pg_get_functiondef(p.oid) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
          where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and prokind = 'f' and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
        union all select 'extension', extname || ' in ' || nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
        union all select 'sequence', format('%I.%I at %s', schemaname, sequencename, last_value) from pg_sequences
      ) everything order by 1, 2`);
    assert.ok(rows.length > 100, 'there is something to compare');
    return rows;
  } finally {
    await client.end();
  }
}

describe('a Mastodon from PostgreSQL 14', () => {
  let source: PostgresServer;
  const scratch = temporaryDirectory();
  const nameOf = (variant: MastodonVariant): string => (variant === 'wizard' ? 'postgres' : variant);
  const settingsOf = (variant: MastodonVariant): Readonly<Record<string, string>> => ({
    LOCAL_DOMAIN: `${variant}.example`,
    BACKUP_LOCAL_DIR: `${scratch.path}/${variant}`,
    BACKUP_STATE_DIR: `${scratch.path}/state`,
    BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
    BACKUP_COMPRESSION: 'none',
  });
  const asMastodon = (server: PostgresServer, variant: MastodonVariant): Readonly<Record<string, string>> =>
    databaseEnvironment(variant === 'wizard' ? server.superuser('postgres') : server.mastodon(nameOf(variant)));
  const done = (result: CommandResult): RestoreReport => {
    assert.equal(result.status, 0, result.stderr);
    return JSON.parse(result.stdout) as RestoreReport;
  };
  before(async () => {
    source = await startPostgres({ major: 14 });
    for (const variant of variants) {
      await createMastodonVariant(source, { name: nameOf(variant), variant, megabytes: 1 });
      mkdirSync(`${scratch.path}/${variant}`);
      const run = await runCommand(['run'], { ...settingsOf(variant), ...asMastodon(source, variant) });
      assert.equal(run.status, 0, run.stderr);
    }
  });
  after(async () => {
    await source[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  for (const major of [15, 17, 18] satisfies readonly ServerMajor[]) {
    describe(`in PostgreSQL ${major}`, () => {
      let target: PostgresServer;
      before(async () => {
        target = await startPostgres({ major, keepsSession: false });
        await target.query('alter role mastodon createdb');
      });
      after(async () => target[Symbol.asyncDispose]());

      for (const variant of variants) {
        it(`comes back whole: ${variant}`, async () => {
          const name = nameOf(variant);
          // earthdistance is none that an ordinary role may create.
          const asWhom =
            variant === 'extensions-apart' ? databaseEnvironment(target.superuser('x')) : asMastodon(target, variant);
          const environment = { ...settingsOf(variant), ...asWhom };
          const report = done(await runCommand(['restore', 'latest', '--to-database', name, '--json'], environment));
          assert.deepEqual(await countRows(target.superuser(name)), await countRows(source.superuser(name)));
          assert.deepEqual(await picture(target, name), await picture(source, name));
          for (const check of ['rows', 'contents', 'role', 'sequence positions'])
            assert.equal(report.checks.find((one) => one.check === check)?.status, 'ok', check);
          const role = variant === 'wizard' ? target.superuser(name) : target.mastodon(name);
          const client = await connectTest(role);
          try {
            // As Mastodon does: without a schema, and with what migrations do.
            await client.query(
              "insert into tags (name, created_at) values ('found', now()); select count(*) from statuses",
            );
            await client.query("select timestamp_id('statuses'); create table by_migration (id bigint)");
            if (variant === 'extensions-apart')
              await client.query(
                "update tags set folded = 'X' where id = 1; select from statuses where text operator(tools.%) 'cats'",
              );
          } finally {
            await client.end();
          }
        });
      }

      it("takes the place of the wizard's database with all guards, and keeps the old one", async () => {
        const environment = { ...settingsOf('wizard'), ...asMastodon(target, 'wizard') };
        const refused = await runCommand(['restore', 'latest', '--to-database', 'postgres'], environment);
        assert.equal(refused.status, 20);
        assert.match(refused.stderr, /'postgres' is not empty: it has \d+ tables.*--replace postgres/);
        const visitor = await connectTest(target.superuser('postgres'));
        await visitor.query("set application_name = 'puma'");
        const visited = await runCommand(['restore', 'latest', '--replace', 'postgres'], environment);
        assert.match(visited.stderr, /'postgres' is in use by puma \(1\)/);
        await visitor.end();
        const report = done(await runCommand(['restore', 'latest', '--replace', 'postgres', '--json'], environment));
        assert.match(report.movedAside ?? '', /^postgres_before_\d{8}T\d{6}Z$/);
        const [kept] = await target.query('select count(*)::int as count from by_migration', report.movedAside ?? '');
        assert.deepEqual(kept, { count: 0 });
        assert.equal(report.owner, 'postgres');
      });

      it('tells an ordinary role how to restore what only a superuser may create', async () => {
        const environment = { ...settingsOf('extensions-apart'), ...asMastodon(target, 'extensions-apart') };
        const result = await runCommand(['restore', 'latest', '--to-database', 'ordinary'], environment);
        assert.equal(result.status, 20);
        assert.match(
          result.stderr,
          /'earthdistance' could not be created by 'mastodon'.*BACKUP_DATABASE_URL=postgresql:\/\/postgres/,
        );
      });
    });
  }

  it("is kept out of the server's own database unless it came from there", async () => {
    await using target = await startPostgres({ major: 15 });
    const elsewhere = { ...settingsOf('stock'), ...databaseEnvironment(target.superuser('postgres')) };
    const wizard = { ...settingsOf('wizard'), ...databaseEnvironment(target.superuser('postgres')) };
    for (const [environment, name, says] of [
      [elsewhere, 'postgres', /the name belongs to the server itself, and what was dumped was called 'stock'/],
      [wizard, 'template1', /the name belongs to the server itself/],
      [wizard, 'template0', /the name belongs to the server itself/],
    ] as const) {
      for (const flag of ['--to-database', '--replace']) {
        const result = await runCommand(['restore', 'latest', flag, name], environment);
        assert.equal(result.status, 2, result.stderr);
        assert.match(result.stderr, says);
      }
    }
  });
});
