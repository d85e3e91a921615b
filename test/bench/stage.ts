// What both sides of a comparison use: one database, one S3 server, one set of client programs, and this program's settings for them.

import { chmodSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConnectionSettings } from '../../src/database/connection.ts';
import { databaseEnvironment } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { imageEnvironment } from './image-environment.ts';

/** The ground of a bench. */
export interface BenchStage extends AsyncDisposable {
  readonly server: PostgresServer;
  readonly s3: S3TestServer;
  readonly connection: ConnectionSettings;
  /** Where the client programs of the server's version are. */
  readonly programs: string;
  /** For whatever is kept while it runs. */
  readonly temporary: string;
  /** A directory above it. */
  readonly folder: string;
  /** Variables of this program. */
  readonly ours: Readonly<Record<string, string | undefined>>;
  /** Variables of libpq's programs. */
  readonly libpq: Readonly<Record<string, string | undefined>>;
}

/** The program as the image has it, and what Node is told there. */
export const builtProgram = ['--max-semi-space-size=2', fileURLToPath(new URL('../../dist/main.js', import.meta.url))];

/** Prepares it; `user` is who makes and restores backups. */
export async function openStage({
  megabytes,
  user,
  on = 'memory',
}: {
  readonly megabytes: number;
  readonly user: 'mastodon' | 'superuser';
  /** Where the database and all else is. */
  readonly on?: 'memory' | 'disk';
}): Promise<BenchStage> {
  await using stack = new AsyncDisposableStack();
  const scratch = stack.use(temporaryDirectory({ on }));
  chmodSync(scratch.path, 0o755);
  const server = stack.use(await startPostgres({ major: 15, on, settings: { max_wal_size: '2GB' } }));
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes });
  const s3 = stack.use(await startS3());
  const programs = linkPrograms(path.join(scratch.path, 'bin'), 15);
  const temporary = path.join(scratch.path, 'tmp');
  mkdirSync(temporary);
  const connection = server[user]('mastodon_production');
  const owned = stack.move();
  return {
    server,
    s3,
    connection,
    programs,
    temporary,
    folder: scratch.path,
    ours: {
      PATH: process.env['PATH'],
      ...databaseEnvironment(connection),
      ...s3.environment,
      LOCAL_DOMAIN: 'social.example',
      BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
      BACKUP_SCRATCH_DIR: temporary,
      BACKUP_PG_BIN: programs,
      BACKUP_LOG_LEVEL: 'warn',
      ...imageEnvironment,
      // The image brings what Node has compiled; here it is there from the second time on.
      NODE_COMPILE_CACHE: path.join(scratch.path, 'compiled'),
    },
    libpq: {
      PATH: process.env['PATH'],
      PGHOST: connection.host,
      PGPORT: String(connection.port),
      PGUSER: connection.user,
      PGPASSWORD: connection.password,
      HOME: temporary,
    },
    async [Symbol.asyncDispose]() {
      await owned[Symbol.asyncDispose]();
    },
  };
}
