// The restore drill: a stored snapshot becomes a database in a throw-away server, and that database is checked as whoever
// needs it would. What it says is only what it saw.

import type { Client } from 'pg';
import { chooseClient, type ClientPrograms } from '../database/clients.ts';
import { connect } from '../database/connection.ts';
import { prepareScratchDatabase, type ScratchDatabase } from './scratch-database.ts';
import { startScratchServer, type ScratchServer } from './scratch-server.ts';
import { dumpOf, snapshotName } from '../snapshots/manifest.ts';
import { chooseServer, type ServerPrograms } from '../database/server-programs.ts';
import { AppError, describeError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { DrillDocument, DrillStatus } from './drill-record.ts';
import { failed, note, notChecked, ok, type CheckResult } from '../checks/check.ts';
import { compareWithArchive } from '../checks/archive-comparison.ts';
import { checkDatabase } from '../checks/database-checks.ts';
import { explainFailures } from '../checks/duplicate-keys.ts';
import type { EarlierRows } from '../checks/missing-rows.ts';
import { checkConfiguration } from '../restore/extensions.ts';
import { expectedRows } from '../restore/expected-rows.ts';
import { readContents, type SnapshotSource } from '../snapshots/dump-stream.ts';
import { fillDatabase, portableArguments, type FillResult } from '../restore/fill.ts';
import { assertAsPlanned, withoutWhatIsThere } from '../restore/planned-entries.ts';
import { writeRestoreList } from '../restore/restore-list.ts';
import { describeLacks, describeRoles, sortFailures } from './failed-statements.ts';
import type { Remains } from '../stream/remains.ts';
import { isNearlyFull, predictBytes, readSpace, tooLittle, type Space } from './scratch-space.ts';

const spaceEveryMs = 2_000;
/** How long one statement of the checks may take. What takes longer, such as a view that never ends, is left without a verdict. */
const statementLimit = '2h';

/** Everything a drill needs. */
export interface DrillOptions {
  readonly source: SnapshotSource;
  /** Whether somebody has named a private key for this drill. */
  readonly isKeyGiven: boolean;
  readonly servers: readonly ServerPrograms[];
  readonly clients: readonly ClientPrograms[];
  readonly scratchDirectory: string;
  readonly uid: number;
  readonly remains: Remains;
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
  const { source, signal } = options;
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
    await using server = await startScratchServer({ ...options, programs, directory, signal: stop });
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
  const { source, log, signal } = options;
  const { manifest } = source;
  const { programs } = server;
  const startedAt = performance.now();
  const contents = await readContents(source, { log, signal });
  const database = await prepareScratchDatabase(server, { manifest, contents, log, signal });
  await using control = await connect(database.connection, signal, { queryTimeoutMs: 0 });
  await control.query(`set statement_timeout = '${statementLimit}'`);
  const { failures, entries } = await fill(server, { ...options, database });
  await analyse(control);
  const durationMs = Math.round(performance.now() - startedAt);
  const { oddities } = manifest.database;
  const { rows, ofExtensions, configuration } = await expectedRows(control, { manifest, contents, entries });
  const schemaVersion = manifest.mastodon?.schemaVersion ?? null;
  const dataAt = manifest.dataAt;
  const { ofRoles, ofServer, ofRights, ofSnapshot } = sortFailures(failures);
  const checks = [
    ...(failures.length === 0 ? [ok('restore', 'every statement of the archive went well')] : []),
    ...(await explainFailures(control, ofSnapshot, { rows, earlier: options.earlier })),
    // What is missing because its statement failed is said by that. Before the checks, which take numbers from sequences.
    ...(ofSnapshot.length + ofRights.length === 0 ? await compareWithArchive(control, entries) : []),
    ...(await checkDatabase(control, { rows, schemaVersion, dataAt, oddities, signal })),
    ...(await checkConfiguration(control, { configuration, rows: ofExtensions })),
    ...(options.secrets === null ? [] : [options.secrets]),
    ...database.notes,
  ];
  const lacking = [
    ...database.lacking,
    ...describeLacks({ ofServer, ofRights }),
    // What took too long to be checked.
    ...checks.filter(({ check }) => check === notChecked),
  ];
  const status = ((): DrillStatus => {
    // What an extension that is missing here breaks says nothing of the snapshot; keys that exist twice do.
    if (lacking.length > 0 && !checks.some(({ check }) => check === 'duplicate keys')) return 'incomplete';
    if (checks.some((check) => check.status === 'failed')) return 'failed';
    return ofRoles.length > 0 ? 'incomplete' : 'passed';
  })();
  const said = [...lacking, ...describeRoles({ ofRoles })];
  return {
    status,
    durationMs,
    serverVersion: programs.version,
    checks: [...said, ...checks.filter((check) => !said.includes(check))],
  };
}

// In the owner's login, which nothing of the dump can turn into another one.
async function fill(
  server: ScratchServer,
  options: DrillOptions & { readonly client: ClientPrograms; readonly database: ScratchDatabase },
): Promise<Pick<FillResult, 'failures'> & { readonly entries: ScratchDatabase['plan']['entries'] }> {
  const { source, database, client, log, signal, onProgress } = options;
  const { connection, plan } = database;
  const entries = await withoutWhatIsThere(plan.entries, { connection, signal });
  await using useList = await writeRestoreList(entries, { directory: server.directory });
  const { failures, contents } = await fillDatabase(source, {
    connection,
    client,
    serverMajor: server.programs.major,
    args: [...portableArguments, `--use-list=${useList.file}`],
    exitOnError: false,
    log,
    signal,
    onProgress,
  });
  assertAsPlanned(contents, { plan, snapshot: snapshotName(source.manifest) });
  return { failures, entries };
}

// What is asked afterwards is then asked quickly. Foreign tables, and what holds some as partitions, are asked of no other server.
async function analyse(control: Client): Promise<void> {
  const { rows } = await control.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
        and not exists (select from pg_inherits i where i.inhparent = c.oid)`,
  );
  // One whose indexes cannot be computed any more is still there to be checked.
  for (const { name } of rows) await control.query(`analyze ${name}`).catch(() => undefined);
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
