// A look into a snapshot: what is shown is the copy alone, and nothing that is typed changes it or reads what lies beside it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { databaseEnvironment, runCommand, runProcess, startCommand } from '../support/command.ts';
import { checkout, commandBlock } from '../support/documentation.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe('open', () => {
  let server: PostgresServer;
  let environment: Record<string, string>;
  const scratch = temporaryDirectory();
  const name = 'mastodon_production';
  before(async () => {
    // The server that shows it runs as somebody else where the tests are root's.
    chmodSync(scratch.path, 0o755);
    server = await startPostgres({ major: 15 });
    await createMastodonDatabase(server, { name, megabytes: 1 });
    await server.query(
      `set role mastodon; create schema apart; create table apart.found (id bigint, seen boolean, words json);
       insert into apart.found values (9007199254740993, true, '{"a": [1]}'), (2, null, null);
       create table public.private (id int); insert into public.private values (1);
       alter table public.private enable row level security; alter table public.private force row level security;
       alter table accounts add shared_inbox_url varchar not null default ''`,
      name,
    );
    environment = {
      ...databaseEnvironment(server.superuser(name)),
      BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_COMPRESSION: 'none',
      LOCAL_DOMAIN: 'social.example',
    };
    mkdirSync(`${scratch.path}/backups`);
    const run = await runCommand(['run'], environment);
    assert.equal(run.status, 0, run.stderr);
    await server.query('drop table apart.found', name);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  async function answer(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await runCommand(['open', ...args], environment);
    assert.equal(status, 0, stderr);
    assert.deepEqual(readdirSync(`${scratch.path}/scratch`), []);
    return stdout;
  }

  it('answers one statement as a table, as CSV and as JSON that loses no digit, from whatever schema', async () => {
    assert.match(await answer('--', 'select id from found where seen'), /^ +id +\n-+\n 9007199254740993\n\(1 row\)\n/);
    assert.equal(
      await answer('latest:daily', '--format', 'csv', '--', 'select id, seen from found order by id'),
      'id,seen\n2,\n9007199254740993,t\n',
    );
    const json = await answer(
      '--format',
      'json',
      '--',
      'select id, seen, words, 1::int as n, 2 as n from found order by id desc',
    );
    assert.deepEqual(JSON.parse(json), [
      { id: '9007199254740993', seen: true, words: { a: [1] }, n: 1, n_2: 2 },
      { id: '2', seen: null, words: null, n: 1, n_2: 2 },
    ]);
    const exact = await answer(
      '--format',
      'json',
      '--',
      `select '{"id": 9007199254740993, "e": 1e400}'::jsonb as j, '[1.10]'::json as t`,
    );
    assert.match(exact, /"j":\{"e": 10{400}, "id": 9007199254740993\},"t":\[1\.10\]\}/);
    JSON.parse(exact);
    // Rows that are hidden from everybody but a superuser would be missed on the worst day.
    assert.equal(await answer('--format', 'csv', '--', 'select count(*) from private'), 'count\n1\n');
  });

  it('is psql for whoever sits there, who can neither write, nor read files of this machine, nor run its programs', async () => {
    const refused = [
      "update accounts set username = 'x';",
      'create table mine (id int);',
      'begin read write; create table public.mine (id int);',
      'set default_transaction_read_only = off; delete from accounts where id > 0;',
      'begin read write; create temporary table mine (id int);',
      "select pg_read_file('/etc/passwd');",
      "copy (select 1) to program 'true';",
      "copy accounts from '/etc/passwd';",
      "select lo_import('/etc/passwd');",
      'set role drill;',
      'set session authorization postgres;',
    ];
    const { status, stdout, stderr } = await runProcess(['open'], environment, {
      input: `${refused.map((text, index) => `\\warn asked ${index}\n${text}\nrollback;`).join('\n')}\nselect count(*) from apart.found;\n`,
    });
    assert.equal(status, 0, stderr);
    for (const [index, text] of refused.entries())
      assert.match(
        stderr,
        new RegExp(`asked ${index}\n(?!asked)(?:.*\n)?.*ERROR: .*(?:permission denied|read-only|must be)`),
        text,
      );
    assert.match(stdout, /count *\n-+\n +2\n/);
    assert.match(stderr, /is open for reading after .*; the copy goes when you leave/);
    assert.deepEqual(readdirSync(`${scratch.path}/scratch`), []);
  });

  it('says with exit status 2 what the server has against a statement', async () => {
    for (const [args, words] of [
      [['open', '--', 'select 1 +'], /The statement was refused: ERROR: +syntax error/],
      [['open', '--format', 'json', '--', 'select 1; select 2'], /cannot insert multiple commands/],
      [
        ['open', '--format', 'json', '--', 'copy accounts to stdout'],
        /COPY answers no rows that could be written as JSON/,
      ],
    ] as const) {
      const { status, stderr } = await runCommand(args, environment);
      assert.equal(status, 2, stderr);
      assert.match(stderr, words);
    }
  });

  it('keeps neither a backup nor a drill waiting, is one at a time, and leaves nothing when it is ended', async () => {
    await using opened = startCommand(['open', '--', 'select pg_sleep(600)'], environment);
    await opened.saw('is open for reading');
    const second = await runCommand(['open', '--', 'select 1'], environment);
    assert.equal(second.status, 3, second.stderr);
    const [run, drill] = await Promise.all([runCommand(['run'], environment), runCommand(['drill'], environment)]);
    assert.equal(run.status, 0, run.stderr);
    assert.equal(drill.status, 0, drill.stderr);
    opened.child.kill('SIGTERM');
    const { status } = await opened.result;
    assert.equal(status, 130);
    assert.deepEqual(readdirSync(`${scratch.path}/scratch`), []);
  });

  it('says with exit status 2 or 4 what cannot be asked, before anything is restored', async () => {
    for (const [args, expected, words] of [
      [['open', '--format', 'json'], 2, /psql does not write JSON[^]*open latest -- "table accounts"$/m],
      [['open', '--format', 'html', '--', 'select 1'], 2, /Allowed choices are table, csv, json/],
      [['open', '--identity', '-'], 2, /Standard input is the key/],
      [['open', '--', String.raw`\! touch ${scratch.path}/touched`], 2, /SQL, and '\\!' is a command of psql itself/],
      [['open', '--', String.raw` \copy (select 1) to ${scratch.path}/touched`], 2, /is a command of psql itself/],
      [['open', '--', String.raw`\i /etc/passwd`], 2, /is a command of psql itself/],
      [['open', '2020-01-01T000000Z-aaaaaa', '--', 'select 1'], 4, /no snapshot|There is no/i],
    ] as const) {
      const { status, stderr } = await runCommand(args, environment);
      assert.equal(status, expected, stderr);
      assert.match(stderr, words);
    }
  });

  it('is what the documentation says, and brings rows back and makes a staging copy as it is written there', async () => {
    const count = async (table: string, database = name): Promise<unknown> =>
      (await server.query(`select count(*)::int as n from ${table}`, database))[0]?.['n'];
    const follows = await count('follows');
    assert.ok(Number(follows) > 2);
    await server.query('delete from follows where id > 2', name);
    const { host, port, password } = server.superuser(name);
    const psql = `PGHOST='${host}' PGPORT=${port} PGPASSWORD='${password}' "$@"`;
    const type = (words: string): string =>
      execFileSync(
        'bash',
        [
          '-euo',
          'pipefail',
          '-c',
          // Which service it is is all that compose adds.
          `docker() { shift 2; [ "$1" != -T ] || shift; if [ "$1" = db ]; then shift; ${psql}; else shift 2; '${checkout}/bin/mastodon-backup' "$@"; fi; }
${commandBlock(words).replace('daily/2026-11-23', 'latest')}`,
        ],
        { cwd: scratch.path, encoding: 'utf8', env: { PATH: process.env['PATH'], ...environment }, stdio: 'pipe' },
      );
    assert.match(
      type('open latest -- "select count(*) from accounts"'),
      /^ count[^]*id,username,created_at\n[^]*"text":"/,
    );
    type('create table follows_before');
    assert.equal(await count('follows'), follows);
    type('> alice.json');
    assert.ok(Array.isArray(JSON.parse(readFileSync(`${scratch.path}/alice.json`, 'utf8'))));
    type('--to-database mastodon_staging');
    assert.equal(await count('accounts where private_key is not null', 'mastodon_staging'), 0);
    assert.ok(Number(await count('accounts where private_key is not null')) > 0);
    type('--to-database mastodon_rehearsal');
    assert.equal(await count('accounts', 'mastodon_rehearsal'), await count('accounts'));
  });

  it('leaves Ctrl-C to psql, for which it ends a query', async () => {
    // From inside the query: before it is on there is nothing to end.
    const input = "do $$ begin raise warning 'begun'; perform pg_sleep(600); end $$;\n";
    await using opened = startCommand(['open'], environment, { input });
    await opened.saw('begun');
    opened.killGroup('SIGINT');
    const { status, stderr } = await opened.result;
    assert.match(stderr, /canceling statement due to user request/);
    assert.doesNotMatch(stderr, /Stopping/);
    assert.equal(status, 2, stderr);
    assert.deepEqual(readdirSync(`${scratch.path}/scratch`), []);
  });
});
