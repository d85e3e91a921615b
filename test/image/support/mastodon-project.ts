// A compose project as an administrator has it: Mastodon's file, our example unchanged beside it, and two env files. The bucket
// is Ceph's gateway on the external network. Only what a test must have quicker is in a third file.

import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { Client } from 'pg';
import { createSigningKey } from '../../../src/config/ssh-keys.ts';
import type { ConnectionSettings } from '../../../src/database/connection.ts';
import { createMastodonDatabase, fillMastodonDatabase } from '../../support/mastodon-data.ts';
import type { ChildOutput } from '../../support/output.ts';
import { docker, dockerOutput, until } from './docker.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** The image under test. */
export const image = 'mastodon-backup-test/mastodon-postgres-backup';
/** What must never be seen in an inspection or a log. */
export const secretKey = 'testsecret';

/** A running project. */
export interface MastodonProject extends AsyncDisposable {
  readonly directory: string;
  readonly name: string;
  /** `docker compose …` in it. */
  compose(args: readonly string[], options?: { readonly input?: string }): Promise<ChildOutput>;
  /** The same; throws when it fails. */
  composed(args: readonly string[]): Promise<string>;
  /** `docker compose exec -T backup mastodon-backup …`. */
  exec(args: readonly string[]): Promise<ChildOutput>;
  /** The word of `docker ps`. */
  health(): Promise<string>;
  /** How this machine reaches the database. */
  database(user?: string, name?: string): Promise<ConnectionSettings>;
  query(sql: string, database?: string): Promise<readonly Record<string, unknown>[]>;
  keys(): Promise<readonly string[]>;
  unfinishedUploads(): Promise<number>;
  readonly s3: () => Promise<S3Client>;
}

/** Writes the project; nothing is started. `backupEnvironment` goes to `.env.backup`, the other to `.env.production`. */
export function createProject(options: {
  readonly backupEnvironment: Readonly<Record<string, string>>;
  readonly mastodonEnvironment?: Readonly<Record<string, string>>;
  readonly major?: number;
}): MastodonProject {
  const directory = mkdtempSync(path.join(tmpdir(), 'mastodon-backup-project-'));
  const name = path.basename(directory).toLowerCase();
  copyFileSync(path.join(root, 'test/image/mastodon-compose.yml'), path.join(directory, 'docker-compose.yml'));
  copyFileSync(path.join(root, 'compose.example.yml'), path.join(directory, 'compose.example.yml'));
  cpSync(path.join(root, 'test/image/compose.test.yml'), path.join(directory, 'compose.test.yml'));
  writeFileSync(
    path.join(directory, '.env'),
    `COMPOSE_PROJECT_NAME=${name}\nCOMPOSE_FILE=docker-compose.yml:compose.example.yml:compose.test.yml\nPOSTGRES_MAJOR=${options.major ?? 14}\n`,
  );
  writeEnv(path.join(directory, '.env.production'), {
    LOCAL_DOMAIN: 'social.example',
    DB_HOST: 'db',
    DB_USER: 'mastodon',
    DB_NAME: 'mastodon_production',
    DB_PASS: '',
    DB_PORT: '5432',
    SECRET_KEY_BASE: 'e3b0c44298fc1c149afbf4c8996fb924',
    ...options.mastodonEnvironment,
  });
  writeEnv(path.join(directory, '.env.backup'), {
    BACKUP_S3_ENDPOINT: 'http://s3:7480',
    BACKUP_S3_BUCKET: 'backups',
    BACKUP_S3_ACCESS_KEY_ID: 'testkey',
    ...options.backupEnvironment,
  });
  mkdirSync(path.join(directory, 'backup-secrets'));
  writeFileSync(path.join(directory, 'backup-secrets/s3_secret_access_key'), `${secretKey}\n`, { mode: 0o444 });
  writeFileSync(path.join(directory, 'backup-secrets/signing_key'), createSigningKey('test').file, { mode: 0o444 });
  const compose: MastodonProject['compose'] = async (args, more) =>
    docker(['compose', ...args], { cwd: directory, ...more });
  const composed = async (args: readonly string[]): Promise<string> =>
    dockerOutput(['compose', ...args], { cwd: directory });
  const address = async (service: string, network: string): Promise<string> => {
    const id = (await composed(['ps', '-q', service])).trim();
    const format = `{{(index .NetworkSettings.Networks "${name}_${network}").IPAddress}}`;
    return (await dockerOutput(['inspect', '-f', format, id])).trim();
  };
  const database: MastodonProject['database'] = async (user = 'postgres', database_ = 'postgres') => ({
    host: await address('db', 'internal_network'),
    port: 5432,
    user,
    password: '',
    database: database_,
    sslMode: 'disable',
    sslRootCertificate: null,
  });
  let client: S3Client | undefined;
  const s3 = async (): Promise<S3Client> => {
    client ??= new S3Client({
      endpoint: `http://${await address('s3', 'external_network')}:7480`,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'testkey', secretAccessKey: secretKey },
    });
    return client;
  };
  return {
    directory,
    name,
    compose,
    composed,
    s3,
    exec: async (args) => compose(['exec', '-T', 'backup', 'mastodon-backup', ...args]),
    async health() {
      const rows = await dockerOutput(['ps', '-a', '--format', '{{.Status}}', '--filter', `name=${name}-backup-1`]);
      return /\((?:health: )?(\w+)\)/.exec(rows)?.[1] ?? rows.trim();
    },
    database,
    async query(sql, database_) {
      const connection = new Client({ ...(await database('postgres', database_)), ssl: false });
      await connection.connect();
      try {
        const result = (await connection.query(sql)) as unknown as { rows: Record<string, unknown>[] };
        return result.rows;
      } finally {
        await connection.end();
      }
    },
    async keys() {
      const { Contents = [] } = await (await s3()).send(new ListObjectsV2Command({ Bucket: 'backups' }));
      return Contents.map(({ Key = '' }) => Key);
    },
    async unfinishedUploads() {
      const { Uploads = [] } = await (await s3()).send(new ListMultipartUploadsCommand({ Bucket: 'backups' }));
      return Uploads.length;
    },
    async [Symbol.asyncDispose]() {
      client?.destroy();
      await compose(['--profile', 'demo', 'down', '--volumes', '--timeout', '5']);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/**
 * Starts database and bucket, with the role `mastodon` and a `mastodon_production` of about so many megabytes; `wizard` puts
 * Mastodon where its own wizard does under Docker, into the superuser's `postgres`.
 */
export async function startGround(
  project: MastodonProject,
  { megabytes, wizard = false }: { readonly megabytes: number; readonly wizard?: boolean },
): Promise<void> {
  await project.composed(['up', '-d', '--wait', 'db']);
  await project.composed(['up', '-d', 's3']);
  await project.query('create role mastodon login createdb');
  const s3 = await project.s3();
  await until('the bucket can be created', {
    withinMs: 90_000,
    ask: async () =>
      s3.send(new CreateBucketCommand({ Bucket: 'backups' })).then(
        () => true,
        () => false,
      ),
  });
  if (wizard) {
    await fillMastodonDatabase(await project.database(), { megabytes });
    return;
  }
  const connection = await project.database('mastodon');
  await createMastodonDatabase(
    {
      createDatabase: async (name) =>
        void (await project.query(`create database ${name} owner mastodon template template0`)),
      mastodon: (database) => ({ ...connection, database }),
    },
    { name: 'mastodon_production', megabytes },
  );
}

function writeEnv(file: string, variables: Readonly<Record<string, string>>): void {
  writeFileSync(
    file,
    Object.entries(variables)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  );
}
