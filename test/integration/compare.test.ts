// What has changed since a snapshot, asked of the live database: the figures are the database's own, and one count that cannot
// be had hides no other.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { connect } from '../../src/database/connection.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

interface Document {
  readonly snapshot: string;
  readonly changed: readonly { table: string; before: number | null; now: number | null; difference: number }[];
  readonly same: number;
  readonly uncounted: readonly { table: string; reason: string }[];
}

describe('compare', () => {
  let server: PostgresServer;
  let environment: Record<string, string>;
  const scratch = temporaryDirectory();
  const name = 'mastodon_production';
  before(async () => {
    server = await startPostgres({ major: 15 });
    await createMastodonDatabase(server, { name, megabytes: 1 });
    await server.query('create table public."odd.name""d" (id int); insert into public."odd.name""d" values (1)', name);
    await server.query('alter table public."odd.name""d" owner to mastodon', name);
    environment = {
      ...databaseEnvironment(server.mastodon(name)),
      BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_COMPRESSION: 'none',
      LOCAL_DOMAIN: 'social.example',
    };
    mkdirSync(`${scratch.path}/backups`);
    const run = await runCommand(['run'], environment);
    assert.equal(run.status, 0, run.stderr);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  async function compared(...args: readonly string[]): Promise<Document> {
    const { status, stdout, stderr } = await runCommand(['compare', '--json', ...args], environment);
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout) as Document;
  }

  it('finds nothing where nothing has changed, every table counted', async () => {
    const { changed, same, uncounted, snapshot } = await compared();
    assert.deepEqual([changed, uncounted], [[], []]);
    assert.match(snapshot, /^daily\//);
    const [tables] = await server.query(
      "select count(*)::int as n from pg_class c join pg_namespace n on n.oid = relnamespace where relkind = 'r' and nspname !~ '^pg_|^information_schema$'",
      name,
    );
    assert.equal(same, tables?.['n']);
  });

  it('shows what came, went and changed, the largest difference first', async () => {
    await server.query('insert into public."odd.name""d" select generate_series(2, 4)', name);
    await server.query(
      'set role mastodon; create table came (id int); insert into came values (1), (2); create table empty ()',
      name,
    );
    await server.query('alter table public.statuses rename to statuses_gone', name);
    const { changed } = await compared('latest:daily');
    const rows = changed.find(({ table }) => table === 'public.statuses_gone')?.now ?? 0;
    assert.ok(rows > 4);
    assert.deepEqual(changed, [
      { table: 'public.statuses', before: rows, now: null, difference: -rows },
      { table: 'public.statuses_gone', before: null, now: rows, difference: rows },
      { table: 'public."odd.name""d"', before: 1, now: 4, difference: 3 },
      { table: 'public.came', before: null, now: 2, difference: 2 },
      { table: 'public.empty', before: null, now: 0, difference: 0 },
    ]);
    const { stdout } = await runCommand(['compare'], environment);
    assert.match(stdout, /^SNAPSHOT +NOW +DIFFERENCE +TABLE\n\d+ +no table +-\d+ +public\.statuses\n/m);
    await server.query('alter table public.statuses_gone rename to statuses; drop table came, empty', name);
  });

  it('counts the other tables where one is locked, not to be read, or hidden in part, and says which', async () => {
    await server.query('create table secret (id int); create table half (id int)', name);
    await server.query(
      'alter table half enable row level security; create policy none on half using (false); grant select on half to mastodon',
      name,
    );
    await server.query('vacuum analyze', name);
    const lock = await connect({ ...server.superuser(name) }, AbortSignal.timeout(120_000));
    await lock.query('begin; lock table public.statuses in access exclusive mode');
    const result = await runCommand(['compare', '--json', '--timeout', '2s'], environment);
    await lock[Symbol.asyncDispose]();
    assert.equal(result.status, 124, result.stderr);
    assert.match(result.stderr, /Counting took longer than 2 s: .*--timeout/);
    const { same, uncounted } = JSON.parse(result.stdout) as Document;
    assert.ok(same > 3);
    const reasons = new Map(uncounted.map(({ table, reason }) => [table, reason]));
    assert.equal(reasons.get('public.secret'), 'this role may not read it');
    assert.equal(reasons.get('public.half'), 'row security hides rows from this role');
    assert.equal(reasons.get('public.statuses'), 'the time for it was over');
    await server.query('drop table secret, half', name);
  });

  it('refuses what it cannot do with the exit status of it', async () => {
    for (const [args, expected] of [
      [['compare', '2020-01-01T000000Z-aaaaaa'], 4],
      [['compare', '--timeout', 'long'], 2],
    ] as const) {
      const { status, stderr } = await runCommand(args, environment);
      assert.equal(status, expected, stderr);
    }
    const gone = await runCommand(['compare'], { ...environment, DB_PORT: '1' });
    assert.equal(gone.status, 10, gone.stderr);
  });
});
