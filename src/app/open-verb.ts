// `open`: a look into a snapshot, without a restore over anything that lives. It has a lock of its own, for a person may look for
// hours, and neither a backup nor a drill waits for that.

import type { Writable } from 'node:stream';
import type { ProgressListener } from '../backup/progress.ts';
import { psqlInvocation, runStatement, type PsqlInvocation, type RowFormat } from '../database/psql.ts';
import { openSnapshot } from '../drill/opened-snapshot.ts';
import { AppError } from '../errors.ts';
import { dumpOf, snapshotName } from '../snapshots/manifest.ts';
import { formatDuration } from '../text/format.ts';
import { chooseToRestore, type SnapshotRequest } from './choosing.ts';
import type { AppContext } from './context.ts';
import { lockFor } from './locking.ts';
import { startTimeLimit } from './time-limit.ts';
import { scratchMeans, sourceOf } from './scratch-means.ts';

/** What is done with it: psql with whoever sits there, or one statement. */
export type OpenWork =
  | {
      readonly kind: 'session';
      readonly format: Exclude<RowFormat, 'json'>;
      /** The TERM of the terminal; null: it is none. */
      readonly terminal: string | null;
      /** Runs psql with our own streams and answers its exit status. */
      readonly run: (invocation: PsqlInvocation & { readonly signal: AbortSignal }) => Promise<number>;
    }
  | {
      readonly kind: 'statement';
      readonly format: RowFormat;
      readonly sql: string;
      readonly to: Writable;
    };

/** Options of `open`. */
export interface OpenRequest extends SnapshotRequest {
  readonly work: OpenWork;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
  /** Called when it is open. */
  readonly onOpen: () => void;
}

/** Opens a snapshot, lets people look into it, and throws the copy away. */
export async function open(context: AppContext, request: OpenRequest): Promise<void> {
  const { log } = context;
  const { work } = request;
  const { settings } = context.load();
  await using _lock = await lockFor(context, { name: 'open', command: 'open', signal: request.signal });
  const { repository, manifest } = await chooseToRestore(context, request);
  const dump = dumpOf(manifest);
  const snapshot = snapshotName(manifest);
  using limit = startTimeLimit(settings.drillTimeoutMs, {
    what: `Restoring ${snapshot}`,
    setting: 'BACKUP_DRILL_TIMEOUT',
    hint: 'Raise BACKUP_DRILL_TIMEOUT, or give BACKUP_SCRATCH_DIR a faster disk.',
  });
  await using opened = await openSnapshot({
    ...(await scratchMeans(context, request.signal)),
    source: sourceOf(context, { repository, manifest, given: request.identities }),
    restoreSignal: limit.signal,
    signal: request.signal,
    onProgress: (bytes) => request.onProgress({ step: 'restore', bytes, expectedBytes: dump.bytes }),
  });
  limit[Symbol.dispose]();
  request.onOpen();
  for (const text of opened.lacking) log.warn({}, `Not in this copy of ${snapshot}: ${text}`);
  const { signal } = opened;
  log.info(
    { snapshot, dataAt: manifest.dataAt, server: opened.serverMajor },
    `${snapshot} is open for reading after ${formatDuration(opened.durationMs)}; the copy goes when you leave`,
  );
  if (work.kind === 'statement') {
    await runStatement(work.sql, { ...opened, ...work, signal });
    return;
  }
  const status = await work.run({ ...psqlInvocation(opened, work), signal });
  signal.throwIfAborted();
  if (status !== 0)
    throw new AppError('usage', `psql ended with status ${status}`, {
      hint: 'Look at what it said above; nothing was changed.',
    });
}
