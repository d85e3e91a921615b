// A snapshot that people look into: restored into a throw-away server, and then shown to a login that can read and nothing else.
// Whoever looks a row up on the worst day must not have to fear that what they type changes anything, or reads anything but that copy.

import { randomBytes } from 'node:crypto';
import { escapeLiteral } from 'pg';
import type { ClientPrograms } from '../database/clients.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { scramVerifier } from '../database/scram-verifier.ts';
import { AppError } from '../errors.ts';
import { findMeans, restoreToScratch, watchSpace, type ScratchSource } from './scratch-restore.ts';
import { startScratchServer, type ScratchServer } from './scratch-server.ts';
import type { ServerMeans } from './server-home.ts';

/** Since then there is a role that may read everything: PostgreSQL's manual, 22.5. */
const firstMajorWithReaders = 14;
const reader = 'reader';

/** An open snapshot; its disposer ends the server. */
export interface OpenedSnapshot extends AsyncDisposable {
  /** For a login that can only read. */
  readonly connection: ConnectionSettings;
  /** Where tables are found by their names alone, as `set search_path` takes it. */
  readonly searchPath: string;
  readonly client: ClientPrograms;
  readonly serverMajor: number;
  readonly durationMs: number;
  /** What of the snapshot is not there, a line each. */
  readonly lacking: readonly string[];
  /** Aborts with the given one, and when the scratch volume is nearly full. */
  readonly signal: AbortSignal;
}

/**
 * Opens it. Call it holding the lock `open`.
 * @throws AppError `restore` when it cannot be opened here; also as `restoreToScratch`.
 */
export async function openSnapshot(
  options: ScratchSource &
    ServerMeans & {
      /** How long it may stay open is not limited; how long the restore may take is. */
      readonly restoreSignal: AbortSignal;
      readonly onProgress: (objectBytes: number) => void;
    },
): Promise<OpenedSnapshot> {
  const { source, scratchDirectory: directory, log } = options;
  const servers = options.servers.filter(({ major }) => major >= firstMajorWithReaders);
  const means = await findMeans({ ...options, servers });
  if (means.kind === 'none')
    throw new AppError('restore', `The snapshot cannot be opened here: ${means.reason}`, {
      hint: 'Restore it elsewhere, or into another database, with: mastodon-backup restore.',
    });
  await using undo = new AsyncDisposableStack();
  const space = undo.use(watchSpace(directory));
  const signal = AbortSignal.any([options.signal, space.signal]);
  const restoring = AbortSignal.any([signal, options.restoreSignal]);
  const { programs, client } = means;
  const server = undo.use(await startScratchServer({ ...options, programs, purpose: 'open', signal: restoring }));
  const { stallTimeoutMs, onProgress } = options;
  const how = { source, client, stallTimeoutMs, log, signal: restoring, onProgress };
  const { database, failures, durationMs } = await restoreToScratch(server, how);
  const access = await giveAccess(server, { owner: database.connection, signal: restoring });
  const opened = undo.move();
  return {
    ...access,
    client,
    serverMajor: programs.major,
    durationMs,
    lacking: [
      ...database.lacking.map(({ check, detail }) => `${check}: ${detail}`),
      ...failures.map(({ message }) => message),
    ],
    signal,
    [Symbol.asyncDispose]: async () => opened.disposeAsync(),
  };
}

// The role is made and told its rights beside the database: in it no superuser meets what came out of a dump.
async function giveAccess(
  server: ScratchServer,
  { owner, signal }: { readonly owner: ConnectionSettings; readonly signal: AbortSignal },
): Promise<Pick<OpenedSnapshot, 'connection' | 'searchPath'>> {
  const searchPath = await readSearchPath(owner, signal);
  const password = randomBytes(24).toString('base64url');
  await using admin = await connect(server.superuser('postgres'), signal);
  await admin.query(
    `create role ${reader} login nosuperuser nocreatedb nocreaterole noreplication bypassrls password ${escapeLiteral(scramVerifier(password))};
     grant pg_read_all_data to ${reader};
     revoke temporary on database ${owner.database} from public;
     alter role ${reader} set default_transaction_read_only = on;
     alter role ${reader} set search_path = ${searchPath}`,
  );
  return { connection: { ...owner, user: reader, password }, searchPath };
}

async function readSearchPath(owner: ConnectionSettings, signal: AbortSignal): Promise<string> {
  await using client = await connect(owner, signal);
  // Before 15 everybody may create things in it.
  await client.query('revoke create on schema public from public');
  const { rows } = await client.query<{ schema: string }>(
    `select distinct n.nspname as schema, n.nspname <> 'public' as apart from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by apart, schema`,
  );
  return rows.length === 0 ? 'public' : rows.map(({ schema }) => escapeLiteral(schema)).join(', ');
}
