// Whose a restored database is, by whomever it was restored: Mastodon's role must be able to use it, the archive must never run
// with a superuser's rights, and nothing of the login that it ran in stays.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, afterEach, before, describe, it } from 'node:test';
import type { RestoreReport } from '../../src/app/restore-verb.ts';
import { databaseEnvironment, runCommand, type CommandResult } from '../support/command.ts';
import { connectTest, countRows, createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, testPassword, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const name = 'mastodon_production';

describe('the owner of what is restored', () => {
  let source: PostgresServer;
  let target: PostgresServer;
  let into: Readonly<Record<string, string>>;
  let asSuperuser: Readonly<Record<string, string>>;
  const scratch = temporaryDirectory();
  before(async () => {
    [source, target] = await Promise.all([
      startPostgres({ major: 15 }),
      startPostgres({ major: 15, auth: 'scram-sha-256', settings: { log_statement: 'all' } }),
    ]);
    await target.query('drop role mastodon');
    await createMastodonDatabase(source, { name, megabytes: 1 });
    // A check that looks whose session it runs in: a superuser's is one `reset role` away from every file of the server.
    await source.query(
      `set role mastodon;
       create function never_of_a_superuser(text) returns boolean language plpgsql as $$
         begin
           if (select rolsuper from pg_roles where rolname = session_user) and current_database() <> '${name}' then
             raise exception 'the session is a superuser''s';
           end if;
           return true;
         end $$;
       create table witness (v text check (never_of_a_superuser(v)));
       insert into witness values ('x')`,
      name,
    );
    const settings = {
      ...databaseEnvironment(source.superuser(name)),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: scratch.path,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_COMPRESSION: 'none',
    };
    const run = await runCommand(['run'], settings);
    assert.equal(run.status, 0, run.stderr);
    into = { ...settings, ...databaseEnvironment(target.mastodon(name)) };
    asSuperuser = { ...into, ...databaseEnvironment(target.superuser(name)) };
  });
  after(async () => {
    await source[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });
  afterEach(async () => {
    const left = await target.query(
      "select rolname as name from pg_roles where rolname like 'mastodon_backup%' union all select datname from pg_database where datname like '%restoring%'",
    );
    assert.deepEqual(left, [], 'no role and no database of a restore is left');
  });

  const restore = async (
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): Promise<CommandResult> => runCommand(['restore', 'latest', '--json', ...args], environment);
  const report = (result: CommandResult): RestoreReport => {
    assert.equal(result.status, 0, result.stderr);
    return JSON.parse(result.stdout) as RestoreReport;
  };
  const ownersOf = async (database: string): Promise<readonly string[]> => {
    const rows = await target.query(
      `select distinct pg_get_userbyid(c.relowner)::text as owner from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
       union select pg_get_userbyid(proowner) from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public'
       union select pg_get_userbyid(datdba) from pg_database where datname = current_database()`,
      database,
    );
    return rows.map(({ owner }) => String(owner));
  };

  it('is told to be missing on a fresh server, with the commands that make it', async () => {
    const asMastodon = await restore(['--to-database', name], into);
    assert.equal(asMastodon.status, 20);
    assert.match(
      asMastodon.stderr,
      /password authentication failed.*CREATE ROLE "mastodon" LOGIN CREATEDB.*--create-role/,
    );
    const result = await restore(['--to-database', name], asSuperuser);
    assert.equal(result.status, 20);
    assert.match(
      result.stderr,
      /The role 'mastodon', to whom the database is to belong, is not on the target.*--create-role/,
    );
    assert.deepEqual(await target.query("select from pg_database where datname like 'mastodon%'"), []);
  });

  it('is told to be missing by a server that trusts, too', async () => {
    await using fresh = await startPostgres({ major: 18 });
    await fresh.query('drop role mastodon');
    const result = await restore(['--to-database', name], { ...into, ...databaseEnvironment(fresh.mastodon(name)) });
    assert.equal(result.status, 20);
    assert.match(result.stderr, /has no role 'mastodon'.*CREATE ROLE "mastodon" LOGIN CREATEDB.*--create-role/);
  });

  it('is not left behind when the restore that created it fails', async () => {
    const result = await restore(['--to-database', name, '--create-role', '--locale', 'xx_XX'], asSuperuser);
    assert.equal(result.status, 20);
    assert.deepEqual(await target.query("select from pg_roles where rolname = 'mastodon'"), []);
  });

  it('is created with the password of DB_PASS, may log in, and owns everything that a superuser restored', async () => {
    const environment = {
      ...into,
      BACKUP_DATABASE_URL: `postgresql://postgres:${encodeURIComponent(testPassword)}@127.0.0.1:${target.port}/postgres`,
    };
    const result = report(await restore(['--to-database', name, '--create-role'], environment));
    assert.equal(result.owner, 'mastodon');
    assert.match(
      result.checks.find(({ check }) => check === 'role')?.detail ?? '',
      /'mastodon'.* can read and write everything/,
    );
    assert.deepEqual(await ownersOf(name), ['mastodon']);
    // The server asks it for the password.
    const client = await connectTest(target.mastodon(name));
    await client.query("insert into settings (var) values ('written'); alter table accounts add column added integer");
    await client.end();
    const [role] = await target.query(
      "select rolcanlogin, rolsuper, rolpassword like 'SCRAM-SHA-256$4096:%' as scram from pg_authid where rolname = 'mastodon'",
    );
    assert.deepEqual(role, { rolcanlogin: true, rolsuper: false, scram: true });
  });

  it('is whom the tables belonged to, when a superuser restores', async () => {
    const result = report(await restore(['--to-database', 'again'], asSuperuser));
    assert.equal(result.owner, 'mastodon');
    assert.deepEqual(await ownersOf('again'), ['mastodon']);
    assert.deepEqual(await countRows(target.mastodon('again')), await countRows(source.mastodon(name)));
  });

  it('may be somebody else on request, and then it is said who', async () => {
    await target.query('create role other login');
    const result = report(await restore(['--to-database', 'of_other', '--owner', 'other'], asSuperuser));
    assert.deepEqual([result.owner, await ownersOf('of_other')], ['other', ['other']]);
    const stranger = await restore(['--to-database', 'stranger', '--owner', 'postgres'], into);
    assert.equal(stranger.status, 20);
    assert.match(stranger.stderr, /may not create databases|may make nothing belong to 'postgres'/);
  });

  it("never lends a superuser's rights to what is in the dump", async () => {
    const result = report(await restore(['--to-database', 'watched'], asSuperuser));
    assert.ok(!result.checks.some(({ check }) => check === 'login'));
    // Its rows were written and its constraints checked by a login that is no superuser's, or this would have failed.
    assert.equal((await target.query('select from witness', 'watched')).length, 1);
  });

  it('is Mastodon also where the server lets no login in but the superuser, whose session is told', async () => {
    await createMastodonDatabase(source, { name: 'alone', megabytes: 1 });
    const elsewhere = `${scratch.path}/alone`;
    mkdirSync(elsewhere);
    const settings = { ...into, LOCAL_DOMAIN: 'alone.example', BACKUP_LOCAL_DIR: elsewhere };
    const run = await runCommand(['run'], { ...settings, ...databaseEnvironment(source.superuser('alone')) });
    assert.equal(run.status, 0, run.stderr);
    const hba = `${target.socketDirectory}/data/pg_hba.conf`;
    const original = readFileSync(hba, 'utf8');
    writeFileSync(hba, original.replaceAll(/^(host|local)( +)all( +)all/gm, '$1$2all$3postgres'));
    await target.query('select pg_reload_conf()');
    try {
      const environment = { ...settings, ...databaseEnvironment(target.superuser('alone')) };
      const result = await restore(['--to-database', 'alone', '--owner', 'mastodon'], environment);
      assert.match(result.stderr, /lets no role in that was made for this restore/);
      const { checks } = report(result);
      assert.match(checks.find(({ check }) => check === 'login')?.detail ?? '', /ran in a superuser session/);
      assert.deepEqual(await ownersOf('alone'), ['mastodon']);
    } finally {
      writeFileSync(hba, original);
      await target.query('select pg_reload_conf()');
    }
  });

  it('is given nothing by a superuser session only because the server had no room for another login', async () => {
    await target.query('alter database postgres connection limit 0');
    try {
      const result = await restore(['--to-database', 'crowded'], asSuperuser);
      assert.equal(result.status, 20, result.stderr);
      assert.match(result.stderr, /too many connections for database/);
    } finally {
      await target.query('alter database postgres connection limit -1', 'template1');
    }
  });

  it('is served by a login that is no superuser also where somebody dropped the database postgres', async () => {
    await target.query('alter database postgres rename to dropped', 'template1');
    try {
      const { checks } = report(await restore(['--to-database', 'without_postgres'], asSuperuser));
      assert.ok(!checks.some(({ check }) => check === 'login'));
    } finally {
      await target.query('alter database dropped rename to postgres', 'template1');
    }
  });

  it('is one that may log in nowhere else: the login of a restore that was killed goes with the next', async () => {
    await target.query(
      "create role mastodon_backup_0123456789ab login; comment on role mastodon_backup_0123456789ab is 'mastodon-backup: restoring'",
    );
    await target.query('create role mastodon_backup_ffffffffffff');
    report(await restore(['--to-database', 'after_killed'], asSuperuser));
    const left = await target.query("select rolname from pg_roles where rolname like 'mastodon_backup_%'");
    assert.deepEqual(left, [{ rolname: 'mastodon_backup_ffffffffffff' }], 'what has not our mark stays');
    await target.query('drop role mastodon_backup_ffffffffffff');
  });
});
