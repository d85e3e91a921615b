// Everything that can go wrong between us and the database: a clear message, the right exit status, and a bucket that holds
// nothing that looks like a backup.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { runCommand, startCommand } from '../support/command.ts';
import { connectTest } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { fixtureClient, startStage, startStageServer, type FaultStage } from './support.ts';

let server: PostgresServer;
before(async () => {
  server = await startStageServer({ auth: 'scram-sha-256' });
});
after(async () => server[Symbol.asyncDispose]());

const waitsForLock = "application_name like 'mastodon-backup%' and wait_event_type = 'Lock'";

describe('a dump that fails', () => {
  let stage: FaultStage;
  before(async () => {
    stage = await startStage({ server });
  });
  after(async () => stage[Symbol.asyncDispose]());

  it('names the wrong password without showing it', async () => {
    const result = await runCommand(['run'], { ...stage.environment, DB_PASS: 'not-the-password' });
    await stage.assertFailed(result, { status: 10, says: /password authentication failed.*DB_PASS/ });
    assert.doesNotMatch(result.stderr, /not-the-password/);
  });

  it('names the unknown host and the network it may be missing', async () => {
    const result = await runCommand(['run'], { ...stage.environment, DB_HOST: 'db.invalid' });
    await stage.assertFailed(result, { status: 10, says: /db\.invalid.*internal_network/ });
  });

  it('says when nothing listens', async () => {
    const result = await runCommand(['run'], { ...stage.environment, DB_PORT: '9' });
    await stage.assertFailed(result, { status: 10, says: /ECONNREFUSED.*DB_PORT/ });
  });

  it('names the database that does not exist', async () => {
    const result = await runCommand(['run'], { ...stage.environment, DB_NAME: 'mastodon_prod' });
    await stage.assertFailed(result, { status: 10, says: /"mastodon_prod" does not exist.*DB_NAME/ });
  });

  it('refuses a server newer than every client, naming both versions', async () => {
    await using newer = await startPostgres({ major: 18 });
    const directory = fixtureClient(stage.scratch, { name: 'old-client', script: 'exit 1', version: '15.9' });
    const result = await runCommand(['run'], {
      ...stage.environment,
      DB_PORT: String(newer.port),
      DB_NAME: 'postgres',
      BACKUP_PG_BIN: directory,
    });
    await stage.assertFailed(result, {
      status: 10,
      says: /server is PostgreSQL 18\.\S+, but the newest pg_dump here is 15\.9.*postgresql-client-18/,
    });
  });

  it('is no backup when pg_dump is killed in the middle', async () => {
    const script = '"$real" "$@" | head -c 3000000; kill -9 $$';
    const result = await runCommand(['run'], {
      ...stage.environment,
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'killed', script }),
    });
    await stage.assertFailed(result, { status: 10, says: /pg_dump of .* was ended by SIGKILL/ });
    await stage.assertNoBackend();
  });

  it('is no backup when pg_dump exits 1 after its last byte', async () => {
    const script = '"$real" "$@"; echo "pg_dump: error: at the very end" >&2; exit 1';
    const result = await runCommand(['run'], {
      ...stage.environment,
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'late', script }),
    });
    await stage.assertFailed(result, { status: 10, says: /exited with status 1: pg_dump: error: at the very end/ });
    assert.deepEqual(await stage.s3.keys(), [], 'the gate held the end of the upload back');
  });

  it('is no backup when pg_dump exits 0 after half of its bytes', async () => {
    const script = '"$real" "$@" | head -c 3000000; exit 0';
    const result = await runCommand(['run'], {
      ...stage.environment,
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'half', script }),
    });
    await stage.assertFailed(result, { status: 10, says: /archive is not whole: .*ends early/ });
  });

  it('gives up on a table that a migration locks for longer than BACKUP_LOCK_WAIT', async () => {
    const migration = await connectTest(stage.server.mastodon('mastodon_production'));
    await migration.query('begin; alter table statuses add column migrating integer');
    try {
      const result = await runCommand(['run'], { ...stage.environment, BACKUP_LOCK_WAIT: '1s', BACKUP_TIMEOUT: '60s' });
      await stage.assertFailed(result, {
        status: 10,
        says: /LOCK TABLE public\.statuses.*A table was locked for longer than BACKUP_LOCK_WAIT/,
      });
    } finally {
      await migration.query('rollback');
      await migration.end();
    }
    await stage.assertNoBackend();
  });

  it("gives up on Mastodon's schema_migrations when a migration holds it", async () => {
    const migration = await connectTest(stage.server.mastodon('mastodon_production'));
    await migration.query('begin; lock table schema_migrations in access exclusive mode');
    try {
      const result = await runCommand(['run'], { ...stage.environment, BACKUP_LOCK_WAIT: '1s', BACKUP_TIMEOUT: '60s' });
      await stage.assertFailed(result, { status: 10, says: /schema_migrations.*longer than BACKUP_LOCK_WAIT/ });
    } finally {
      await migration.query('rollback');
      await migration.end();
    }
  });

  it('names the table that this role may not read', async () => {
    await stage.server.query('alter table schema_migrations owner to postgres', 'mastodon_production');
    try {
      const result = await runCommand(['run'], stage.environment);
      await stage.assertFailed(result, { status: 10, says: /permission denied for table schema_migrations.*DB_USER/ });
    } finally {
      await stage.server.query('alter table schema_migrations owner to mastodon', 'mastodon_production');
    }
  });

  it('is cut off when it stands still', async () => {
    const script = '"$real" "$@" | head -c 3000000; exec sleep 60';
    const started = performance.now();
    const result = await runCommand(['run'], {
      ...stage.environment,
      BACKUP_STALL_TIMEOUT: '2s',
      BACKUP_LOCK_WAIT: '1s',
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'still', script }),
    });
    await stage.assertFailed(result, { status: 124, says: /The dump stood still for 2 s/ });
    assert.ok(performance.now() - started < 55_000);
  });

  for (const [what, script] of [
    ['after its last byte', '"$real" "$@"; exec >&-; exec sleep 60'],
    ['after half of its bytes', '"$real" "$@" | head -c 3000000; exec >&-; exec sleep 60'],
  ] as const) {
    it(`is cut off when pg_dump does not exit ${what}`, async () => {
      const result = await runCommand(['run'], {
        ...stage.environment,
        BACKUP_STALL_TIMEOUT: '2s',
        BACKUP_LOCK_WAIT: '1s',
        BACKUP_TIMEOUT: '60s',
        BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'no-exit', script }),
      });
      await stage.assertFailed(result, { status: 124, says: /The dump stood still for 2 s/ });
    });
  }

  it('is refused at once when pg_dump writes something else', async () => {
    const started = performance.now();
    const script = 'echo "NOTICE: this wrapper of pg_dump says hello"; exec sleep 60';
    const result = await runCommand(['run'], {
      ...stage.environment,
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'chatty', script }),
    });
    await stage.assertFailed(result, { status: 10, says: /What pg_dump writes is no archive/ });
    assert.ok(performance.now() - started < 55_000);
  });

  it('ends after BACKUP_TIMEOUT', async () => {
    const script = '"$real" "$@" | head -c 3000000; exec sleep 60';
    const result = await runCommand(['run'], {
      ...stage.environment,
      BACKUP_TIMEOUT: '3s',
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'slow', script }),
    });
    await stage.assertFailed(result, { status: 124, says: /longer than BACKUP_TIMEOUT/ });
  });

  it('ends after BACKUP_TIMEOUT also where the bucket never answers what it has', async () => {
    stage.s3.rule(() => ({ kind: 'hang' }));
    const result = await runCommand(['run'], { ...stage.environment, BACKUP_TIMEOUT: '2s' });
    await stage.assertFailed(result, { status: 124, says: /longer than BACKUP_TIMEOUT/ });
  });

  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    it(`stops on ${name} in the middle and leaves no backend on the database`, async () => {
      // The real dump is held up by a lock on one of its tables, so that it is there to be stopped.
      const holder = await connectTest(stage.server.mastodon('mastodon_production'));
      await holder.query('begin; lock table statuses in access exclusive mode');
      try {
        await using running = startCommand(['run'], stage.environment);
        await running.saw('Dump started');
        await stage.saw(waitsForLock);
        // Ctrl-C reaches everybody in the terminal's group; what pg_dump makes of it is not the reason.
        running.killGroup(name);
        const result = await running.result;
        await stage.assertFailed(result, { status: 130, says: new RegExp(`Interrupted by ${name}`) });
        await stage.assertNoBackend();
      } finally {
        await holder.query('rollback');
        await holder.end();
      }
    });
  }

  it('ends the backend of a pg_dump that does not listen to SIGTERM', async () => {
    const holder = await connectTest(stage.server.mastodon('mastodon_production'));
    await holder.query('begin; lock table statuses in access exclusive mode');
    try {
      const directory = fixtureClient(stage.scratch, { name: 'deaf', script: 'trap "" TERM; "$real" "$@"' });
      await using running = startCommand(['run'], { ...stage.environment, BACKUP_PG_BIN: directory });
      await running.saw('Dump started');
      await stage.saw(waitsForLock);
      running.child.kill('SIGTERM');
      await stage.assertFailed(await running.result, { status: 130, says: /Interrupted by SIGTERM/ });
      await stage.assertNoBackend();
    } finally {
      await holder.query('rollback');
      await holder.end();
    }
  });

  it('ends the backend that waits for a lock', async () => {
    const holder = await connectTest(stage.server.mastodon('mastodon_production'));
    await holder.query('begin; lock table statuses in access exclusive mode');
    try {
      await using running = startCommand(['run'], { ...stage.environment, BACKUP_LOCK_WAIT: '1m' });
      await running.saw('Dump started');
      await stage.saw(waitsForLock);
      running.child.kill('SIGTERM');
      await running.result;
      await stage.assertNoBackend();
    } finally {
      await holder.query('rollback');
      await holder.end();
    }
  });
});

describe('a dropped ssh', () => {
  it('hangs up and closes the streams, and the backup is made all the same', async () => {
    await using stage = await startStage({ server });
    const script = 'sleep 1; exec "$real" "$@"';
    await using running = startCommand(['run', '--json'], {
      ...stage.environment,
      BACKUP_LOG_LEVEL: 'trace',
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'slow-start', script }),
    });
    await running.saw('Dump started');
    running.child.stdout?.destroy();
    running.child.stderr?.destroy();
    await new Promise((resolve) => setTimeout(resolve, 300));
    running.killGroup('SIGHUP');
    const { status, signal } = await running.result;
    assert.deepEqual({ status, signal }, { status: 0, signal: null });
    assert.equal((await stage.s3.keys()).length, 2);
  });
});

describe('a pg_dump that warns', () => {
  it('is heard, and the backup counts', async () => {
    await using stage = await startStage({ server });
    const script = 'echo "pg_dump: warning: there are circular foreign keys" >&2; exec "$real" "$@"';
    const result = await runCommand(['run', '--json'], {
      ...stage.environment,
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'warning', script }),
    });
    assert.equal(result.status, 0, result.stderr);
    assert.match(result.stderr, /"level":"warn".*there are circular foreign keys/);
    const { warnings } = JSON.parse(result.stdout) as { warnings: string[] };
    assert.deepEqual(warnings, ['pg_dump: warning: there are circular foreign keys']);
  });
});

describe('a database without tables', () => {
  it('is backed up with a warning', async () => {
    await using stage = await startStage({ server });
    await stage.server.createDatabase('empty');
    const result = await runCommand(['run', '--json'], { ...stage.environment, DB_NAME: 'empty' });
    assert.equal(result.status, 0, result.stderr);
    assert.match(result.stderr, /has no tables/);
    assert.match((JSON.parse(result.stdout) as { warnings: string[] }).warnings.join(), /has no tables/);
  });
});

describe('a backup whose retention never ends', () => {
  it('is a good one, and health tells what was cut off when BACKUP_TIMEOUT was over', async () => {
    await using stage = await startStage({ server });
    const environment = { ...stage.environment, BACKUP_TIMEOUT: '8s' };
    // Nothing is listed any more once the manifest is there.
    let committed = false;
    stage.s3.rule(({ method, path, query }) => {
      if (method === 'PUT' && path.endsWith('.json')) committed = true;
      return committed && method === 'GET' && query.has('list-type') ? { kind: 'hang' } : { kind: 'pass' };
    });
    const result = await runCommand(['run', '--json'], environment);
    assert.equal(result.status, 0, result.stderr);
    assert.match(result.stderr, /Retention was cut off/);
    const health = await runCommand(['health', '--json'], environment);
    const { status, warnings } = JSON.parse(health.stdout) as { status: string; warnings: readonly string[] };
    assert.equal(status, 'degraded', health.stdout);
    assert.match(warnings.join(), /BACKUP_TIMEOUT/);
  });
});
