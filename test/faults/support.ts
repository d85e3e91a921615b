// What every fault has in common: a real database, a real bucket, and the check that nothing in it looks like a backup.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { databaseEnvironment, runCommand, type CommandResult, lastSentence } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { until } from '../support/until.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** A database with data and an empty bucket. */
export interface FaultStage extends AsyncDisposable {
  readonly server: PostgresServer;
  readonly s3: S3TestServer;
  readonly scratch: string;
  /** Settings of a run that would succeed: plain, so that the bucket gets more than one part. */
  readonly environment: Readonly<Record<string, string>>;
  /** Whether the dump's backend is gone from the server, waiting some seconds for it. */
  assertNoBackend(): Promise<void>;
  /** Waits up to 15 s for a session of the database for which this condition on pg_stat_activity holds. */
  saw(condition: string): Promise<void>;
  /** Asserts status and message of a failed command, that no secret is shown, and that nothing is listed or unfinished. */
  assertFailed(result: CommandResult, expected: { readonly status: number; readonly says: RegExp }): Promise<void>;
}

/** What the server of a stage is like; `auth` as for every server. */
interface StageServer {
  readonly auth?: 'scram-sha-256';
  readonly major?: 14 | 15;
  /** The size of its database. */
  readonly megabytes?: number;
  readonly settings?: Readonly<Record<string, string>>;
}

/** Starts a server with a database of data. */
export async function startStageServer({
  major = 15,
  megabytes = 12,
  ...options
}: StageServer = {}): Promise<PostgresServer> {
  const server = await startPostgres({ major, ...options });
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes });
  return server;
}

/** Starts a stage, on a server of its own or on one that others share. */
export async function startStage(options: StageServer | { readonly server: PostgresServer } = {}): Promise<FaultStage> {
  const scratch = temporaryDirectory();
  const server = 'server' in options ? options.server : await startStageServer(options);
  const s3 = await startS3();
  const environment = {
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    ...s3.environment,
    BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
    BACKUP_COMPRESSION: 'none',
  };
  return {
    server,
    s3,
    scratch: scratch.path,
    environment,
    async assertNoBackend() {
      const backends = "select pid from pg_stat_activity where application_name like 'mastodon-backup%'";
      await until('the end of every backend of the dump', {
        seconds: 5,
        look: async () => (await server.query(backends)).length === 0,
      });
    },
    async saw(condition) {
      const sessions = `select from pg_stat_activity where datname = current_database() and ${condition}`;
      await until(`a session: ${condition}`, {
        seconds: 15,
        look: async () => (await server.query(sessions, 'mastodon_production')).length > 0,
      });
    },
    async assertFailed(result, { status, says }) {
      assert.match(result.stderr, says);
      assert.equal(result.status, status, result.stderr);
      assert.match(lastSentence(result), /^mastodon-backup: .+\. .+/, 'one line says what failed and what to do');
      assert.doesNotMatch(result.stderr + result.stdout, /test-secret-key/);
      s3.rule(() => ({ kind: 'pass' }));
      assert.deepEqual(await s3.unfinishedUploads(), [], 'no multipart upload is left');
      const listed = await runCommand(['list', '--json'], environment);
      assert.deepEqual((JSON.parse(listed.stdout) as { snapshots: unknown[] }).snapshots, []);
      assert.deepEqual(
        (await s3.keys()).filter((key) => key.endsWith('.json')),
        [],
        'no manifest exists',
      );
    },
    async [Symbol.asyncDispose]() {
      await s3[Symbol.asyncDispose]();
      if (!('server' in options)) await server[Symbol.asyncDispose]();
      scratch[Symbol.dispose]();
    },
  };
}

/** A directory with a `pg_dump` that runs `script` for everything but `--version`; `$real` is the real one. */
export function fixtureClient(
  scratch: string,
  { name, script, version }: { readonly name: string; readonly script: string; readonly version?: string },
): string {
  const directory = path.join(scratch, name);
  mkdirSync(directory, { recursive: true });
  const answer = version === undefined ? 'exec "$real" --version' : `echo "pg_dump (PostgreSQL) ${version}"; exit 0`;
  const file = path.join(directory, 'pg_dump');
  writeFileSync(
    file,
    `#!/bin/bash\nreal=$(ls /usr/lib/postgresql/*/bin/pg_dump | tail -1)\n[ "$1" = --version ] && { ${answer}; }\n${script}\n`,
  );
  chmodSync(file, 0o755);
  return directory;
}
