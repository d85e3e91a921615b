// What happens inside the database that is restored into: it is filled by pg_restore, and then asked for everything that the
// manifest and the archive's own table of contents say.

import type { ArchiveItem } from '../database/archive-reader.ts';
import type { ClientPrograms } from '../database/clients.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { AppError } from '../errors.ts';
import { note, shown, type CheckResult } from '../checks/check.ts';
import { checkIndexes, checkRows } from '../checks/database-checks.ts';
import { explainFailures } from '../checks/duplicate-keys.ts';
import { checkSchemaVersion } from '../checks/mastodon-checks.ts';
import { compareWithArchive } from '../checks/archive-comparison.ts';
import { createSource } from '../checks/source.ts';
import { writeScratchArchive } from './archive-file.ts';
import type { SnapshotSource, StreamOptions } from '../snapshots/dump-stream.ts';
import { dumpOf } from '../snapshots/manifest.ts';
import { fillDatabase, fillFromFile, portableArguments, type FillResult } from './fill.ts';
import type { TargetServer } from './target.ts';

/** What to restore, and with what. */
export interface FillWork extends StreamOptions {
  readonly source: SnapshotSource;
  readonly server: TargetServer;
  readonly connection: ConnectionSettings;
  readonly client: ClientPrograms;
  /** The name that the database is to have, for messages. */
  readonly name: string;
  readonly jobs: number;
  /** Whether the schemas besides `public` come too. */
  readonly allSchemas: boolean;
  readonly scratchDirectory: string;
}

/** Into which database. */
export interface FillTarget {
  readonly database: string;
  /** Whose everything in it is to be. */
  readonly owner: string;
  readonly singleTransaction: boolean;
}

// They are in no schema; as pg_dump 12 to 16 and 17 call them.
const largeObjectKinds: ReadonlySet<string> = new Set(['BLOB', 'BLOBS', 'BLOB METADATA']);

/**
 * Fills a database, has it analysed, and compares it. Rejects with AppError `restore` when a statement fails or something is not
 * as dumped, and as `fillDatabase` does.
 */
export async function fillAndCheck(work: FillWork, into: FillTarget): Promise<readonly CheckResult[]> {
  const { source, signal, allSchemas, server } = work;
  const { manifest } = source;
  const connection = { ...work.connection, database: into.database };
  const { failures, contents } = await fill(work, into);
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
  await control.query('analyze');
  const inScope = (schema: string): boolean => allSchemas || schema === 'public';
  const rows = Object.entries(manifest.database.rows).filter(([table]) => allSchemas || table.startsWith('public.'));
  const left = Object.keys(manifest.database.rows).length - rows.length;
  const origin = createSource(manifest.database.oddities);
  const checks = [
    await checkRows(control, { rows: Object.fromEntries(rows) }),
    ...(await checkIndexes(control, origin)),
    ...(await compareWithArchive(
      control,
      contents.filter(({ schema }) => inScope(schema)),
    )),
    ...(manifest.mastodon === null ? [] : [await checkSchemaVersion(control, manifest.mastodon.schemaVersion)]),
  ];
  const broken = checks.find(({ status }) => status === 'failed');
  if (broken !== undefined) {
    throw new AppError('restore', `What was restored is not what was dumped: ${broken.check}: ${broken.detail}`, {
      hint: 'Restore another snapshot, and look into the log of the target server.',
    });
  }
  const largeObjects = allSchemas ? [] : contents.filter(({ kind }) => largeObjectKinds.has(kind));
  const notes = [
    ...(left === 0 ? [] : [note('schemas', `${left} tables outside of public were left out; see --all-schemas`)]),
    ...(largeObjects.length === 0 ? [] : [note('large objects', 'they were left out; see --all-schemas')]),
  ];
  return [...checks, ...notes, ...origin.notes(), note('server', `PostgreSQL ${server.version}`)];
}

async function fill(work: FillWork, { database, owner, singleTransaction }: FillTarget): Promise<FillResult> {
  const { source, server, client, jobs, allSchemas, log, signal, onProgress } = work;
  const options = {
    connection: { ...work.connection, database },
    client,
    serverMajor: server.major,
    exitOnError: true,
    args: [
      ...portableArguments,
      `--role=${owner}`,
      ...(allSchemas ? [] : ['--schema=public']),
      ...(singleTransaction ? ['--single-transaction'] : []),
      ...(jobs > 1 ? [`--jobs=${jobs}`] : []),
    ],
    log,
    signal,
  };
  if (jobs === 1) return fillDatabase(source, { ...options, onProgress });
  await using archive = await writeScratchArchive(source, {
    directory: work.scratchDirectory,
    log,
    signal,
    onProgress,
  });
  const { contents }: { readonly contents: readonly ArchiveItem[] } = archive;
  const { failures } = await fillFromFile(archive.file, options);
  return { failures, contents };
}

function duplicatesHint(tier: string, id: string): string {
  return `Restore an older snapshot, or this one by hand: mastodon-backup restore ${tier}/${id} --output FILE, pg_restore without --exit-on-error, then tootctl maintenance fix-duplicates.`;
}

function failureHint(message: string | undefined): string {
  if (/no space left|disk full|could not extend/i.test(message ?? ''))
    return 'Make room on the disk of the target server, then restore again.';
  if (/^(schema|function|operator class|type|relation) ".*" does not exist/.test(message ?? ''))
    return 'It may be in a schema that was left out: restore with --all-schemas.';
  return 'Look at this object; with restore --output FILE the dump itself is at hand for pg_restore.';
}
