// A look into a snapshot: what is shown is the copy alone, and nothing that is typed changes it or reads what lies beside it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { findClients } from '../../src/database/clients.ts';
import { runStatement } from '../../src/database/psql.ts';
import { exitStatusOf } from '../../src/errors.ts';
import { databaseEnvironment, processVariables, runCommand, runProcess, startCommand } from '../support/command.ts';
import { checkout, commandBlock } from '../support/documentation.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe('open', () => {
  let server: PostgresServer;
  let environment: Record<string, string>;
  const scratch = temporaryDirectory();
  const name = 'small';
  before(async () => {
    // The server that shows it runs as somebody else where the tests are root's.
    chmodSync(scratch.path, 0o755);
    server = await startPostgres({ major: 15 });
    await server.createDatabase(name);
    await server.query(
      `set role mastodon; create schema apart; create table apart.found (id bigint, seen boolean, words json);
       insert into apart.found values (9007199254740993, true, '{"a": [1]}'), (2, null, null);
       create table public.private (id int); insert into public.private values (1);
       alter table public.private enable row level security; alter table public.private force row level security;
       create table public.accounts (id bigint, username text); insert into public.accounts values (1, 'alice')`,
      name,
    );
    environment = environmentOf(name);
    const run = await runCommand(['run'], environment);
    assert.equal(run.status, 0, run.stderr);
    await server.query('drop table apart.found', name);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  // Of each database in a directory of its own.
  function environmentOf(database: string): Record<string, string> {
    const backups = `${scratch.path}/backups-${database}`;
    mkdirSync(backups);
    return {
      ...databaseEnvironment(server.superuser(database)),
      BACKUP_LOCAL_DIR: backups,
      BACKUP_STATE_DIR: `${scratch.path}/state-${database}`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_COMPRESSION: 'none',
      LOCAL_DOMAIN: 'social.example',
    };
  }

  async function answer(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await runCommand(['open', ...args], environment);
    assert.equal(status, 0, stderr);
    assert.deepEqual(readdirSync(`${scratch.path}/scratch`), []);
    return stdout;
  }

  it('answers one statement as a table, as CSV and as JSON that loses no digit, from whatever schema', async () => {
    assert.match(await answer('--', 'select id from found where seen'), /^ +id +\n-+\n 9007199254740993\n\(1 row\)\n/);
    // Rows that are hidden from everybody but a superuser would be missed on the worst day.
    const withHidden = 'select id, seen, (select count(*) from private) as hidden from found order by id';
    assert.equal(
      await answer('latest:daily', '--format', 'csv', '--', withHidden),
      'id,seen,hidden\n2,,1\n9007199254740993,t,1\n',
    );
    const json = await answer(
      '--format',
      'json',
      '--',
      `select id, seen, words, 1::int as n, 2 as n, '{"id": 9007199254740993, "e": 1e400}'::jsonb as j, '[1.10]'::json as t
         from found order by id desc`,
    );
    assert.match(json, /"j":\{"e": 10{400}, "id": 9007199254740993\},"t":\[1\.10\]\}/);
    assert.deepEqual(
      (JSON.parse(json) as Record<string, unknown>[]).map(({ j: _j, t: _t, ...row }) => row),
      [
        { id: '9007199254740993', seen: true, words: { a: [1] }, n: 1, n_2: 2 },
        { id: '2', seen: null, words: null, n: 1, n_2: 2 },
      ],
    );
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
    const { status, stderr } = await runCommand(['open', '--', 'select 1 +'], environment);
    assert.equal(status, 2, stderr);
    assert.match(stderr, /The statement was refused: ERROR: +syntax error/);
    // What JSON is made of is asked in another way, and the same of every server.
    const signal = AbortSignal.timeout(60_000);
    const [client] = await findClients({ directory: null, path: process.env['PATH'] ?? '', signal });
    assert.ok(client !== undefined);
    const to = new PassThrough();
    const target = { connection: server.superuser(name), client, serverMajor: server.major, searchPath: 'public', to };
    for (const [sql, message] of [
      ['select 1; select 2', /cannot insert multiple commands/],
      ['copy accounts to stdout', /COPY answers no rows that could be written as JSON/],
    ] as const)
      await assert.rejects(runStatement(sql, { ...target, format: 'json', signal }), (error) => {
        assert.equal(exitStatusOf(error), 2);
        assert.match(String(error), message);
        return true;
      });
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
    const mastodon = 'mastodon_production';
    await createMastodonDatabase(server, { name: mastodon, megabytes: 1 });
    await server.query("alter table accounts add shared_inbox_url varchar not null default ''", mastodon);
    const variables = { ...processVariables, ...environmentOf(mastodon) };
    const run = await runCommand(['run'], variables);
    assert.equal(run.status, 0, run.stderr);
    const count = async (table: string, database = mastodon): Promise<unknown> =>
      (await server.query(`select count(*)::int as n from ${table}`, database))[0]?.['n'];
    const follows = await count('follows');
    assert.ok(Number(follows) > 2);
    await server.query('delete from follows where id > 2', mastodon);
    const { host, port, password } = server.superuser(mastodon);
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
        { cwd: scratch.path, encoding: 'utf8', env: variables, stdio: 'pipe' },
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
