// A snapshot in a throw-away server: what a drill checks and what `open` shows. Whether there can be one is asked before anything is
// started, and it ends before the disk of whoever lives there as well is full.

import type { Client } from 'pg';
import type { Space } from '../disk/directory.ts';
import { chooseClient, type ClientPrograms } from '../database/clients.ts';
import { connect } from '../database/connection.ts';
import { chooseServer, type ServerPrograms } from '../database/server-programs.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { fillDatabase, portableArguments, type FillResult } from '../restore/fill.ts';
import { assertAsPlanned, withoutWhatIsThere } from '../restore/planned-entries.ts';
import { writeRestoreList } from '../restore/restore-list.ts';
import type { RestorePlan } from '../restore/restore-plan.ts';
import { readContents, type SnapshotSource } from '../snapshots/dump-stream.ts';
import { dumpOf, snapshotName } from '../snapshots/manifest.ts';
import { prepareScratchDatabase, type ScratchDatabase } from './scratch-database.ts';
import type { ScratchServer } from './scratch-server.ts';
import { isNearlyFull, predictBytes, spaceOfScratch, tooLittle } from './scratch-space.ts';

const spaceEveryMs = 2_000;
/** How long one statement there may take. What takes longer, such as a view that never ends, is left without a verdict. */
export const statementLimit = '2h';

/** What it is made of. */
export interface ScratchSource {
  readonly source: SnapshotSource;
  readonly servers: readonly ServerPrograms[];
  readonly clients: readonly ClientPrograms[];
  readonly scratchDirectory: string;
  /** Whose it is, as `ownerInScratch` says. */
  readonly scratchOwner: string;
  /** How long pg_restore may stand still, in milliseconds. */
  readonly stallTimeoutMs: number;
}

/** The programs for it, or why there can be none. */
export type ScratchMeans =
  | { readonly kind: 'means'; readonly programs: ServerPrograms; readonly client: ClientPrograms }
  | { readonly kind: 'none'; readonly reason: string };

/** A snapshot that has been restored there. */
export interface ScratchSnapshot {
  readonly database: ScratchDatabase;
  readonly contents: RestorePlan['contents'];
  /** What was restored of it. */
  readonly entries: RestorePlan['entries'];
  readonly failures: FillResult['failures'];
  readonly durationMs: number;
}

/** Whether this machine can restore it. @throws AppError `drill` when the scratch directory cannot be used. */
export async function findMeans(options: ScratchSource): Promise<ScratchMeans> {
  const { source } = options;
  const { manifest } = source;
  const none = (reason: string): ScratchMeans => ({ kind: 'none', reason });
  if (dumpOf(manifest).encryption !== null && (source.identities ?? []).length === 0)
    return none(
      'the snapshot is encrypted and no private key is on this machine: set BACKUP_AGE_IDENTITY, or use --identity',
    );
  const major = Number.parseInt(manifest.database.serverVersion, 10);
  const programs = chooseServer(options.servers, major);
  if (programs === undefined)
    return none(`no PostgreSQL server of version ${major} or newer is installed: install postgresql-${major}`);
  const client = chooseClient(options.clients, programs);
  const lack = tooLittle(await readScratchSpace(options), predictBytes(manifest.database.sizeBytes));
  return lack === null ? { kind: 'means', programs, client } : none(lack);
}

/** Restores it, with whatever statements failed, and has the server look at its tables. Rejects as `streamDump`, or with AppError `drill`. */
export async function restoreToScratch(
  server: ScratchServer,
  options: {
    readonly source: SnapshotSource;
    readonly client: ClientPrograms;
    readonly stallTimeoutMs: number;
    readonly log: Log;
    readonly signal: AbortSignal;
    readonly onProgress: (objectBytes: number) => void;
  },
): Promise<ScratchSnapshot> {
  const { source, log, signal } = options;
  const startedAt = performance.now();
  const contents = await readContents(source, { log, signal });
  const database = await prepareScratchDatabase(server, { manifest: source.manifest, contents, log, signal });
  await using control = await connect(database.connection, signal, { queryTimeoutMs: 0 });
  await control.query(`set statement_timeout = '${statementLimit}'`);
  const { failures, entries } = await fill(server, { ...options, database });
  await analyse(control);
  return { database, contents, entries, failures, durationMs: Math.round(performance.now() - startedAt) };
}

async function readScratchSpace({ scratchDirectory }: Pick<ScratchSource, 'scratchDirectory'>): Promise<Space> {
  try {
    return await spaceOfScratch(scratchDirectory);
  } catch (error) {
    throw new AppError('drill', `The scratch directory '${scratchDirectory}' cannot be used: ${describeError(error)}`, {
      cause: error,
      hint: 'Mount a volume that this user may write at BACKUP_SCRATCH_DIR.',
    });
  }
}

// In the owner's login, which nothing of the dump can turn into another one.
async function fill(
  server: ScratchServer,
  options: Parameters<typeof restoreToScratch>[1] & { readonly database: ScratchDatabase },
): Promise<Pick<FillResult, 'failures'> & { readonly entries: RestorePlan['entries'] }> {
  const { source, database, client, log, signal, onProgress } = options;
  const { connection, plan } = database;
  const entries = await withoutWhatIsThere(plan.entries, { connection, signal });
  await using useList = await writeRestoreList(entries, {
    directory: server.directory,
    scratchOwner: server.scratchOwner,
  });
  const { failures, contents } = await fillDatabase(source, {
    connection,
    client,
    serverMajor: server.programs.major,
    args: [...portableArguments, `--use-list=${useList.file}`],
    exitOnError: false,
    stallTimeoutMs: options.stallTimeoutMs,
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

/** Aborts when less than a tenth of the scratch volume is left; its disposer ends the watch. */
export function watchSpace(directory: string): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const look = async (): Promise<void> => {
    if (isNearlyFull(await spaceOfScratch(directory)))
      controller.abort(
        new AppError('drill', 'The scratch volume is nearly full', {
          hint: 'Mount a larger volume at BACKUP_SCRATCH_DIR, or free space there.',
        }),
      );
  };
  const timer = setInterval(() => {
    look().catch(() => undefined);
  }, spaceEveryMs);
  return { signal: controller.signal, [Symbol.dispose]: () => clearInterval(timer) };
}
