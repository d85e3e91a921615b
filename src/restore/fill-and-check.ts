// What happens inside the database that is restored into: it is filled by pg_restore with what was planned, and then asked for
// everything that the manifest and the archive's own table of contents say.

import type { ArchiveItem } from '../database/archive-contents.ts';
import type { ClientPrograms } from '../database/clients.ts';
import { connect } from '../database/connection.ts';
import { AppError } from '../errors.ts';
import { note, shown, type CheckResult } from '../checks/check.ts';
import { checkIndexes, checkRows } from '../checks/database-checks.ts';
import { explainFailures } from '../checks/duplicate-keys.ts';
import { checkSchemaVersion } from '../checks/mastodon-checks.ts';
import { compareWithArchive } from '../checks/archive-comparison.ts';
import { createSource } from '../checks/source.ts';
import { plural } from '../text/table.ts';
import { analyzeDatabase } from './analysis.ts';
import { writeScratchArchive } from './archive-file.ts';
import type { SnapshotSource, StreamOptions } from '../snapshots/dump-stream.ts';
import { expectedRows } from './expected-rows.ts';
import { checkConfiguration } from './extensions.ts';
import { dumpOf, snapshotName } from '../snapshots/manifest.ts';
import { indexSettings } from './index-memory.ts';
import { fillDatabase, fillFromFile, portableArguments, type FillResult } from './fill.ts';
import { assertAsPlanned, withoutWhatIsThere } from './planned-entries.ts';
import { writeRestoreList } from './restore-list.ts';
import { list, type RestorePlan } from './restore-plan.ts';
import { moveSequencesAhead } from './sequences-ahead.ts';
import type { RestoringLogin } from './restoring-login.ts';
import type { TargetServer } from './target.ts';

/** What to restore, and with what. */
export interface FillWork extends StreamOptions {
  readonly source: SnapshotSource;
  readonly plan: RestorePlan;
  readonly server: TargetServer;
  readonly client: ClientPrograms;
  /** The name that the database is to have, for messages. */
  readonly name: string;
  readonly jobs: number;
  /** How far sequences are moved ahead; left out: they stay where the dump has them. */
  readonly sequencesAhead?: number;
  readonly scratchDirectory: string;
  /** Whose what is made there is, as `ownerInScratch` says. */
  readonly scratchOwner: string;
  /** How long pg_restore may stand still, in milliseconds. */
  readonly stallTimeoutMs: number;
}

/** Into which database. */
export interface FillTarget {
  readonly database: string;
  readonly login: RestoringLogin;
  readonly singleTransaction: boolean;
}

/**
 * Fills a database, has it analysed, and compares it. Rejects with AppError `restore` when a statement fails or something is not
 * as dumped, and as `fillDatabase` does.
 */
export async function fillAndCheck(work: FillWork, into: FillTarget): Promise<readonly CheckResult[]> {
  const { source, signal } = work;
  const { manifest } = source;
  const connection = { ...into.login.connection, database: into.database };
  const entries = await withoutWhatIsThere(work.plan.entries, { connection, signal });
  const { failures, contents } = await fill(work, { ...into, entries });
  // A connection that was idle while the restore took its hours may be gone.
  await using control = await connect(connection, signal, { queryTimeoutMs: 0 });
  if (failures.length > 0) {
    const [first] = await explainFailures(control, failures);
    // The message is remembered in the clear.
    const withValues = dumpOf(manifest).encryption === null;
    const reason = first === undefined ? undefined : shown(first, { withValues });
    throw new AppError('restore', `The restore into '${work.name}' failed: ${reason?.detail}`, {
      hint:
        reason?.check === 'duplicate keys'
          ? duplicatesHint(manifest.tier, manifest.id)
          : failureHint(failures[0]?.message),
    });
  }
  assertAsPlanned(contents, { plan: work.plan, snapshot: snapshotName(manifest) });
  await analyzeDatabase(control, { connection, signal });
  const { contents: dumped } = work.plan;
  const expected = await expectedRows(control, { manifest, contents: dumped, entries });
  const origin = createSource(manifest.database.oddities);
  const checks = [
    await checkRows(control, expected),
    ...(await checkConfiguration(control, { ...expected, rows: expected.ofExtensions })),
    ...(await checkIndexes(control, origin)),
    ...(await compareWithArchive(control, entries)),
    ...(manifest.mastodon === null || expected.rows['public.schema_migrations'] === undefined
      ? []
      : [await checkSchemaVersion(control, manifest.mastodon.schemaVersion)]),
  ];
  const broken = checks.find(({ status }) => status === 'failed');
  if (broken !== undefined) {
    throw new AppError('restore', `What was restored is not what was dumped: ${broken.check}: ${broken.detail}`, {
      hint: 'Restore another snapshot, and look into the log of the target server.',
    });
  }
  const ahead = work.sequencesAhead === undefined ? [] : [await moveSequencesAhead(control, work.sequencesAhead)];
  const comments = work.plan.entries.filter((item) => item.kind === 'COMMENT' && !entries.includes(item));
  return [
    ...checks,
    ...origin.notes(),
    ...ahead,
    ...(comments.length === 0
      ? []
      : [
          note(
            'left out',
            `${plural(comments.length, 'comment')} (${list(comments.map(({ name }) => name))}): they are not ours`,
          ),
        ]),
  ];
}

async function fill(
  work: FillWork,
  { database, login, singleTransaction, entries }: FillTarget & { readonly entries: readonly ArchiveItem[] },
): Promise<FillResult> {
  const { source, server, client, jobs, log, signal, onProgress, scratchDirectory, scratchOwner } = work;
  await using useList = await writeRestoreList(entries, { directory: scratchDirectory, scratchOwner });
  const connection = { ...login.connection, database };
  const options = {
    connection,
    client,
    sessionSettings: await indexSettings(connection, { jobs, signal }),
    serverMajor: server.major,
    exitOnError: true,
    stallTimeoutMs: work.stallTimeoutMs,
    args: [
      ...portableArguments,
      `--use-list=${useList.file}`,
      ...(login.role === null ? [] : [`--role=${login.role}`]),
      ...(singleTransaction ? ['--single-transaction'] : []),
      ...(jobs > 1 ? [`--jobs=${jobs}`] : []),
    ],
    log,
    signal,
  };
  if (jobs === 1) return await fillDatabase(source, { ...options, onProgress });
  await using archive = await writeScratchArchive(source, {
    directory: scratchDirectory,
    scratchOwner,
    log,
    signal,
    onProgress,
  });
  const { failures } = await fillFromFile(archive.file, options);
  return { failures, contents: archive.contents };
}

function duplicatesHint(tier: string, id: string): string {
  return `Restore an older snapshot, or this one by hand: mastodon-backup restore ${tier}/${id} --output FILE, pg_restore without --exit-on-error, then tootctl maintenance fix-duplicates.`;
}

function failureHint(message = ''): string {
  if (/no space left|disk full|could not extend/i.test(message))
    return 'Make room on the disk of the target server, then restore again.';
  if (/out of shared memory/i.test(message))
    return 'Raise max_locks_per_transaction of the target server, or let the role create databases (CREATEDB): a single transaction locks everything that it creates.';
  const [, role] = /^role "(.*)" does not exist/.exec(message) ?? [];
  // Policies and user mappings name roles, which belong to a server and not to a dump.
  if (role !== undefined) return `Create the role that the dump names, then restore again: CREATE ROLE "${role}".`;
  const [, schema] = /^permission denied for schema (.*)$/m.exec(message) ?? [];
  if (schema !== undefined)
    return `Let the role create in it, as its owner or a superuser: GRANT USAGE, CREATE ON SCHEMA ${schema} TO the role that restores.`;
  if (/^(schema|function|operator class|type|relation) ".*" does not exist/.test(message))
    return 'It may be in a schema that was left out: restore without --schema, or name that one too.';
  return 'Look at this object; with restore --output FILE the dump itself is at hand for pg_restore.';
}
