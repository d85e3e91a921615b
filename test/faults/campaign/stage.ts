// Where the faults happen: one PostgreSQL, one S3 server and one directory, each behind a door, started once and used for
// thousands of faults. Between two faults only what was touched is put back.

import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import type { Client } from 'pg';
import { belongsToPlace } from '../../../src/snapshots/place-script.ts';
import { databaseEnvironment } from '../../support/command.ts';
import { connectTest, createMastodonDatabase } from '../../support/mastodon-data.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../../support/s3-server.ts';
import { openApp } from '../../support/app.ts';
import { patiently } from './attempt.ts';
import { wrapClients } from './client-wrapper.ts';
import { openDatabaseDoor, type DatabaseDoor } from '../../support/database-door.ts';
import { createDisk, type Disk } from './disk.ts';
import { openDiskDoor, type DiskDoor } from './disk-door.ts';
import { ageSnapshot, flavourNames, type Flavour, type FlavourName, type SnapshotFiles } from './flavours.ts';
import { bucketPlace, directoryPlace, restorePlace, type Place } from './places.ts';
import { createRestorability, shell, statementsOf, type Restorability } from './restorable.ts';

/** The stage. */
export interface Stage extends AsyncDisposable {
  readonly home: string;
  readonly server: PostgresServer;
  readonly s3: S3TestServer;
  readonly line: DatabaseDoor;
  readonly disk: Disk;
  readonly diskDoor: DiskDoor;
  /** The directory of the clients that obey, and of the real ones. */
  readonly programs: string;
  readonly stock: string;
  readonly scratchDirectory: string;
  readonly stateDirectory: string;
  readonly temporaryDirectory: string;
  readonly identityFile: string;
  flavour(name: FlavourName): Flavour;
  /** Both places of a flavour, the bucket first. */
  places(name: FlavourName): readonly Place[];
  judge(name: FlavourName): Restorability;
  /** Asks the server as its superuser, past the line. */
  ask(sql: string): Promise<readonly Record<string, unknown>[]>;
  /** Puts everything back to how it was before the first fault. */
  reset(name: FlavourName): Promise<void>;
}

/** Databases and roles that belong here. */
export const sourceDatabases = { plain: 'mastodon', age: 'mastodon', large: 'large' } as const;

/** Sets the stage in `home`, which the stage's server may enter. */
export async function setStage(home: string): Promise<Stage> {
  mkdirSync(home, { recursive: true });
  chmodSync(home, 0o755);
  const server = await startPostgres({ major: 15, settings: { restart_after_crash: 'on' }, keepsSession: false });
  const s3 = await startS3();
  const line = await openDatabaseDoor(server.port);
  const disk = createDisk(home);
  await makeSources(server);
  const stock = linkPrograms(path.join(home, 'stock'), 15);
  const programs = wrapClients(path.join(home, 'bin'), stock);
  const directories = {
    scratchDirectory: path.join(home, 'scratch'),
    stateDirectory: path.join(home, 'state'),
    temporaryDirectory: path.join(home, 'tmp'),
  };
  for (const directory of Object.values(directories)) mkdirSync(directory, { recursive: true });
  chmodSync(directories.temporaryDirectory, 0o1777);
  const identityFile = path.join(home, 'identity.txt');
  const identity = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  writeFileSync(identityFile, identity);
  const recipient = /age1\w+/.exec(identity)?.[0] ?? '';
  // What the programs make of temporary files is to be seen.
  process.env['TMPDIR'] = directories.temporaryDirectory;

  const common = (name: FlavourName): Readonly<Record<string, string>> => ({
    ...databaseEnvironment({ ...server.mastodon(sourceDatabases[name]), port: line.port }),
    ...s3.environment,
    LOCAL_DOMAIN: `${name}.example`,
    TMPDIR: directories.temporaryDirectory,
    BACKUP_S3_PREFIX: name,
    BACKUP_LOCAL_DIR: path.join(disk.directory, name),
    BACKUP_STATE_DIR: directories.stateDirectory,
    BACKUP_SCRATCH_DIR: directories.scratchDirectory,
    BACKUP_PG_BIN: programs,
    BACKUP_STALL_TIMEOUT: '3s',
    BACKUP_TIMEOUT: '60s',
    BACKUP_DRILL_TIMEOUT: '60s',
    BACKUP_LOCK_WAIT: '5s',
    BACKUP_LOG_LEVEL: 'debug',
    BACKUP_LOG_FORMAT: 'json',
    ...ofFlavour(name, { recipient, identityFile }),
  });

  const flavours = new Map<FlavourName, Flavour>();
  const places = new Map<FlavourName, readonly Place[]>();
  const judges = new Map<FlavourName, Restorability>();
  const store = s3.store();
  for (const name of flavourNames) {
    const settings = common(name);
    mkdirSync(path.join(disk.directory, name), { recursive: true });
    places.set(name, [
      bucketPlace(store, { prefix: `${name}/`, put: async (key, content) => s3.overwrite(key, content) }),
      directoryPlace(path.join(disk.directory, name)),
    ]);
    const environment = { PGHOST: '127.0.0.1', PGPORT: String(server.port), PGUSER: 'postgres' };
    const source = { ...environment, PGDATABASE: sourceDatabases[name] };
    const dumped = await shell(`'${stock}/pg_dump'`, { environment: source });
    if (dumped.status !== 0) throw new Error(`The source cannot be dumped: ${dumped.stderr}`);
    const expected = statementsOf(dumped.stdout);
    judges.set(name, createRestorability({ programs: stock, identityFile, expected }));
    const files = await takeSnapshot(settings, places.get(name) ?? []);
    const made = ageSnapshot(files, { settings, now: new Date(), few: name === 'large' });
    flavours.set(name, { name, settings, ...made, versions: { s3: new Map(), local: new Map() } });
  }
  const diskDoor = openDiskDoor(disk.directory);
  let admin: Client | undefined;

  const of = <Value>(map: ReadonlyMap<FlavourName, Value>, name: FlavourName): Value => {
    const found = map.get(name);
    if (found === undefined) throw new Error(`There is no flavour ${name}`);
    return found;
  };
  const stage: Stage = {
    home,
    server,
    s3,
    line,
    disk,
    diskDoor,
    programs,
    stock,
    ...directories,
    identityFile,
    flavour: (name) => of(flavours, name),
    places: (name) => of(places, name),
    judge: (name) => of(judges, name),
    async ask(sql) {
      // A crash of the server takes our own session too.
      for (let attempt = 1; ; attempt += 1) {
        try {
          admin ??= await connectTest(server.superuser());
          return (await admin.query(sql)).rows as Record<string, unknown>[];
        } catch (error) {
          await admin?.end().catch(() => undefined);
          admin = undefined;
          if (attempt === 100) throw error;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      }
    },
    async reset(name) {
      s3.rule(() => ({ kind: 'pass' }));
      s3.seen.length = 0;
      diskDoor.rule(() => ({ kind: 'pass' }));
      line.set('open');
      disk.bringBack();
      const flavour = of(flavours, name);
      for (const place of of(places, name)) {
        const known = { wanted: flavour.baseline, versions: flavour.versions[place.name] };
        flavour.versions[place.name] = await restorePlace(place, known);
      }
      for (const directory of Object.values(directories))
        for (const entry of existsSync(directory) ? readdirSync(directory) : [])
          rmSync(path.join(directory, entry), { recursive: true, force: true });
      const strangers = await stage.ask(
        `select datname from pg_database where datname not in ('postgres', 'template0', 'template1', 'mastodon', 'large')`,
      );
      for (const { datname } of strangers) await stage.ask(`drop database "${String(datname)}" with (force)`);
    },
    async [Symbol.asyncDispose]() {
      await admin?.end().catch(() => undefined);
      await line[Symbol.asyncDispose]();
      await s3[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await disk[Symbol.asyncDispose]();
    },
  };
  return stage;
}

function ofFlavour(
  name: FlavourName,
  { recipient, identityFile }: { readonly recipient: string; readonly identityFile: string },
): Readonly<Record<string, string>> {
  switch (name) {
    case 'plain':
      return { BACKUP_COMPRESSION: 'zstd', BACKUP_COMPRESSION_LEVEL: '1' };
    case 'age':
      return {
        BACKUP_COMPRESSION: 'xz',
        BACKUP_COMPRESSION_LEVEL: '1',
        BACKUP_THREADS: '1',
        BACKUP_AGE_RECIPIENTS: recipient,
        BACKUP_AGE_IDENTITY: /AGE-SECRET-KEY-\w+/.exec(readFileSync(identityFile, 'utf8'))?.[0] ?? '',
        SECRET_KEY_BASE: 'key of the campaign',
        OTP_SECRET: 'secret of the campaign',
      };
    case 'large':
      return { BACKUP_COMPRESSION: 'none' };
    default:
      return name satisfies never;
  }
}

async function makeSources(server: PostgresServer): Promise<void> {
  await server.query('alter role mastodon createdb');
  await createMastodonDatabase(server, { name: 'mastodon', megabytes: 0.3 });
  // The one post of a megabyte would be all there is.
  await server.query('update statuses set text = left(text, 400)', 'mastodon');
  await server.query('vacuum full', 'mastodon');
  await server.createDatabase('large');
  const client = await connectTest(server.mastodon('large'));
  // Three parts of an upload: one that is given up has begun for most of the time.
  await client.query('create table noise (id int primary key, bytes bytea)');
  await client.query('alter table noise alter column bytes set storage external');
  await client.query(
    `insert into noise select n, decode(string_agg(md5(random()::text || n || g), ''), 'hex')
       from generate_series(1, 24) n, generate_series(1, 32768) g group by n`,
  );
  await client.end();
  // A crash of the server must change nothing of it, also not where sequences stand.
  await server.query('checkpoint');
}

// One real backup, as every later one is made from.
async function takeSnapshot(
  settings: Readonly<Record<string, string>>,
  places: readonly Place[],
): Promise<SnapshotFiles> {
  await using app = openApp({ ...settings, ...patiently });
  const report = await app.run({
    purpose: { kind: 'by hand', tier: 'daily' },
    wait: false,
    signal: AbortSignal.timeout(300_000),
    onProgress: () => undefined,
  });
  const [bucket] = places;
  const files = new Map<string, Buffer>();
  for (const key of (await bucket?.keys())?.keys() ?? [])
    if (!belongsToPlace(key)) files.set(path.basename(key), (await bucket?.read(key)) ?? Buffer.of());
  return { id: report.id, files };
}
