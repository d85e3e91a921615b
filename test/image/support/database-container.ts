// A database in a container on a network of its own, without a compose file, for tests that need several majors or only a
// small one. Container, volumes and network go with the disposer.

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { ConnectionSettings } from '../../../src/database/connection.ts';
import { connectTest, createMastodonDatabase } from '../../support/mastodon-data.ts';
import type { ChildOutput } from '../../support/output.ts';
import { docker, dockerOutput, until } from './docker.ts';
import { image } from './mastodon-project.ts';

const isPublic = process.env['IMAGE_TEST_BASES'] === 'public';
/** Our image with the client programs and the server of PostgreSQL 18 alone, where it could be built. */
const newestImage = 'mastodon-backup-test/mastodon-postgres-backup-18';
const hasNewest = !isPublic && spawnSync('docker', ['image', 'inspect', newestImage], { stdio: 'ignore' }).status === 0;
/** Majors there is an image for: the published ones where they can be pulled, else those of the embedded servers. */
export const majors = isPublic ? [14, 15, 16, 17, 18] : [14, 15, 17, ...(hasNewest ? [18] : [])];

/** A network with databases, and volumes for backups. */
export interface DatabaseNetwork extends AsyncDisposable {
  /** Starts a server with `mastodon_production` in it; it is reached as `db<major>` in the network. */
  start(major: number, options?: { readonly megabytes?: number }): Promise<void>;
  /** How this machine reaches it. */
  connection(major: number, database?: string): Promise<ConnectionSettings>;
  /**
   * `docker run` of our image against that server, backing up into the volume `backups`. `programs` is the newest major whose
   * programs the image must have, that of the server unless given. `more` are options of docker run, after which the sandbox
   * of the compose example is still in force.
   */
  run(
    args: readonly string[],
    options: {
      readonly major: number;
      readonly backups: string;
      readonly programs?: number;
      readonly more?: readonly string[];
    },
  ): Promise<ChildOutput>;
}

/** Creates the network. */
export async function createDatabaseNetwork(): Promise<DatabaseNetwork> {
  const name = `mastodon-backup-test-${randomBytes(4).toString('hex')}`;
  const containers: string[] = [];
  const volumes = new Set<string>();
  await dockerOutput(['network', 'create', name]);
  const connection: DatabaseNetwork['connection'] = async (major, database = 'mastodon_production') => {
    const format = `{{(index .NetworkSettings.Networks "${name}").IPAddress}}`;
    const host = (await dockerOutput(['inspect', '-f', format, `${name}-db${major}`])).trim();
    const base = { host, port: 5432, user: 'postgres', password: '', sslRootCertificate: null } as const;
    return { ...base, database, sslMode: 'disable' };
  };
  return {
    connection,
    async start(major, { megabytes = 2 } = {}) {
      const container = `${name}-db${major}`;
      containers.push(container);
      const alias = ['--network', name, '--network-alias', `db${major}`];
      const server = `mastodon-backup-test/postgres:${major}`;
      await dockerOutput(['run', '-d', '--name', container, ...alias, '-e', 'POSTGRES_HOST_AUTH_METHOD=trust', server]);
      const target = await connection(major);
      // The published image listens on a socket alone while it prepares, so TCP answers when it is ready.
      const admin = await until('the database answers', {
        withinMs: 60_000,
        ask: async () => connectTest({ ...target, database: 'postgres' }).catch(() => undefined),
      });
      try {
        await createMastodonDatabase(
          {
            createDatabase: async (database) => void (await admin.query(`create database ${database}`)),
            mastodon: (database) => ({ ...target, database }),
          },
          { name: 'mastodon_production', megabytes },
        );
      } finally {
        await admin.end();
      }
    },
    async run(args, { major, backups, programs = major, more = [] }) {
      volumes.add(`${name}-${backups}`);
      const variables = {
        DB_HOST: `db${major}`,
        DB_USER: 'postgres',
        LOCAL_DOMAIN: 'social.example',
        BACKUP_LOCAL_DIR: '/var/lib/mastodon-backup',
        BACKUP_STATE_DIR: '/tmp/state',
        BACKUP_COMPRESSION_LEVEL: '1',
      };
      return docker([
        'run',
        '--rm',
        `--network=${name}`,
        `--volume=${name}-${backups}:/var/lib/mastodon-backup`,
        '--read-only',
        '--tmpfs=/tmp',
        // A drill is skipped on a disk that is four fifths full, as the one of a machine for tests may be.
        '--tmpfs=/var/tmp/mastodon-backup',
        '--cap-drop=ALL',
        '--security-opt=no-new-privileges',
        ...Object.entries(variables).flatMap(([key, value]) => ['-e', `${key}=${value}`]),
        ...more,
        programs === 18 && hasNewest ? newestImage : image,
        ...args,
      ]);
    },
    async [Symbol.asyncDispose]() {
      if (containers.length > 0) await docker(['rm', '-f', '-v', ...containers]);
      if (volumes.size > 0) await docker(['volume', 'rm', '-f', ...volumes]);
      await docker(['network', 'rm', name]);
    },
  };
}
