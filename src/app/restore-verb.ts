// `restore`: a snapshot becomes a database, a plain archive, or the env file that belongs to it. What a snapshot's secrets say
// about this environment is looked at first: a database without its keys is only partly one.

import { DatabaseError } from 'pg';
import type { ProgressListener } from '../backup/progress.ts';
import { identitiesOf } from '../config/age-keys.ts';
import { besideWords, readBeside } from '../snapshots/beside.ts';
import { unpackExtra } from '../snapshots/extra-part.ts';
import type { BesideKind } from '../snapshots/object-keys.ts';
import type { StoredPart } from '../snapshots/part-reader.ts';
import type { ConnectionSettings } from '../database/connection.ts';
import { decryptDocument } from '../codec/age.ts';
import { AppError, describeError, type ErrorCode } from '../errors.ts';
import { dumpOf, partOf, snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { mastodonRole } from '../mastodon/mastodon-role.ts';
import { compareFingerprints, describeConsequences } from '../mastodon/secret-fingerprints.ts';
import { writeArchive, writeSecrets, type FileOutput } from '../restore/archive-file.ts';
import { writeExtraFiles } from '../restore/extra-files.ts';
import type { SnapshotSource } from '../snapshots/dump-stream.ts';
import { nextSteps } from '../restore/next-steps.ts';
import { restoreDatabase, type RestoreOptions, type RestoreOutcome } from '../restore/restore.ts';
import { assertUsableName } from '../restore/target.ts';
import { chooseToRestore, type ChosenSnapshot, type SnapshotRequest } from './choosing.ts';
import type { AppContext } from './context.ts';
import { lockFor } from './locking.ts';
import { sourceOf } from './scratch-means.ts';
import { scratchOwnerOf, tidyRestores } from './scratch.ts';

/** What all three have in common. */
export interface RestoreSource extends SnapshotRequest {
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** Options of `restore --to-database`. */
export interface RestoreRequest
  extends
    RestoreSource,
    Pick<
      RestoreOptions,
      'replace' | 'jobs' | 'sequencesAhead' | 'schemas' | 'withoutExtensions' | 'locale' | 'onCreated'
    > {
  readonly database: string;
  /** Who is to own it; null: the role that Mastodon uses. */
  readonly owner: string | null;
  readonly createRole: boolean;
  readonly ignoreSecrets: boolean;
  /** Whether to wait while a run holds the lock. */
  readonly wait: boolean;
  /** Another server than the one that Mastodon's settings name. */
  readonly server?: ConnectionSettings;
}

/** Options of `restore --output`, `--secrets-output` and `--extra-output`, for which a file is a directory. */
export interface FileRequest extends RestoreSource {
  readonly output: FileOutput;
}

/** What `restore --to-database` did. */
export interface RestoreReport extends RestoreOutcome {
  readonly snapshot: string;
  readonly dataAt: string;
  readonly place: string;
  readonly nextSteps: readonly string[];
}

/** What was written. */
export interface FileReport {
  readonly snapshot: string;
  readonly place: string;
  readonly bytes: number;
}

/** What was written of the extra files. */
export interface ExtraReport extends FileReport {
  /** Their names, without a slash before them. */
  readonly files: readonly string[];
}

/** Restores into a database. */
export async function restore(context: AppContext, request: RestoreRequest): Promise<RestoreReport> {
  const { signal, database } = request;
  assertUsableName(database, { source: null });
  await using _lock = await lockFor(context, { command: 'restore', wait: request.wait, signal });
  await tidyRestores(context);
  return await asRestoreFailure(signal, async () =>
    restoreFrom(context, { source: await openSnapshot(context, request), request }),
  );
}

/** Restores a snapshot that was chosen. The caller holds the lock. */
export async function restoreFrom(
  context: AppContext,
  { source, request }: { readonly source: ChosenSource; readonly request: RestoreRequest },
): Promise<RestoreReport> {
  const { log, now } = context;
  const { settings, target } = context.load();
  const { database, signal } = request;
  const { manifest, repository } = source;
  const { store } = repository;
  const snapshot = snapshotName(manifest);
  if (!request.ignoreSecrets) assertSecrets(context, manifest);
  log.info({ snapshot, store: store.description, database }, 'Restore started');
  const outcome = await restoreDatabase({
    ...request,
    source,
    connection: request.server ?? target,
    owner: { named: request.owner, create: request.createRole, ...ownerHere(context) },
    name: database,
    clients: await context.findClients(signal),
    scratchDirectory: settings.scratchDirectory,
    scratchOwner: scratchOwnerOf(context),
    stallTimeoutMs: settings.stallTimeoutMs,
    remains: context.remains,
    now,
    log,
    onProgress: (bytes) => request.onProgress({ step: 'restore', bytes, expectedBytes: dumpOf(manifest).bytes }),
  });
  log.info({ snapshot, database, durationMs: outcome.durationMs }, 'Restore done');
  return {
    ...outcome,
    checks: [...outcome.checks, ...source.notes],
    snapshot,
    dataAt: manifest.dataAt.toISOString(),
    place: store.description,
    nextSteps: nextSteps({
      manifest,
      database,
      configured: target.database,
      movedAside: outcome.movedAside,
      isAhead: request.sequencesAhead !== undefined,
    }),
  };
}

// With a connection of its own for backups, Mastodon's variables still say who Mastodon is.
function ownerHere(context: AppContext): { readonly mastodon: string | null; readonly password: string } {
  const { environment } = context;
  const { role, password } = mastodonRole(environment);
  const isOther = environment.status('BACKUP_DATABASE_URL') === 'set';
  return { mastodon: isOther ? role : null, password: password ?? context.load().target.password };
}

/** Writes a snapshot's dump as pg_dump made it. */
export async function restoreFile(context: AppContext, request: FileRequest): Promise<FileReport> {
  const { output, signal } = request;
  return asRestoreFailure(signal, async () => {
    const source = await openSnapshot(context, request);
    const { manifest, repository } = source;
    const { store } = repository;
    const { bytes } = dumpOf(manifest).content;
    await writeArchive(source, {
      output,
      log: context.log,
      signal,
      onProgress: (read) => request.onProgress({ step: 'restore', bytes: read, expectedBytes: dumpOf(manifest).bytes }),
    });
    return { snapshot: snapshotName(manifest), place: store.description, bytes };
  });
}

/** Writes the settings that travelled with a snapshot as an env file. */
export async function restoreSecrets(context: AppContext, request: FileRequest): Promise<FileReport> {
  return asRestoreFailure(request.signal, async () => {
    const { plain, ...found } = await openPart(context, { kind: 'secrets', request });
    await writeSecrets(request.output, plain);
    return { ...found, bytes: plain.length };
  });
}

/** Writes the extra files that travelled with a snapshot into a directory, or their tar to a stream. */
export async function restoreExtra(context: AppContext, request: FileRequest): Promise<ExtraReport> {
  const { output, signal } = request;
  return asRestoreFailure(signal, async () => {
    const { plain, stored, ...found } = await openPart(context, { kind: 'extra', request });
    const files = unpackExtra(stored, plain);
    if (typeof output === 'string') await writeExtraFiles(output, { files, signal });
    else await writeSecrets(output, plain);
    const bytes = files.reduce((sum, { content }) => sum + content.length, 0);
    return { ...found, bytes, files: files.map(({ name }) => name) };
  });
}

const lookElsewhere = {
  secrets:
    'Look for another snapshot with them, or for a copy of .env.production; set BACKUP_AGE_RECIPIENTS for the future.',
  extra: 'Look for another snapshot with them; set BACKUP_EXTRA_FILES and BACKUP_AGE_RECIPIENTS for the future.',
} as const satisfies Record<BesideKind, string>;

async function openPart(
  context: AppContext,
  { kind, request }: { readonly kind: BesideKind; readonly request: FileRequest },
): Promise<Omit<FileReport, 'bytes'> & { readonly plain: Buffer; readonly stored: StoredPart }> {
  const { signal } = request;
  const { repository, manifest } = await chooseToRestore(context, request);
  const identities = [...request.identities, ...identitiesOf(context.load().settings.keys)];
  const snapshot = snapshotName(manifest);
  const words = besideWords[kind];
  const part = partOf(manifest, kind);
  if (part === undefined)
    throw new AppError('restore', `${words} did not travel with ${snapshot}`, { hint: lookElsewhere[kind] });
  if (identities.length === 0) throw needsIdentity(manifest);
  const stored = { repository, manifest, part };
  const content = await readBeside(stored, { signal, log: context.log, patience: context.readPatience });
  try {
    const plain = await decryptDocument(content, identities);
    return { snapshot, place: repository.store.description, plain, stored };
  } catch (error) {
    throw new AppError('restore', `${words} of ${snapshot} cannot be opened: ${describeError(error)}`, {
      cause: error,
      hint: 'Name the file with the private key of one of its recipients with --identity.',
    });
  }
}

/** A snapshot to restore, and what is to be said of its choice. */
export type ChosenSource = SnapshotSource & Pick<ChosenSnapshot, 'notes'>;

async function openSnapshot(context: AppContext, request: RestoreSource): Promise<ChosenSource> {
  const { repository, manifest, notes } = await chooseToRestore(context, request);
  const source = sourceOf(context, { repository, manifest, given: request.identities });
  if (source.identities?.length === 0) throw needsIdentity(manifest);
  return { ...source, notes };
}

function needsIdentity(manifest: Manifest): AppError {
  return new AppError('restore', `${snapshotName(manifest)} is encrypted, and no private key is at hand`, {
    hint: 'Name the file with the private key with --identity, or set BACKUP_AGE_IDENTITY_FILE.',
  });
}

function assertSecrets(context: AppContext, manifest: Manifest): void {
  const comparison = compareFingerprints(manifest, context.environment);
  const wrong = [...(comparison?.changed ?? []), ...(comparison?.missing ?? [])];
  if (comparison === null || wrong.length === 0) return;
  const { changed, missing } = comparison;
  const what = [
    ...(changed.length === 0 ? [] : [`${changed.join(', ')} differ here from what the backup was made with`]),
    ...(missing.length === 0 ? [] : [`${missing.join(', ')} are not set here`]),
  ].join('; ');
  throw new AppError('restore', `${what}: ${describeConsequences(wrong)}`, {
    hint: `Put the right ones into .env.production, or use --ignore-secrets; the snapshot has them: mastodon-backup restore ${snapshotName(manifest)} --secrets-output FILE`,
  });
}

/** A restore that did not come about has failed as a restore, whatever it was that failed. */
const asRestore: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['database', 'store', 'verify', 'codec']);

/** Does the work of a restore; what it fails of is a failed restore. */
export async function asRestoreFailure<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const reason: unknown = signal.reason;
    // What an interruption leaves behind is said with it.
    const saysMore =
      error instanceof AppError && reason instanceof AppError && error.cause === reason && error.code === reason.code;
    if (!saysMore) signal.throwIfAborted();
    // What the target lacks, although its pg_restore said that all went well, is found out by asking for it.
    if (error instanceof DatabaseError)
      throw new AppError('restore', `The target server refused what the restore asked of it: ${describeError(error)}`, {
        cause: error,
        hint: 'Look at the log of the target server, then restore again.',
      });
    if (!(error instanceof AppError) || !asRestore.has(error.code)) throw error;
    throw new AppError('restore', error.message, { cause: error, hint: error.hint });
  }
}
