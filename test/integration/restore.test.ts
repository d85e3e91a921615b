// `restore` against real servers: the database comes back as it was dumped, under its real name only when it is whole, and an
// old one is kept.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { escapeIdentifier } from 'pg';
import type { RestoreReport } from '../../src/app/restore-verb.ts';
import { databaseEnvironment, processVariables, runCommand, type CommandResult } from '../support/command.ts';
import { connectTest, countRows, createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { holdAutovacuumIn } from '../support/stuck-autovacuum.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const secrets = {
  SECRET_KEY_BASE: 'k'.repeat(64),
  OTP_SECRET: 'o'.repeat(64),
  LOCAL_DOMAIN: 'social.example',
} as const;

describe('restore', () => {
  let source: PostgresServer;
  let target: PostgresServer;
  let settings: Readonly<Record<string, string>>;
  let into: Readonly<Record<string, string>>;
  let identity: string;
  const scratch = temporaryDirectory();
  before(async () => {
    source = await startPostgres({ major: 14, auth: 'scram-sha-256' });
    target = await startPostgres({ major: 15, auth: 'scram-sha-256' });
    await target.query('alter role mastodon createdb');
    await createMastodonDatabase(source, { name: 'mastodon_production', megabytes: 4 });
    await source.query(
      `create schema elsewhere authorization mastodon; create table elsewhere.zzz (id integer);
       insert into elsewhere.zzz select generate_series(1, 100000); alter table elsewhere.zzz owner to mastodon`,
      'mastodon_production',
    );
    const key = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    identity = `${scratch.path}/key.txt`;
    writeFileSync(identity, key);
    mkdirSync(`${scratch.path}/backups`);
    settings = {
      ...databaseEnvironment(source.mastodon('mastodon_production')),
      ...secrets,
      BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_COMPRESSION_LEVEL: '1',
      BACKUP_AGE_RECIPIENTS: /age1\w+/.exec(key)?.[0] ?? '',
    };
    into = { ...settings, ...databaseEnvironment(target.mastodon('mastodon_production')) };
    const run = await runCommand(['run', 'weekly'], settings);
    assert.equal(run.status, 0, run.stderr);
  });
  after(async () => {
    await source[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  const restore = async (
    args: readonly string[],
    environment: Readonly<Record<string, string>> = into,
  ): Promise<CommandResult> => runCommand(['restore', 'latest:weekly', '--identity', identity, ...args], environment);
  const report = (result: CommandResult): RestoreReport => {
    assert.equal(result.status, 0, result.stderr);
    return JSON.parse(result.stdout) as RestoreReport;
  };
  const databases = async (): Promise<readonly string[]> => {
    const rows = await target.query('select datname from pg_database where not datistemplate order by 1');
    return rows.map(({ datname }) => String(datname));
  };
  const sameAsSource = async (name: string, { schema = '' } = {}): Promise<void> => {
    const expected = await countRows(source.mastodon('mastodon_production'));
    const some = Object.entries(expected).filter(([table]) => table.startsWith(schema));
    assert.deepEqual(await countRows(target.mastodon(name)), Object.fromEntries(some));
  };

  it('brings a database of PostgreSQL 14 back in 15, with everything the archive lists', async () => {
    const result = report(await restore(['--to-database', 'mastodon_production', '--json']));
    await sameAsSource('mastodon_production');
    assert.equal(result.movedAside, null);
    for (const check of ['rows', 'indexes', 'contents', 'sequence positions', 'schema', 'role', 'left out'])
      assert.equal(result.checks.find((one) => one.check === check)?.status, 'ok', check);
    assert.ok(result.nextSteps.some((step) => step.includes('tootctl feeds build')));
    for (const words of ['search deploy', 'flushall', '--sequences-ahead'])
      assert.ok(
        result.nextSteps.some((step) => step.includes(words)),
        words,
      );
    const [owner] = await target.query(
      "select pg_get_userbyid(datdba) as name, pg_encoding_to_char(encoding) as encoding from pg_database where datname = 'mastodon_production'",
    );
    assert.deepEqual(owner, { name: 'mastodon', encoding: 'UTF8' });
    const client = await connectTest(target.mastodon('mastodon_production'));
    const { rows } = await client.query(
      "select count(*)::int as analysed from pg_stats where schemaname = 'public' and tablename = 'statuses'",
    );
    await client.end();
    assert.ok(Number((rows as { analysed: number }[])[0]?.analysed) > 0, 'statistics are there');
    assert.deepEqual(await databases(), ['mastodon_production', 'postgres']);
  });

  it('refuses a database with tables, and moves it aside when told to', async () => {
    const refused = await restore(['--to-database', 'mastodon_production']);
    assert.equal(refused.status, 20);
    assert.match(
      refused.stderr,
      /'mastodon_production' is not empty: it has \d+ tables.*--replace mastodon_production/,
    );
    await target.query('create table precious (id integer); insert into precious values (42)', 'mastodon_production');
    const result = report(await restore(['--replace', 'mastodon_production', '--json']));
    assert.match(result.movedAside ?? '', /^mastodon_production_before_\d{8}T\d{6}Z$/);
    assert.deepEqual(await target.query('select id from precious', result.movedAside ?? ''), [{ id: 42 }]);
    await sameAsSource('mastodon_production');
    const text = await restore(['--to-database', 'mastodon_production', '--replace']);
    assert.match(text.stdout, /The former mastodon_production is kept as mastodon_production_before_/);
    assert.match(text.stdout, /DROP DATABASE "mastodon_production_before_/);
  });

  it('gives what takes the place of a database to whom that belonged, and tells what is in no dump', async () => {
    await target.createDatabase('placed');
    await target.query("alter database placed set statement_timeout = '7s'");
    await target.query('revoke connect on database placed from public');
    const superuser = { ...into, DB_USER: 'postgres' };
    const result = report(await restore(['--replace', 'placed', '--json'], superuser));
    assert.match(result.checks.find(({ check }) => check === 'settings')?.detail ?? '', /statement_timeout=7s/);
    assert.ok(result.checks.some(({ check }) => check === 'rights'));
    // Mastodon's role reads and writes it.
    await sameAsSource('placed');
    const client = await connectTest(target.mastodon('placed'));
    await client.query('alter table statuses add column proof integer');
    await client.end();
    await target.query(`drop database placed`);
    await target.query(`drop database "${result.movedAside}"`);
  });

  it('takes nothing for a snapshot that is not named as one', async () => {
    for (const name of ['latest/weekly', 'latest:weekly:x', 'weekly'])
      assert.equal((await runCommand(['restore', name, '--to-database', 'x'], into)).status, 4, name);
  });

  it('refuses a database that somebody is in, and says what to stop', async () => {
    const earlier = await databases();
    const puma = await connectTest({ ...target.mastodon('mastodon_production') });
    await puma.query("set application_name = 'puma'");
    const refused = await restore(['--replace', 'mastodon_production']);
    assert.equal(refused.status, 20);
    assert.match(
      refused.stderr,
      /in use by puma \(1\)\. Stop Mastodon first:\n +docker compose stop web streaming sidekiq\n/,
    );
    await puma.end();
    assert.deepEqual(await databases(), earlier);
  });

  it('is not kept from a database by autovacuum, which the server sends away', async () => {
    await target.createDatabase('vacuumed');
    await using _worker = await holdAutovacuumIn(target, 'vacuumed');
    report(await restore(['--replace', 'vacuumed', '--json']));
  });

  it('tells the real name of a database with a long name that it moved aside', async () => {
    for (const name of ['n'.repeat(63), `${'ö'.repeat(20)}${'🐘'.repeat(5)}`, 'with "quotes"']) {
      await target.query(`create database "${name.replaceAll('"', '""')}" owner mastodon template template0`);
      const result = report(await restore(['--replace', name, '--json']));
      const aside = result.movedAside ?? '';
      assert.ok((await databases()).includes(aside), aside);
      assert.ok(result.nextSteps.some((step) => step.includes(`DROP DATABASE ${escapeIdentifier(aside)};`)));
      // A copy beside the one that runs: its Redis stays as it is.
      assert.ok(!result.nextSteps.some((step) => step.includes('flushall')));
      assert.match(result.nextSteps[0] ?? '', / is a copy: /);
      assert.ok(!result.nextSteps.some((step) => step.includes('--accept-new-server')));
    }
  });

  it('restores with several jobs through the scratch directory, and leaves nothing there', async () => {
    report(await restore(['--to-database', 'with_jobs', '--jobs', '2', '--json']));
    await sameAsSource('with_jobs');
    assert.deepEqual(readdirSync(`${scratch.path}/scratch`), []);
    assert.equal(settings['BACKUP_SCRATCH_DIR'], `${scratch.path}/scratch`);
  });

  it('fills an empty database in one transaction for a role that may not create any', async () => {
    await target.query("create role modest login password 'modest'");
    await target.query('create database modest_db owner modest template template0');
    const modest = { ...into, DB_USER: 'modest', DB_PASS: 'modest' };
    const absent = await restore(['--to-database', 'not_there'], modest);
    assert.equal(absent.status, 20);
    assert.match(absent.stderr, /'modest' may not create databases.*CREATE DATABASE "not_there" OWNER "modest"/);
    const result = report(await restore(['--to-database', 'modest_db', '--json'], modest));
    assert.equal(result.database, 'modest_db');
    const [count] = await target.query('select count(*)::int as count from accounts', 'modest_db');
    const expected = await countRows(source.mastodon('mastodon_production'));
    assert.equal(count?.['count'], expected['public.accounts']);
  });

  it('writes the archive for any other use, to a file or to stdout', async () => {
    const file = `${scratch.path}/plain.dump`;
    const written = await restore(['--output', file]);
    assert.equal(written.status, 0, written.stderr);
    assert.match(execFileSync('pg_restore', ['--list', file], { encoding: 'utf8' }), /TABLE DATA public accounts/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const again = await restore(['--output', file]);
    assert.equal(again.status, 2);
    assert.match(again.stderr, /exists already/);
    const piped = await restore(['--output', '-']);
    assert.equal(piped.status, 0, piped.stderr);
    assert.ok(piped.stdout.startsWith('PGDMP'));
  });

  it('brings the settings back, and refuses to restore beside other secrets', async () => {
    const file = `${scratch.path}/env`;
    const written = await restore(['--secrets-output', file]);
    assert.equal(written.status, 0, written.stderr);
    assert.match(readFileSync(file, 'utf8'), /OTP_SECRET=["']?o{64}/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    if (existsSync('/dev/full')) {
      const command = `exec "$0" src/main.ts restore latest:weekly --identity "$1" --secrets-output - > /dev/full`;
      const full = spawnSync('/bin/sh', ['-c', command, process.execPath, identity], {
        env: { ...processVariables, ...into },
        encoding: 'utf8',
      });
      assert.equal(full.status, 20, full.stderr);
      assert.match(full.stderr, /The output could not be written: ENOSPC.*Name a file/);
    }
    const { OTP_SECRET: _otp, ...without } = into;
    for (const environment of [{ ...into, OTP_SECRET: 'x'.repeat(64) }, without]) {
      const refused = await restore(['--to-database', 'beside'], environment);
      assert.equal(refused.status, 20);
      assert.match(refused.stderr, /OTP_SECRET.*two-factor.*--ignore-secrets[^]*--secrets-output/);
      assert.ok(!(await databases()).includes('beside'));
    }
    report(await restore(['--to-database', 'beside', '--ignore-secrets', '--json'], without));
    await sameAsSource('beside');
  });

  it('names what is missing on the command line', async () => {
    for (const [args, says] of [
      [[], /Nothing says where to restore to/],
      [['--to-database', 'a', '--output', 'b'], /Only one goal at a time/],
      [['--to-database', 'a', '--jobs', '0'], /Write a number from 1 to 64/],
      [['--to-database', 'postgres'], /belongs to the server itself/],
      [['--to-database', 'x'.repeat(64)], /longer than 63 bytes/],
    ] as const) {
      const result = await restore(args);
      assert.equal(result.status, 2, result.stderr);
      assert.match(result.stderr, says);
    }
    const without = await runCommand(['restore', 'latest', '--to-database', 'x'], into);
    assert.equal(without.status, 20);
    assert.match(without.stderr, /is encrypted, and no private key is at hand/);
    const unknown = await runCommand(['restore', 'daily/2020-01-01T000000Z-aaaaaa', '--to-database', 'x'], into);
    assert.equal(unknown.status, 4);
  });
});
