// A stored snapshot on its way into an empty database, through pg_restore: as one stream, or from an archive on a disk where
// several jobs are to share the work.

import { Writable } from 'node:stream';
import type { ArchiveItem } from '../database/archive-contents.ts';
import { describeTarget } from '../database/connection.ts';
import { startRestore, type RestoreFailure, type RestoreProcess } from '../database/restore-client.ts';
import { AppError, describeError } from '../errors.ts';
import { watchIdleness } from './idle-watch.ts';
import { streamDump, type SnapshotSource, type StreamOptions, type StreamOutcome } from '../snapshots/dump-stream.ts';

/** Into which database, and how. */
export interface FillOptions extends Omit<Parameters<typeof startRestore>[0], 'file'> {
  /** How long it may stand still while the server has nothing to do for it, in milliseconds. */
  readonly stallTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** What happened inside pg_restore. */
export interface FillResult {
  /** Statements that failed. */
  readonly failures: readonly RestoreFailure[];
  /** The archive's table of contents; empty when pg_restore gave up before its end. */
  readonly contents: readonly ArchiveItem[];
}

/** What took something so recently moves, whatever it does at this moment, in milliseconds. */
const freshMs = 1_000;

/** What every restore leaves out: what belongs to a server rather than to a database. */
export const portableArguments = [
  '--no-owner',
  '--no-privileges',
  '--no-tablespaces',
  '--no-publications',
  '--no-subscriptions',
  '--no-security-labels',
] as const;

/**
 * Streams a snapshot into `connection`'s database. Resolves when pg_restore has ended, with whatever statements failed;
 * rejects with AppError `verify`, `store` or `restore` when the snapshot cannot be read, `restore` when pg_restore failed,
 * `stalled` when it stood still.
 */
export async function fillDatabase(
  source: SnapshotSource,
  options: FillOptions & Pick<StreamOptions, 'onProgress'>,
): Promise<FillResult> {
  await using restore = startRestore({ ...options, file: null });
  const input = inputOf(restore);
  await using watch = watchIdleness({ ...options, isWaitedFor: input.isWaiting });
  const signal = AbortSignal.any([options.signal, watch.signal]);
  let outcome: StreamOutcome;
  try {
    outcome = await streamDump(source, { ...options, signal, to: input.writable });
  } catch (error) {
    // What came is not the whole: pg_restore must not take it for one.
    await restore[Symbol.asyncDispose]();
    throw error;
  }
  const { exit, failures } = await endOf(restore, signal);
  if (failures.length === 0) assertDone(exit, options);
  return { failures, contents: outcome.kind === 'whole' ? outcome.contents : [] };
}

// It has all of the archive, but its last indexes may take hours.
async function endOf(restore: RestoreProcess, signal: AbortSignal): Promise<Awaited<RestoreProcess['done']>> {
  const stop = (): void => void restore[Symbol.asyncDispose]();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    const end = await restore.done;
    signal.throwIfAborted();
    return end;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

// pg_restore ends without reading what it does not need, such as the data of another schema at the archive's end; that is
// read all the same, for only the whole has a hash.
function inputOf({ input, done }: RestoreProcess): {
  readonly writable: Writable;
  /** Whether it is pg_restore's turn: it has yet to take what it was given, or has all of it. */
  readonly isWaiting: () => boolean;
} {
  if (input === null) throw new Error('pg_restore has no stdin');
  input.on('error', () => undefined);
  let isWaiting = false;
  let takenAt = 0;
  const forward = async (chunk: Buffer): Promise<void> => {
    isWaiting = true;
    const error = await new Promise<Error | null>((resolve) => {
      input.write(chunk, (problem) => resolve(problem ?? null));
    });
    isWaiting = false;
    takenAt = performance.now();
    if (error !== null && (await done).exit.code !== 0) throw error;
  };
  const writable = new Writable({
    highWaterMark: 1024 * 1024,
    write(chunk: Buffer, _encoding, callback) {
      forward(chunk).then(() => callback(), callback);
    },
    final(callback) {
      isWaiting = true;
      endInput(input, callback);
    },
    destroy(error, callback) {
      if (error !== null) input.destroy();
      callback(error);
    },
  });
  // Also while nothing comes to write.
  const noticeEnd = async (): Promise<void> => {
    if ((await done).exit.code !== 0) writable.destroy(Object.assign(new Error('pg_restore ended'), { code: 'EPIPE' }));
  };
  noticeEnd().catch(() => undefined);
  return { writable, isWaiting: () => isWaiting && performance.now() - takenAt > freshMs };
}

/**
 * Ends what a child reads, and answers once: when it has been told, and also when it was gone by then. A stream that Node has destroyed
 * because the child ended calls back for no `end`.
 */
export function endInput(input: Writable, answer: () => void): void {
  let isAnswered = false;
  const once = (): void => {
    if (isAnswered) return;
    isAnswered = true;
    answer();
  };
  input.once('close', once);
  if (input.destroyed) once();
  else input.end(once);
}

/** Fills `connection`'s database from an archive on a disk, with as many jobs as `args` say. */
export async function fillFromFile(file: string, options: FillOptions): Promise<Pick<FillResult, 'failures'>> {
  await using restore = startRestore({ ...options, file });
  await using watch = watchIdleness({ ...options, isWaitedFor: () => true });
  const signal = AbortSignal.any([options.signal, watch.signal]);
  const { exit, failures } = await endOf(restore, signal);
  if (failures.length === 0) assertDone(exit, options);
  return { failures };
}

function assertDone(
  exit: { readonly code: number | null; readonly signal: string | null; readonly stderrTail: string },
  { connection }: Pick<FillOptions, 'connection'>,
): void {
  // Status 1 without a failure: what was ignored is all that there was.
  if (exit.code === 0 || (exit.code === 1 && exit.stderrTail.endsWith('errors ignored on restore: 1'))) return;
  throw new AppError(
    'restore',
    `pg_restore into ${describeTarget(connection)} ended with ${exit.signal ?? `status ${exit.code}`}: ${describeError(exit.stderrTail)}`,
    { hint: 'Look into the log of the target server, and at its disk.' },
  );
}
