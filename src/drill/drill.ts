// The restore drill: a stored snapshot becomes a database in a throw-away server, and that database is checked as whoever
// needs it would. What it says is only what it saw.

import { failed, note, notChecked, ok, type CheckResult } from '../checks/check.ts';
import { compareWithArchive } from '../checks/archive-comparison.ts';
import { checkDatabase } from '../checks/database-checks.ts';
import { explainFailures } from '../checks/duplicate-keys.ts';
import type { EarlierRows } from '../checks/missing-rows.ts';
import type { ClientPrograms } from '../database/clients.ts';
import { connect } from '../database/connection.ts';
import { AppError, describeError, reasonOf } from '../errors.ts';
import { expectedRows } from '../restore/expected-rows.ts';
import { checkConfiguration } from '../restore/extensions.ts';
import type { DrillDocument, DrillStatus } from './drill-record.ts';
import { describeLacks, describeRoles, sortFailures } from './failed-statements.ts';
import { findMeans, restoreToScratch, statementLimit, watchSpace, type ScratchSource } from './scratch-restore.ts';
import { startScratchServer, type ScratchServer } from './scratch-server.ts';
import type { ServerMeans } from './server-home.ts';

/** Everything a drill needs. */
export interface DrillOptions extends ScratchSource, ServerMeans {
  /** Whether somebody has named a private key for this drill. */
  readonly isKeyGiven: boolean;
  /** Older snapshots of the instance, newest first. */
  readonly earlier: readonly EarlierRows[];
  /** What is known of Mastodon's secrets; null: nothing. */
  readonly secrets: CheckResult | null;
  readonly now: () => Date;
  readonly onProgress: (objectBytes: number) => void;
}

/** What a drill found. */
export type DrillOutcome = Pick<DrillDocument, 'status' | 'durationMs' | 'serverVersion'> & {
  readonly checks: readonly CheckResult[];
};

/** Drills. Rejects with AppError when the drill itself could not be carried out, which says nothing of the snapshot. */
export async function drill(options: DrillOptions): Promise<DrillOutcome> {
  const { signal } = options;
  const skipped = (detail: string): DrillOutcome => ({
    status: 'skipped',
    durationMs: null,
    serverVersion: null,
    checks: [note('drill', detail)],
  });
  const means = await findMeans(options);
  if (means.kind === 'none') return skipped(means.reason);
  const { programs, client } = means;

  using space = watchSpace(options.scratchDirectory);
  const stop = AbortSignal.any([signal, space.signal]);
  try {
    await using server = await startScratchServer({ ...options, programs, purpose: 'drill', signal: stop });
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

async function drillIn(
  server: ScratchServer,
  options: DrillOptions & { readonly client: ClientPrograms },
): Promise<DrillOutcome> {
  const { signal } = options;
  const { manifest } = options.source;
  const { database, contents, entries, failures, durationMs } = await restoreToScratch(server, options);
  await using control = await connect(database.connection, signal, { queryTimeoutMs: 0 });
  await control.query(`set statement_timeout = '${statementLimit}'`);
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
    serverVersion: server.programs.version,
    checks: [...said, ...checks.filter((check) => !said.includes(check))],
  };
}
