// A snapshot becomes a database: filled under a temporary name, compared with what was dumped, and only then given its real
// name. Whatever fails before that leaves the target as it was, and an old database is moved aside, never dropped.

import type { Client } from 'pg';
import type { ClientPrograms } from '../database/clients.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { annoysServer } from '../database/restore-client.ts';
import { AppError } from '../errors.ts';
import { note, type CheckResult } from '../checks/check.ts';
import { libcLocale } from './database-creation.ts';
import type { SnapshotSource, StreamOptions } from '../snapshots/dump-stream.ts';
import { fillAndCheck } from './fill-and-check.ts';
import { chooseRestoreClient } from './restore-clients.ts';
import { connectToServer, createTemporary, removeUnfinished } from './temporary-database.ts';
import {
  assertExtensions,
  assertNotOlder,
  place,
  readDatabase,
  readServer,
  readVisitors,
  type ExistingDatabase,
  type Placement,
  type TargetServer,
} from './target.ts';

/** What a restore needs. */
export interface RestoreOptions extends StreamOptions {
  readonly source: SnapshotSource;
  /** The server to restore into; its database is one that can be connected to. */
  readonly connection: ConnectionSettings;
  /** The database to make. */
  readonly name: string;
  /** Whether a database with tables may be moved aside. */
  readonly replace: boolean;
  readonly jobs: number;
  /** Whether the schemas besides `public` come too. */
  readonly allSchemas: boolean;
  /** The collation to use instead of the source's; null: the source's. */
  readonly locale: string | null;
  readonly clients: readonly ClientPrograms[];
  readonly scratchDirectory: string;
  readonly now: () => Date;
}

/** A restored database. */
export interface RestoreOutcome {
  readonly database: string;
  /** What the database of that name is called now; null: there was none. */
  readonly movedAside: string | null;
  /** From the first question to the database having its name, in milliseconds. */
  readonly durationMs: number;
  readonly serverVersion: string;
  readonly checks: readonly CheckResult[];
}

/** Restores. Call it holding the lock. Rejects with AppError; the target is then as it was. */
export async function restoreDatabase(options: RestoreOptions): Promise<RestoreOutcome> {
  const { source, name, signal, log } = options;
  const { manifest } = source;
  const startedAt = performance.now();
  await using admin = await connectToServer(options.connection, signal);
  const server = await readServer(admin);
  assertNotOlder(server, manifest);
  const extensions = manifest.database.extensions.map(({ name: one }) => one).filter((one) => one !== 'plpgsql');
  await assertExtensions(admin, extensions);
  const client = chooseRestoreClient(options.clients, { server, manifest });
  await removeUnfinished(admin, { name, log });
  const database = await readDatabase(admin, { name, open: async () => connect(at(options, name), signal) });
  const placement = place(name, {
    server,
    database,
    visitors: await readVisitors(admin, name),
    replace: options.replace,
  });
  const work = { ...options, admin, server, client, extensions };
  const result = placement.kind === 'new' ? await restoreAnew(work, placement) : await restoreInPlace(work, placement);
  return {
    database: name,
    serverVersion: server.version,
    durationMs: Math.round(performance.now() - startedAt),
    ...result,
  };
}

interface Work extends RestoreOptions {
  readonly admin: Client;
  readonly server: TargetServer;
  readonly client: ClientPrograms;
  /** Those besides plpgsql. */
  readonly extensions: readonly string[];
}

type Placed = Pick<RestoreOutcome, 'movedAside' | 'checks'>;

async function restoreAnew(work: Work, { replaced }: Placement & { readonly kind: 'new' }): Promise<Placed> {
  const { admin, name, server, extensions, connection, now, signal, log } = work;
  const { manifest } = work.source;
  // What takes the place of a database belongs to whom that belonged: to another Mastodon has no right.
  const owner = replaced?.owner ?? server.role;
  const temporary = await createTemporary(admin, {
    server: { connection, role: server.role },
    name,
    encoding: manifest.database.encoding,
    locale: work.locale === null ? manifest.database.locale : libcLocale(work.locale),
    owner,
    // With every schema the archive creates them itself, each in its own.
    extensions: work.allSchemas ? [] : extensions,
    log,
    signal,
  });
  let checks: readonly CheckResult[];
  try {
    checks = await fillAndCheck(work, { database: temporary.name, owner, singleTransaction: false });
    await temporary.markWhole(signal);
  } catch (error) {
    await temporary.drop();
    signal.throwIfAborted();
    throw error;
  }
  const movedAside = await temporary.giveName({ moveAside: replaced !== null, now: now(), signal });
  return { movedAside, checks: [...checks, ...(replaced === null ? [] : leftBehind(replaced))] };
}

// What belongs to a database and is in no dump of it.
function leftBehind({ settings, hasRights }: ExistingDatabase): readonly CheckResult[] {
  return [
    ...(settings.length === 0
      ? []
      : [note('settings', `those of the old database were not taken over: ${settings.join(', ')}`)]),
    ...(hasRights ? [note('rights', 'those granted on the old database itself were not taken over; see: \\l')] : []),
  ];
}

async function restoreInPlace(work: Work, placement: Placement & { readonly kind: 'in-place' }): Promise<Placed> {
  const { name, extensions, signal, server, client } = work;
  const {
    encoding,
    locale: { collation },
  } = work.source.manifest.database;
  if (placement.encoding !== encoding) {
    throw new AppError('restore', `The database '${name}' has encoding ${placement.encoding}, the dump ${encoding}`, {
      hint: `Create it anew as a superuser: CREATE DATABASE "${name}" OWNER "${server.role}" TEMPLATE template0 ENCODING '${encoding}'.`,
    });
  }
  if (annoysServer(client, server.major)) throw needsClient(server);
  if (work.jobs > 1) work.log.warn({}, 'A single transaction has one job: --jobs has no effect here');
  {
    await using inside = await connect(at(work, name), signal);
    const { rows } = await inside.query<{ name: string }>('select extname as name from pg_extension');
    const missing = extensions.filter((extension) => !rows.some((row) => row.name === extension));
    if (missing.length > 0) {
      throw new AppError('restore', `The database '${name}' lacks the extensions ${missing.join(', ')}`, {
        hint: `Create them there as a superuser: ${missing.map((one) => `CREATE EXTENSION "${one}"`).join('; ')}.`,
      });
    }
  }
  const checks = await fillAndCheck(
    { ...work, jobs: 1 },
    { database: name, owner: server.role, singleTransaction: true },
  );
  const notes =
    placement.collation === collation
      ? []
      : [note('collation', `the database sorts by '${placement.collation}', the source by '${collation}'`)];
  return { movedAside: null, checks: [...checks, ...notes] };
}

function at({ connection }: Pick<RestoreOptions, 'connection'>, database: string): ConnectionSettings {
  return { ...connection, database };
}

function needsClient(server: TargetServer): AppError {
  return new AppError('restore', `A single transaction needs the pg_restore of PostgreSQL ${server.major} itself`, {
    hint: `Install postgresql-client-${server.major}, or let the role create databases: ALTER ROLE "${server.role}" CREATEDB.`,
  });
}
