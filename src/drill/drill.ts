// The restore drill: a stored snapshot becomes a database in a throw-away server, and that database is checked as whoever
// needs it would. What it says is only what it saw.

import type { Client } from 'pg';
import { chooseClient, type ClientPrograms } from '../database/clients.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import type { DatabaseLocale } from '../database/server.ts';
import { startScratchServer, type ScratchServer } from './scratch-server.ts';
import { dumpOf } from '../snapshots/manifest.ts';
import { chooseServer, type ServerPrograms } from '../database/server-programs.ts';
import { AppError, describeError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { DrillDocument, DrillStatus } from './drill-record.ts';
import { failed, note, ok, type CheckResult } from '../checks/check.ts';
import { compareWithArchive } from '../checks/archive-comparison.ts';
import { checkDatabase } from '../checks/database-checks.ts';
import { explainFailures } from '../checks/duplicate-keys.ts';
import type { EarlierRows } from '../checks/missing-rows.ts';
import { createDatabase, describeLocale, libcLocale, missingExtensions } from '../restore/database-creation.ts';
import type { SnapshotSource } from '../snapshots/dump-stream.ts';
import { fillDatabase, portableArguments } from '../restore/fill.ts';
import { isNearlyFull, predictBytes, readSpace, tooLittle, type Space } from './scratch-space.ts';

const database = 'drill';
/** Policies and user mappings name roles, which belong to a server and not to a dump. */
const unknownRole = /^role (".*") does not exist/;
/** What a server lacks that is not the source's: a collation of its C library, a library to load at its start. */
const unknownHere =
  /^(?:collation "[^"]*" for encoding "[^"]*" does not exist|could not create locale "[^"]*"|could not open collator for locale "[^"]*"|could not access file "[^"]*"|could not load library "[^"]*"|could not open (?:stop-word|dictionary|affix) file "[^"]*"|user mapping not found for |could not connect to server "[^"]*"|[\w"]+ must be loaded via "?shared_preload_libraries"?)/;
const spaceEveryMs = 2_000;

/** Everything a drill needs. */
export interface DrillOptions {
  readonly source: SnapshotSource;
  /** Whether somebody has named a private key for this drill. */
  readonly isKeyGiven: boolean;
  readonly servers: readonly ServerPrograms[];
  readonly clients: readonly ClientPrograms[];
  readonly scratchDirectory: string;
  readonly uid: number;
  /** Older snapshots of the instance, newest first. */
  readonly earlier: readonly EarlierRows[];
  /** What is known of Mastodon's secrets; null: nothing. */
  readonly secrets: CheckResult | null;
  readonly now: () => Date;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly onProgress: (objectBytes: number) => void;
}

/** What a drill found. */
export type DrillOutcome = Pick<DrillDocument, 'status' | 'durationMs' | 'serverVersion'> & {
  readonly checks: readonly CheckResult[];
};

/** Drills. Rejects with AppError when the drill itself could not be carried out, which says nothing of the snapshot. */
export async function drill(options: DrillOptions): Promise<DrillOutcome> {
  const { source, signal, log } = options;
  const { manifest } = source;
  const skipped = (detail: string): DrillOutcome => ({
    status: 'skipped',
    durationMs: null,
    serverVersion: null,
    checks: [note('drill', detail)],
  });
  if (dumpOf(manifest).encryption !== null && (source.identities ?? []).length === 0)
    return skipped(
      'the snapshot is encrypted and no private key is on this machine: set BACKUP_AGE_IDENTITY, or use --identity',
    );
  const major = Number.parseInt(manifest.database.serverVersion, 10);
  const programs = chooseServer(options.servers, major);
  if (programs === undefined)
    return skipped(`no PostgreSQL server of version ${major} or newer is installed: install postgresql-${major}`);
  const client = chooseClient(options.clients, programs);
  const lack = tooLittle(await readScratchSpace(options), predictBytes(manifest.database.sizeBytes));
  if (lack !== null) return skipped(lack);

  using space = watchSpace(options.scratchDirectory);
  const stop = AbortSignal.any([signal, space.signal]);
  try {
    const directory = options.scratchDirectory;
    await using server = await startScratchServer({ programs, directory, uid: options.uid, log, signal: stop });
    return await drillIn(server, { ...options, client, signal: stop });
  } catch (error) {
    signal.throwIfAborted();
    if (space.signal.aborted) return skipped('it was stopped: less than 10 % of the scratch volume were left');
    // Such as a server that the kernel killed for its memory; the database that cannot be reached then is ours.
    if (!(error instanceof AppError) || error.code === 'database') {
      throw new AppError('drill', `The drill broke off: ${describeError(error)}`, {
        cause: error,
        hint: 'Look at the memory of this container and the space in BACKUP_SCRATCH_DIR, then drill again.',
      });
    }
    // A slip of the hand says nothing of the snapshot.
    if (options.isKeyGiven && reasonOf(error) === 'wrong-key')
      throw new AppError('usage', error.message, {
        cause: error,
        hint: error.hint,
      });
    // A snapshot that cannot be read or opened is what a drill is there to find.
    if (error.code !== 'verify' && error.code !== 'restore') throw error;
    const check = failed('snapshot', {
      detail: error.message,
      remedy: error.hint ?? 'Run a new backup and drill again.',
    });
    return { status: 'failed', durationMs: null, serverVersion: programs.version, checks: [check] };
  }
}

async function readScratchSpace({ scratchDirectory }: Pick<DrillOptions, 'scratchDirectory'>): Promise<Space> {
  try {
    return await readSpace(scratchDirectory);
  } catch (error) {
    throw new AppError('drill', `The scratch directory '${scratchDirectory}' cannot be used: ${describeError(error)}`, {
      cause: error,
      hint: 'Mount a volume that this user may write at BACKUP_SCRATCH_DIR.',
    });
  }
}

async function drillIn(
  server: ScratchServer,
  options: DrillOptions & { readonly client: ClientPrograms },
): Promise<DrillOutcome> {
  const { source, client, log, signal } = options;
  const { manifest } = source;
  const { programs } = server;
  const notes: CheckResult[] = [];
  const startedAt = performance.now();
  const wanted = manifest.database.locale;
  const taken = await createScratchDatabase(server.connection('postgres'), { manifest, signal });
  if (describeLocale(taken) !== describeLocale(wanted))
    notes.push(
      note('collation', `${describeLocale(wanted)} does not exist here; ${describeLocale(taken)} was taken instead`),
    );
  const connection = server.connection(database);
  await using control = await connect(connection, signal, { queryTimeoutMs: 0 });
  const missing = await missingExtensions(
    control,
    manifest.database.extensions.map(({ name }) => name),
  );
  const { failures, contents } = await fillDatabase(source, {
    connection,
    client,
    serverMajor: programs.major,
    args: portableArguments,
    exitOnError: false,
    log,
    signal,
    onProgress: options.onProgress,
  });
  await analyse(control);
  const durationMs = Math.round(performance.now() - startedAt);
  const { rows, oddities } = manifest.database;
  const schemaVersion = manifest.mastodon?.schemaVersion ?? null;
  const dataAt = manifest.dataAt;
  const ofRoles = failures.filter(({ message }) => unknownRole.test(message));
  const ofServer = failures.filter(({ message }) => unknownHere.test(message));
  const ofSnapshot = failures.filter((failure) => !ofRoles.includes(failure) && !ofServer.includes(failure));
  const checks = [
    ...(failures.length === 0 ? [ok('restore', 'every statement of the archive went well')] : []),
    ...(await explainFailures(control, ofSnapshot, { rows, earlier: options.earlier })),
    // What is missing because its statement failed is said by that. Before the checks, which take numbers from sequences.
    ...(ofSnapshot.length === 0 ? await compareWithArchive(control, contents) : []),
    ...(await checkDatabase(control, { rows, schemaVersion, dataAt, oddities, signal })),
    ...(options.secrets === null ? [] : [options.secrets]),
    ...notes,
  ];
  const status = ((): DrillStatus => {
    // What an extension that is missing here breaks says nothing of the snapshot; keys that exist twice do.
    const lacks = missing.length > 0 || ofServer.length > 0;
    if (lacks && !checks.some(({ check }) => check === 'duplicate keys')) return 'incomplete';
    if (checks.some((check) => check.status === 'failed')) return 'failed';
    return ofRoles.length > 0 ? 'incomplete' : 'passed';
  })();
  const roles = [...new Set(ofRoles.map(({ message }) => unknownRole.exec(message)?.[1]))].join(', ');
  const lacking = [
    ...(missing.length === 0 ? [] : [note('extensions', `not available in this server: ${missing.join(', ')}`)]),
    ...(ofServer.length === 0
      ? []
      : [
          note(
            'server',
            `this server lacks what the source has: ${[...new Set(ofServer.map(({ message }) => unknownHere.exec(message)?.[0]))].join('; ')}`,
            { remedy: 'Drill where it is installed, or see with restore whether the target has it.' },
          ),
        ]),
    ...(roles === ''
      ? []
      : [note('roles', `${ofRoles.length} statements name roles that this server lacks: ${roles}`)]),
  ];
  return { status, durationMs, serverVersion: programs.version, checks: [...lacking, ...checks] };
}

// What is asked afterwards is then asked quickly. Foreign tables, and what holds some as partitions, are asked of no other server.
async function analyse(control: Client): Promise<void> {
  const { rows } = await control.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
        and not exists (select from pg_inherits i where i.inhparent = c.oid)`,
  );
  for (const { name } of rows) await control.query(`analyze ${name}`);
}

// A collation that exists only where the source runs, such as the alpine image's `en_US.utf8`.
async function createScratchDatabase(
  connection: ConnectionSettings,
  { manifest, signal }: { readonly manifest: SnapshotSource['manifest']; readonly signal: AbortSignal },
): Promise<DatabaseLocale> {
  const { encoding } = manifest.database;
  await using admin = await connect(connection, signal);
  let lastError: unknown;
  for (const locale of [manifest.database.locale, ...['C.UTF-8', 'C.utf8', 'C'].map(libcLocale)]) {
    try {
      await createDatabase(admin, { name: database, encoding, locale });
      return locale;
    } catch (error) {
      signal.throwIfAborted();
      lastError = error;
    }
  }
  throw new AppError('drill', `A database like the source's could not be created: ${describeError(lastError)}`, {
    cause: lastError,
    hint: 'Look at the encoding of the source database: SHOW server_encoding.',
  });
}

function watchSpace(directory: string): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const look = async (): Promise<void> => {
    if (isNearlyFull(await readSpace(directory)))
      controller.abort(new AppError('drill', 'The scratch volume is nearly full'));
  };
  const timer = setInterval(() => {
    look().catch(() => undefined);
  }, spaceEveryMs);
  return { signal: controller.signal, [Symbol.dispose]: () => clearInterval(timer) };
}
