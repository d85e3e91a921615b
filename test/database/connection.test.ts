// Our own connection against a real server: what the environment, the role's settings and a server that hangs do to it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { connect, libpqEnvironment, type ConnectionSettings } from '../../src/database/connection.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe('a connection of our own', () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres({ major: 15 });
    await server.createDatabase('small');
    await server.query('create table things as select generate_series(1, 10)', 'small');
    await server.query('alter table things owner to mastodon', 'small');
  });
  after(async () => server[Symbol.asyncDispose]());

  it('takes nothing from PG* variables, and a run opens no third one', async () => {
    using folder = temporaryDirectory();
    const sessions = async (): Promise<number> => {
      const rows = await server.query("select sessions::int as n from pg_stat_database where datname = 'small'");
      return Number(rows[0]?.['n']);
    };
    const earlier = await sessions();
    const result = await runCommand(['run', '--json'], {
      ...databaseEnvironment(server.mastodon('small')),
      BACKUP_LOCAL_DIR: folder.path,
      BACKUP_STATE_DIR: path.join(folder.path, '.state'),
      PGOPTIONS: '-c statement_timeout=1 -c default_transaction_read_only=on -c nonsense=1',
      PGSSLNEGOTIATION: 'direct',
      PGREPLICATION: 'true',
      PGCLIENT_ENCODING: 'LATIN1',
      PGCLIENTENCODING: 'LATIN1',
      PGSERVICE: 'elsewhere',
      PGHOST: '192.0.2.1',
      PGPORT: '9',
      PGUSER: 'nobody',
      PGPASSWORD: 'wrong',
      PGDATABASE: 'other',
      PGSSLMODE: 'verify-full',
      PGTARGETSESSIONATTRS: 'standby',
    });
    assert.equal(result.status, 0, result.stderr);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.equal((await sessions()) - earlier, 2, 'ours and pg_dump');
  });

  it('is asked by several at once, one after the other, whatever comes of each', async () => {
    const warnings: string[] = [];
    const warn = ({ message }: Error): void => void warnings.push(message);
    process.on('warning', warn);
    await using client = await connect(server.mastodon('small'), AbortSignal.timeout(10_000));
    const outcomes = await Promise.allSettled(
      ['select 1 as n', 'select nonsense', 'select 2 as n', 'select 3 as n'].map(async (sql) => client.query(sql)),
    );
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', warn);
    assert.deepEqual(
      outcomes.map((one) => (one.status === 'fulfilled' ? one.value.rows : 'rejected')),
      [[{ n: 1 }], 'rejected', [{ n: 2 }], [{ n: 3 }]],
    );
    assert.deepEqual(warnings, []);
  });

  it("is not bound by a role's statement_timeout", async () => {
    await server.query("alter role mastodon set statement_timeout = '5ms'");
    try {
      await using client = await connect(server.mastodon('small'), AbortSignal.timeout(10_000));
      const { rows } = await client.query<{ statement_timeout: string }>('show statement_timeout');
      assert.deepEqual(rows, [{ statement_timeout: '0' }]);
    } finally {
      await server.query('alter role mastodon reset statement_timeout');
    }
  });

  it('lets go of a server that no longer answers when the signal aborts', async () => {
    const stop = new AbortController();
    const client = await connect(server.mastodon('small'), stop.signal);
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const pid = rows[0]?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    try {
      setTimeout(() => stop.abort(new Error('enough')), 200);
      const started = performance.now();
      await assert.rejects(client.query('select 1'));
      await client[Symbol.asyncDispose]();
      assert.ok(performance.now() - started < 5_000);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  it('says goodbye within seconds to a server that no longer answers', async () => {
    const client = await connect(server.mastodon('small'), AbortSignal.timeout(60_000));
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const pid = rows[0]?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    try {
      const started = performance.now();
      await client[Symbol.asyncDispose]();
      assert.ok(performance.now() - started < 5_000);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });
});

describe('a password', () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres({ major: 15, auth: 'scram-sha-256' });
    await server.createDatabase('small');
  });
  after(async () => server[Symbol.asyncDispose]());

  const logsIn = async (password: string): Promise<void> => {
    await server.query(`alter role mastodon password '${password.replaceAll("'", "''")}'`);
    const connection: ConnectionSettings = { ...server.mastodon('small'), password };
    await using client = await connect(connection, AbortSignal.timeout(10_000));
    await client.query('select 1');
    const env = libpqEnvironment(connection, { serverMajor: 15 });
    execFileSync('pg_dump', ['--no-password', '--schema-only'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  };

  it('with every special character there is logs in, for us and for pg_dump', async () => {
    const printable = Array.from({ length: 0x7e - 0x20 + 1 }, (_, at) => String.fromCodePoint(0x20 + at)).join('');
    await logsIn(printable);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary-ascii', minLength: 1 }), async (text) => {
        const password = text.replaceAll('\0', '');
        fc.pre(password !== '');
        await logsIn(password);
      }),
      { numRuns: 12 },
    );
  });

  it('in any script logs in, for us and for pg_dump', async () => {
    for (const password of ['ë', 'e\u0301', 'пароль', 'パスワード', '🦣🐘', 'Ⅷ', 'a\u00a0b', 'ﬁ', 'a\u00adb'])
      await logsIn(password);
  });

  it('with every special character there is gets a backup made, by DB_PASS and by a URL', async () => {
    const password = ` !"#$%&'()*+,-./0:;<=>?@A[\\]^_\`a{|}~ é日🐘 `;
    await server.query(`alter role mastodon password '${password.replaceAll("'", "''")}'`);
    const { host, port, user } = server.mastodon('small');
    for (const variables of [
      databaseEnvironment({ ...server.mastodon('small'), password }),
      { DATABASE_URL: `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/small` },
    ]) {
      using folder = temporaryDirectory();
      const result = await runCommand(['run'], {
        ...variables,
        BACKUP_LOCAL_DIR: folder.path,
        BACKUP_STATE_DIR: path.join(folder.path, '.state'),
        BACKUP_LOG_LEVEL: 'debug',
      });
      assert.equal(result.status, 0, result.stderr);
      for (const form of [password, password.trim(), encodeURIComponent(password)])
        assert.ok(!(result.stderr + result.stdout).includes(form), 'the password is shown');
    }
  });
});
