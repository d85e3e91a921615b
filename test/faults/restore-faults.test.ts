// Whatever goes wrong while restoring: a message one can act on, status 20, and target and bucket as they were.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { removeUnfinished } from '../../src/restore/unfinished-database.ts';
import { dumpOf, type Manifest } from '../../src/snapshots/manifest.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { openApp } from '../support/app.ts';
import {
  databaseEnvironment,
  runCommand,
  startCommand,
  type CommandResult,
  type RunningCommand,
  lastSentence,
} from '../support/command.ts';
import { connectTest, createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { dumpKey, manifestFrom, secretsKey } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { holdAutovacuumIn } from '../support/stuck-autovacuum.ts';
import { until } from '../support/until.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

function pgRestoreOf({ child }: RunningCommand): number {
  const children = execFileSync('ps', ['-o', 'pid=,comm=', '--ppid', String(child.pid)], { encoding: 'utf8' });
  return Number(/(\d+) pg_restore/.exec(children)?.[1]);
}

describe('a restore that fails', () => {
  let source: PostgresServer;
  let target: PostgresServer;
  let s3: S3TestServer;
  let settings: Readonly<Record<string, string>>;
  let into: Readonly<Record<string, string>>;
  let wrongIdentity: string;
  let identity: string;
  let manifest: Manifest;
  let original: Buffer;
  let earlier: string;
  const scratch = temporaryDirectory();
  before(async () => {
    [source, target, s3] = await Promise.all([
      startPostgres({ major: 15 }),
      startPostgres({ major: 15, auth: 'scram-sha-256' }),
      startS3(),
    ]);
    await target.query('alter role mastodon createdb');
    await target.createDatabase('precious');
    await target.query('create table kept as select generate_series(1, 1000) as id', 'precious');
    await target.query('alter table kept owner to mastodon', 'precious');
    await createMastodonDatabase(source, { name: 'mastodon_production', megabytes: 8 });
    const keys = [0, 1].map(() =>
      execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    [identity = '', wrongIdentity = ''] = keys.map((key, index) => {
      const file = `${scratch.path}/key${index}.txt`;
      writeFileSync(file, key);
      return file;
    });
    settings = {
      ...databaseEnvironment(source.mastodon('mastodon_production')),
      ...s3.environment,
      LOCAL_DOMAIN: 'social.example',
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_COMPRESSION: 'none',
      // A silent bucket is asked again soon.
      BACKUP_STALL_TIMEOUT: '4s',
      BACKUP_AGE_RECIPIENTS: /age1\w+/.exec(keys[0] ?? '')?.[0] ?? '',
    };
    into = { ...settings, ...databaseEnvironment(target.mastodon('mastodon_production')) };
    const run = await runCommand(['run'], settings);
    assert.equal(run.status, 0, run.stderr);
    const [key = ''] = (await s3.keys()).filter((one) => one.endsWith('.json'));
    manifest = manifestFrom(JSON.parse(await text(key)));
    original = await bytes(dumpKey(manifest));
    earlier = await picture();
  });
  after(async () => {
    await s3[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });
  afterEach(async () => {
    s3.rule(() => ({ kind: 'pass' }));
    const now = await picture();
    if (now !== earlier) {
      // One failure is enough.
      const rows = await target.query(
        "select datname from pg_database where datname not in ('precious', 'postgres', 'template0', 'template1')",
      );
      for (const { datname } of rows) await target.query(`drop database "${String(datname)}" with (force)`);
      await put(dumpKey(manifest), original);
    }
    assert.equal(now, earlier, 'target and bucket are as they were');
    assert.deepEqual(readdirSync(scratch.path).includes('scratch') ? readdirSync(`${scratch.path}/scratch`) : [], []);
  });

  const signal = AbortSignal.timeout(1_800_000);
  const bytes = async (key: string): Promise<Buffer> => buffer(await s3.store().get(key as ObjectKey, { signal }));
  const text = async (key: string): Promise<string> => (await bytes(key)).toString('utf8');
  const put = async (key: string, content: Uint8Array): Promise<void> => s3.overwrite(key, content);
  // Everything that must not change.
  const picture = async (): Promise<string> => {
    const databases = await target.query(
      "select datname, pg_get_userbyid(datdba) as owner, shobj_description(oid, 'pg_database') as comment from pg_database order by 1",
    );
    const [kept] = await target.query('select count(*) as count, sum(id) as sum from kept', 'precious');
    return JSON.stringify({ databases, kept, keys: await s3.keys() });
  };
  const restore = async (
    args: readonly string[] = ['--to-database', 'wanted'],
    environment: Readonly<Record<string, string>> = into,
  ): Promise<CommandResult> => runCommand(['restore', 'latest', '--identity', identity, ...args], environment);
  const failed = (result: CommandResult, says: RegExp): void => {
    assert.match(result.stderr, says);
    assert.equal(result.status, 20, result.stderr);
    assert.match(lastSentence(result), /^mastodon-backup: .+\. .+/, 'one line with a next step');
    assert.doesNotMatch(result.stderr, /test-secret-key|AGE-SECRET-KEY/);
  };
  // The object's download stops in its middle: the restore stands still with half of the data in the target.
  const halfWay = async (
    args: readonly string[] = [],
    { name = 'wanted', filled = 'wanted_restoring_%', environment = into } = {},
  ): Promise<RunningCommand> => {
    s3.rule(({ method, path: at }) =>
      method === 'GET' && at.includes('.dump') ? { kind: 'stall', afterBytes: original.length / 2 } : { kind: 'pass' },
    );
    await using unlessReached = new AsyncDisposableStack();
    const command = unlessReached.use(
      startCommand(['restore', 'latest', '--identity', identity, '--to-database', name, ...args], environment),
    );
    await command.saw('Restore started');
    const copying = `select pid from pg_stat_activity where datname like '${filled}' and state = 'active' and query like 'COPY%'`;
    await until('a pg_restore in the middle of a table', {
      seconds: 15,
      look: async () => (await target.query(copying)).length > 0,
    });
    unlessReached.move();
    return command;
  };
  // The same into an empty database, by a role that may create none.
  const halfWayInPlace = async (): Promise<RunningCommand> => {
    await target.query("create role plain login password 'plain'");
    await target.query('create database filled owner plain template template0');
    const environment = { ...into, DB_USER: 'plain', DB_PASS: 'plain' };
    return halfWay([], { name: 'filled', filled: 'filled', environment });
  };
  const seesInPlace = async (condition: string): Promise<boolean> =>
    (await target.query(`select from pg_stat_activity where datname = 'filled' and ${condition}`)).length > 0;

  // As a restore does that another machine begins: no lock keeps it from ours.
  const removeFromElsewhere = async (): Promise<void> => {
    const client = await connectTest(target.superuser());
    try {
      await removeUnfinished(client, { name: 'wanted', log: quietLog });
    } finally {
      await client.end();
    }
  };

  it('says that the object is truncated', async () => {
    await put(dumpKey(manifest), original.subarray(0, original.length - 1000));
    const name = `${manifest.tier}/${manifest.id}`;
    for (const [snapshot, status] of [
      ['latest', 4],
      [name, 20],
    ] as const) {
      const result = await runCommand(['restore', snapshot, '--identity', identity, '--to-database', 'wanted'], into);
      assert.equal(result.status, status);
      assert.match(result.stderr, /damaged.*its object has \d+ bytes instead of \d+/);
    }
    await put(dumpKey(manifest), original);
  });

  it('says that a bit flipped, wherever it did', async () => {
    for (const at of [100, Math.floor(original.length / 2), original.length - 1]) {
      const damaged = Buffer.from(original);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 4, at);
      await put(dumpKey(manifest), damaged);
      failed(await restore(), /cannot be opened|SHA-256 differs|not what its manifest says/);
    }
    await put(dumpKey(manifest), original);
  });

  it('says that the object is missing', async () => {
    s3.rule(({ path: at }) =>
      at.includes('.dump') ? { kind: 'answer', status: 404, code: 'NoSuchKey' } : { kind: 'pass' },
    );
    failed(await restore(), /it is missing/);
  });

  it('says that the manifest is of another dump', async () => {
    const key = dumpKey(manifest).replace(/\.dump.*$/, '.json');
    const content = await text(key);
    const sha256 = '0'.repeat(64);
    for (const [change, says] of [
      [{ sha256 }, /SHA-256 differs/],
      [{ content: { ...dumpOf(manifest).content, sha256 } }, /not what its manifest says/],
    ] as const) {
      const parts = manifest.parts.map((part) => (part.kind === 'dump' ? { ...part, ...change } : part));
      await put(key, Buffer.from(JSON.stringify({ ...manifest, parts })));
      failed(await restore(), says);
    }
    const rows = { ...manifest.database.rows, 'public.accounts': 1 };
    await put(key, Buffer.from(JSON.stringify({ ...manifest, database: { ...manifest.database, rows } })));
    failed(await restore(), /not what was dumped: rows: public\.accounts has \d+ instead of 1/);
    await put(key, Buffer.from(content));
  });

  it('asks for the right key', async () => {
    const result = await runCommand(
      ['restore', 'latest', '--identity', wrongIdentity, '--to-database', 'wanted'],
      into,
    );
    failed(result, /cannot be opened: .*identity.*--identity/);
    const none = await runCommand(['restore', 'latest', '--to-database', 'wanted'], into);
    failed(none, /no private key is at hand/);
    const absent = await runCommand(['restore', 'latest', '--identity', '/nowhere', '--to-database', 'wanted'], into);
    assert.equal(absent.status, 2);
  });

  it('says that the secrets object is missing or another one', async () => {
    const key = secretsKey(manifest);
    const content = await bytes(key);
    await put(key, Buffer.concat([content.subarray(0, -1), Buffer.from([content.readUInt8(content.length - 1) ^ 1])]));
    failed(await restore(['--secrets-output', `${scratch.path}/env`]), /SHA-256 differs/);
    await put(key, content);
    s3.rule(({ path: at }) =>
      at.includes('.secrets') ? { kind: 'answer', status: 404, code: 'NoSuchKey' } : { kind: 'pass' },
    );
    failed(await restore(['--secrets-output', `${scratch.path}/env`]), /it is missing/);
    assert.ok(!readdirSync(scratch.path).includes('env'));
  });

  it('goes on where a download broke off, and gives up when the bucket is gone', async () => {
    let broken = 0;
    s3.rule(({ method, path: at }) => {
      if (method !== 'GET' || !at.includes('.dump')) return { kind: 'pass' };
      broken += 1;
      return { kind: broken < 5 ? 'cut' : 'pass', afterBytes: original.length / 6 };
    });
    const patience = { attempts: 4, pauseMs: 20 };
    const request = {
      snapshot: 'latest',
      from: null,
      instance: null,
      acceptUnsigned: false,
      identities: [/AGE-SECRET-KEY-\S+/.exec(readFileSync(identity, 'utf8'))?.[0] ?? ''],
      database: 'resumed',
      replace: false,
      jobs: 1,
      schemas: null,
      withoutExtensions: [],
      owner: null,
      createRole: false,
      locale: null,
      ignoreSecrets: false,
      wait: false,
      signal,
      onProgress: () => undefined,
    } as const;
    await using app = openApp(into, { readPatience: patience });
    const report = await app.restore(request);
    assert.equal(report.checks.find(({ check }) => check === 'rows')?.status, 'ok');
    assert.ok(broken >= 5, 'it was taken up four times');
    await target.query('drop database resumed');
    s3.rule(({ method, path: at }) =>
      method === 'GET' && at.includes('.dump') ? { kind: 'cut', afterBytes: 0 } : { kind: 'pass' },
    );
    await assert.rejects(app.restore({ ...request, database: 'wanted' }), { code: 'restore' });
  });

  it('leaves the output away when it cannot be whole', async () => {
    const damaged = Buffer.from(original);
    damaged.writeUInt8(damaged.readUInt8(original.length - 5) ^ 4, original.length - 5);
    await put(dumpKey(manifest), damaged);
    failed(await restore(['--output', `${scratch.path}/out.dump`]), /cannot be opened|SHA-256 differs/);
    await put(dumpKey(manifest), original);
    assert.deepEqual(
      readdirSync(scratch.path).filter((name) => name.startsWith('out')),
      [],
    );
    failed(await restore(['--output', '/nonexistent/out.dump']), /'\/nonexistent' could not be written/);
  });

  it('says why the target cannot be reached', async () => {
    failed(await restore(undefined, { ...into, DB_PASS: 'wrong' }), /password authentication failed/);
    failed(await restore(undefined, { ...into, DB_PORT: '1' }), /cannot be reached/);
  });

  it('refuses an older server before anything is done', async () => {
    await using older = await startPostgres({ major: 14 });
    await older.query('alter role mastodon createdb');
    const databases = await older.query('select datname from pg_database order by 1');
    failed(
      await restore(undefined, { ...into, ...databaseEnvironment(older.mastodon('mastodon_production')) }),
      /The dump is of PostgreSQL 15\S*, and the target is 14\.\d+.*PostgreSQL 15 or newer/,
    );
    assert.deepEqual(await older.query('select datname from pg_database order by 1'), databases);
  });

  it('names rights and properties that the target lacks', async () => {
    failed(
      await restore(['--to-database', 'wanted', '--locale', 'xx_XX.utf8']),
      /'xx_XX\.utf8' could not be created.*--locale C\.UTF-8/,
    );
    const key = dumpKey(manifest).replace(/\.dump.*$/, '.json');
    const content = await text(key);
    const extensions = ['plpgsql', 'postgis'].map((name) => ({ name, version: '1.0', schema: 'public' }));
    await put(key, Buffer.from(JSON.stringify({ ...manifest, database: { ...manifest.database, extensions } })));
    failed(await restore(), /does not have what the dump needs: postgis/);
    await put(key, Buffer.from(content));
    await target.query('alter role mastodon nocreatedb');
    failed(await restore(), /may not create databases/);
    failed(await restore(['--replace', 'precious']), /may not create databases.*ALTER ROLE "mastodon" CREATEDB/);
    await target.query('alter role mastodon createdb');
    await target.query('create database not_ours template template0');
    failed(await restore(['--to-database', 'not_ours']), /does not belong to 'mastodon'/);
    await target.query('drop database not_ours');
  });

  it('keeps a database with tables, and one that somebody is in', async () => {
    failed(await restore(['--to-database', 'precious']), /'precious' is not empty: it has 1 table/);
    const visitor = await connectTest(target.mastodon('precious'));
    await visitor.query("set application_name = 'sidekiq'");
    failed(await restore(['--replace', 'precious']), /in use by sidekiq \(1\)/);
    await visitor.end();
  });

  it('leaves an empty database empty when the single transaction fails', async () => {
    await target.query("create role plain login password 'plain'");
    await target.query('create database empty_one owner plain template template0');
    await target.query(
      "create database latin owner plain template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'",
    );
    const plain = { ...into, DB_USER: 'plain', DB_PASS: 'plain' };
    failed(await restore(['--to-database', 'latin'], plain), /has encoding LATIN1, the dump UTF8/);
    const damaged = Buffer.from(original);
    damaged.writeUInt8(damaged.readUInt8(original.length - 100) ^ 4, original.length - 100);
    await put(dumpKey(manifest), damaged);
    failed(await restore(['--to-database', 'empty_one'], plain), /cannot be opened|SHA-256 differs/);
    await put(dumpKey(manifest), original);
    const tables = await target.query(
      "select relname from pg_class where relnamespace = 'public'::regnamespace",
      'empty_one',
    );
    assert.deepEqual(tables, []);
    for (const name of ['latin', 'empty_one']) await target.query(`drop database ${name}`);
    await target.query('drop role plain');
  });

  it('says that a database is filled where it ends behind the single transaction', async () => {
    await using running = await halfWayInPlace();
    const client = await connectTest(target.superuser('filled'));
    try {
      // What pg_restore writes there goes by it; ANALYZE does not.
      await client.query('begin; lock table pg_description in share update exclusive mode');
      s3.rule(() => ({ kind: 'pass' }));
      const waiting = "query ~* '^analyze pg_catalog.pg_description' and wait_event_type = 'Lock'";
      await until('the analysis', { seconds: 60, look: async () => seesInPlace(waiting) });
      running.child.kill('SIGINT');
      const { status, stderr } = await running.result;
      assert.equal(status, 130, stderr);
      assert.match(stderr, /Interrupted by SIGINT; the database 'filled' is filled all the same/);
      assert.match(stderr, /DROP DATABASE "filled"; CREATE DATABASE "filled" OWNER "plain"/);
      const [count] = await target.query('select count(*)::int as count from accounts', 'filled');
      assert.equal(count?.['count'], manifest.database.rows['public.accounts']);
    } finally {
      await client.end();
    }
    await target.query('drop database filled');
    await target.query('drop role plain');
  });

  for (const [how, goesOnMs, says] of [
    ['goes on for a while', 1_500, /; the database 'filled' is filled all the same/],
    [
      'does not end',
      16_000,
      /; whether the database 'filled' is filled could not be asked\. Look whether it has tables/,
    ],
  ] as const) {
    it(`says what is known of a database whose pg_restore is killed over a commit that ${how}`, async () => {
      await using running = await halfWayInPlace();
      // A commit waits for a standby that never comes.
      const waitForStandby = async (name: string): Promise<void> => {
        await target.query(`alter system set synchronous_standby_names = '${name}'`);
        await target.query('select pg_reload_conf()');
      };
      await waitForStandby('nobody');
      try {
        s3.rule(() => ({ kind: 'pass' }));
        await until('the commit', { seconds: 60, look: async () => seesInPlace("wait_event = 'SyncRep'") });
        process.kill(pgRestoreOf(running), 'SIGKILL');
        await Promise.race([sleep(goesOnMs), running.result]);
      } finally {
        await waitForStandby('');
      }
      const { status, stderr } = await running.result;
      assert.equal(status, 20, stderr);
      assert.match(stderr, /pg_restore into \S+ ended with SIGKILL/);
      assert.match(stderr, says);
      await until('the commit’s end', {
        seconds: 15,
        look: async () => !(await seesInPlace('backend_xid is not null')),
      });
      const [count] = await target.query('select count(*)::int as count from accounts', 'filled');
      assert.equal(count?.['count'], manifest.database.rows['public.accounts']);
      await target.query('drop database filled');
      await target.query('drop role plain');
    });
  }

  it('cleans up when it is interrupted, and when its pg_restore or its backend is killed', async () => {
    await using stopped = await halfWay();
    stopped.child.kill('SIGTERM');
    assert.equal((await stopped.result).status, 130);
    assert.equal(await picture(), earlier);

    await using beheaded = await halfWay();
    process.kill(pgRestoreOf(beheaded), 'SIGKILL');
    failed(await beheaded.result, /pg_restore into \S+ ended with SIGKILL/);
    assert.equal(await picture(), earlier);

    await using cutOff = await halfWay();
    await target.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname like 'wanted_restoring_%' and application_name = 'mastodon-backup'",
    );
    s3.rule(() => ({ kind: 'pass' }));
    failed(await cutOff.result, /terminating connection|server closed the connection|ended with status 1/);
  });

  it('says at once that it stops, and told twice ends with all of its children, naming what it leaves and how to remove it', async () => {
    await using running = await halfWay();
    const processId = running.child.pid;
    const [found] = await target.query(
      "select datname as name from pg_database where datname like 'wanted_restoring_%'",
    );
    const name = String(found?.['name']);
    const holder = await connectTest(target.superuser());
    try {
      // The server does not drop what somebody is about to comment on.
      await holder.query(`begin; comment on database "${name}" is 'held'`);
      running.child.kill('SIGTERM');
      await running.saw('Stopping');
      await new Promise((resolve) => setTimeout(resolve, 1_100));
      running.child.kill('SIGTERM');
      const { status, stderr } = await running.result;
      assert.equal(status, 130);
      assert.match(
        stderr,
        new RegExp(`^mastodon-backup: Left behind: the unfinished database ${name}: .*DROP DATABASE "${name}"$`, 'm'),
      );
      const children = spawnSync('ps', ['-o', 'comm=', '--ppid', String(processId)], { encoding: 'utf8' });
      assert.equal(children.stdout, '');
      await until('the end of every session of it', {
        seconds: 15,
        look: async () =>
          (await target.query(`select from pg_stat_activity where datname = '${name}' and usesysid is not null`))
            .length === 0,
      });
    } finally {
      await holder.query('rollback');
      await holder.end();
    }
    await until('the end of the dropping', {
      seconds: 15,
      look: async () =>
        (await target.query("select from pg_stat_activity where query ilike 'drop database%' and state = 'active'"))
          .length === 0,
    });
    s3.rule(() => ({ kind: 'pass' }));
    await target.query(`drop database if exists "${name}"`);
  });

  it('drops what a killed one left at the next restore, and nothing else', async () => {
    await using killed = await halfWay();
    killed.child.kill('SIGKILL');
    await killed.result;
    s3.rule(() => ({ kind: 'pass' }));
    await target.query('create database wanted_restoring_aaaaaa owner mastodon template template0');
    const busy = "select pid from pg_stat_activity where application_name = 'mastodon-backup'";
    await until('the end of its sessions', { seconds: 10, look: async () => (await target.query(busy)).length === 0 });
    const [unfinished] = await target.query(
      "select datname as name from pg_database where datname like 'wanted_restoring_%' and datname <> 'wanted_restoring_aaaaaa'",
    );
    // It comes to every database with something to do, and is nobody that the next restore would have to spare.
    await using _worker = await holdAutovacuumIn(target, String(unfinished?.['name']));
    const result = await restore();
    assert.equal(result.status, 0, result.stderr);
    assert.match(result.stderr, /Dropping the unfinished database/);
    const left = await target.query("select datname from pg_database where datname like '%restoring%'");
    assert.deepEqual(left, [{ datname: 'wanted_restoring_aaaaaa' }], 'what has not our mark stays');
    await target.query('drop database wanted_restoring_aaaaaa');
    await target.query('drop database wanted');
  });

  it('keeps what is whole when the name cannot be given, and says how to', async () => {
    await using waiting = await halfWay();
    await target.createDatabase('wanted');
    s3.rule(() => ({ kind: 'pass' }));
    const result = await waiting.result;
    failed(
      result,
      /restored and whole, but still called '(wanted_restoring_\w+)': .*already exists.*RENAME TO "wanted"/,
    );
    const [, whole = ''] = /still called '(\w+)'/.exec(result.stderr) ?? [];
    await removeFromElsewhere();
    const [count] = await target.query('select count(*)::int as count from accounts', whole);
    assert.equal(count?.['count'], manifest.database.rows['public.accounts']);
    await target.query('drop database wanted');
    await target.query(`drop database ${whole}`);
  });

  for (const [how, kill] of [
    ['is interrupted', 'SIGTERM'],
    ['is killed', 'SIGKILL'],
  ] as const) {
    it(`leaves no database for ever when it ${how} while the server creates it`, async () => {
      // On a busy machine the server may have given up before: it looks every second whether its client is still there.
      for (let attempt = 0; ; attempt += 1) {
        await target.query("update pg_database set datallowconn = true where datname = 'template0'");
        // Somebody in the template makes the server wait for seconds before it copies it.
        const inTemplate = await connectTest(target.superuser('template0'));
        const creating = "select from pg_stat_activity where query ~* '^\\s*create database' and state = 'active'";
        try {
          await using running = startCommand(
            ['restore', 'latest', '--identity', identity, '--to-database', 'wanted'],
            into,
          );
          await until('the creation', { seconds: 15, look: async () => (await target.query(creating)).length > 0 });
          running.child.kill(kill);
          // Who was killed ends nothing, so the server goes on at once; who was interrupted has ended what it ends by then.
          if (kill === 'SIGKILL') await inTemplate.end();
          await running.result;
        } finally {
          await inTemplate.end();
          await target.query("update pg_database set datallowconn = false where datname = 'template0'");
        }
        await until('the end of the creation', {
          seconds: 15,
          look: async () => (await target.query(creating)).length === 0,
        });
        const unfinished = await target.query("select from pg_database where datname like 'wanted\\_%'");
        if (kill === 'SIGTERM' || unfinished.length > 0) break;
        assert.ok(attempt < 10, 'the server has never gone on creating it');
      }
      if (kill === 'SIGTERM') return;
      const next = await restore();
      assert.equal(next.status, 0, next.stderr);
      assert.match(next.stderr, /Dropping the unfinished database/);
      await target.query('drop database wanted');
    });
  }

  // Keeps a restore at the moment in which its database is to get its name, for as long as `meanwhile` takes; answers its end.
  const heldAtRenaming = async (
    meanwhile: (held: {
      readonly running: RunningCommand;
      /** Who holds it. */
      readonly client: Client;
      /** The server's process that renames. */
      readonly processId: number;
    }) => Promise<void>,
  ): Promise<CommandResult> => {
    await target.createDatabase('wanted');
    await using running = await halfWay();
    const client = await connectTest(target.superuser());
    try {
      await client.query("begin; comment on database wanted is 'nobody renames me now'");
      s3.rule(() => ({ kind: 'pass' }));
      const renaming =
        "select pid from pg_stat_activity where query ~* '^alter database .* rename' and state = 'active'";
      let processId = 0;
      await until('the renaming', {
        seconds: 30,
        async look() {
          processId = Number((await target.query(renaming))[0]?.['pid'] ?? 0);
          return processId > 0;
        },
      });
      await meanwhile({ running, client, processId });
    } finally {
      // What it holds ends with it.
      await client.end().catch(() => undefined);
    }
    return await running.result;
  };

  it('gives what is whole its name also when it is interrupted at that moment', async () => {
    await heldAtRenaming(async ({ running }) => {
      running.child.kill('SIGTERM');
      await new Promise((resolve) => setTimeout(resolve, 500));
    });
    const [count] = await target.query('select count(*)::int as count from accounts', 'wanted');
    assert.equal(count?.['count'], manifest.database.rows['public.accounts']);
    await target.query('drop database wanted');
    const [aside] = await target.query("select datname from pg_database where datname like 'wanted_before_%'");
    await target.query(`drop database "${String(aside?.['datname'])}"`);
  });

  it('leaves nothing for ever when it is killed at that moment', async () => {
    await heldAtRenaming(async ({ running }) => {
      running.child.kill('SIGKILL');
      await running.result;
    });
    const busy = "select pid from pg_stat_activity where application_name = 'mastodon-backup'";
    await until('the end of its sessions', { seconds: 10, look: async () => (await target.query(busy)).length === 0 });
    const [count] = await target.query(
      'select count(*)::int as count from pg_class where relname = $$accounts$$',
      'wanted',
    );
    assert.equal(count?.['count'], 0, 'what was there is as it was');
    const result = await restore();
    assert.equal(result.status, 0, result.stderr);
    assert.match(result.stderr, /Dropping the unfinished database/);
    await target.query('drop database wanted');
    const asides = await target.query("select datname from pg_database where datname like 'wanted%'");
    for (const { datname } of asides) {
      assert.match(String(datname), /^wanted_before_/);
      await target.query(`drop database "${String(datname)}"`);
    }
  });

  it('is not taken for an interrupted one at that moment', async () => {
    const result = await heldAtRenaming(async () => {
      await removeFromElsewhere();
    });
    assert.equal(result.status, 0, result.stderr);
    const [count] = await target.query('select count(*)::int as count from accounts', 'wanted');
    assert.equal(count?.['count'], manifest.database.rows['public.accounts']);
    await target.query('drop database wanted');
    const [aside] = await target.query("select datname from pg_database where datname like 'wanted_before_%'");
    await target.query(`drop database "${String(aside?.['datname'])}"`);
  });

  it('is not taken for an interrupted one when it gets no name at that moment', async () => {
    const result = await heldAtRenaming(async ({ client }) => {
      const removal = removeFromElsewhere();
      await Promise.race([removal, new Promise((resolve) => setTimeout(resolve, 1_000))]);
      await client.query('alter database wanted rename to gone; commit');
      await removal;
    });
    failed(result, /restored and whole, but still called '(wanted_restoring_\w+)': database "wanted" does not exist/);
    const [, whole = ''] = /still called '(\w+)'/.exec(result.stderr) ?? [];
    await removeFromElsewhere();
    const [count] = await target.query('select count(*)::int as count from accounts', whole);
    assert.equal(count?.['count'], manifest.database.rows['public.accounts']);
    await target.query('drop database gone');
    await target.query(`drop database ${whole}`);
  });

  it('keeps what is whole when the server crashes at that moment', async () => {
    const result = await heldAtRenaming(async ({ processId }) => {
      // All sessions end with one that is killed, and for a moment nobody gets in.
      process.kill(processId, 'SIGKILL');
    });
    failed(result, /restored and whole, but still called '(wanted_restoring_\w+)'/);
    assert.doesNotMatch(result.stderr, /still counts as unfinished/);
    const [, whole = ''] = /still called '(\w+)'/.exec(result.stderr) ?? [];
    await removeFromElsewhere();
    const [count] = await target.query('select count(*)::int as count from accounts', whole);
    assert.equal(count?.['count'], manifest.database.rows['public.accounts']);
    await target.query('drop database wanted');
    await target.query(`drop database ${whole}`);
  });

  it('says that a disk is full, of the target and of the scratch directory', async (test) => {
    const small = path.join(scratch.path, 'small');
    mkdirSync(small);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m,mode=777', 'tmpfs', small]);
    if (mounted.status !== 0) {
      test.skip('tmpfs cannot be mounted here');
      return;
    }
    try {
      failed(
        await restore(['--to-database', 'wanted', '--jobs', '2'], { ...into, BACKUP_SCRATCH_DIR: `${small}/scratch` }),
        /too little space in .*the dump takes \d+\.\d MiB, \d\.\d MiB are free/,
      );
      mkdirSync(`${small}/space`, { mode: 0o777 });
      execFileSync('chown', ['65534:65534', `${small}/space`]);
      execFileSync('chmod', ['755', scratch.path]);
      await target.query(`create tablespace small location '${small}/space'`);
      await target.query(
        'grant create on tablespace small to mastodon; alter role mastodon set default_tablespace = small',
      );
      failed(await restore(), /No space left on device.*Make room on the disk of the target server/);
      await target.query('alter role mastodon reset default_tablespace');
      await target.query('revoke all on tablespace small from mastodon');
      await target.query('drop tablespace small');
    } finally {
      spawnSync('umount', ['-l', small]);
    }
  });
});
