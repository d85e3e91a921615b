// A drill under way: shown by health, ended by its limit, and not blamed on a snapshot that was removed meanwhile. It runs beside
// backups and their retention, so the snapshot that it reads may go, and that says nothing of any backup.

import type { DrillOutcome } from '../drill/drill.ts';
import { AppError } from '../errors.ts';
import { snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { manifestKey } from '../snapshots/object-keys.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { AppContext } from './context.ts';
import { rememberFailure } from './failures.ts';
import { startTimeLimit } from './time-limit.ts';

/** What is watched; its disposer says that the drill has ended. */
export interface DrillWatch extends AsyncDisposable {
  /** Aborts with the drill's own signal, and when BACKUP_DRILL_TIMEOUT is over. */
  readonly signal: AbortSignal;
  /** What the drill found. @throws AppError `no-snapshot` when it could not be read because it was removed meanwhile. */
  judge(drill: Promise<DrillOutcome>): Promise<DrillOutcome>;
}

/** Begins to watch. Call it holding the lock `drill`. */
export async function watchDrill(
  context: AppContext,
  options: {
    readonly manifest: Manifest;
    readonly repository: Repository;
    readonly startedAt: Date;
    readonly signal: AbortSignal;
  },
): Promise<DrillWatch> {
  const { manifest, startedAt, signal } = options;
  const snapshot = snapshotName(manifest);
  const limit = startTimeLimit(context.load().settings.drillTimeoutMs, {
    what: `The drill of ${snapshot}`,
    setting: 'BACKUP_DRILL_TIMEOUT',
    hint: 'Raise BACKUP_DRILL_TIMEOUT, or look what the throw-away server waits for: a faster BACKUP_SCRATCH_DIR, more cores.',
  });
  await reportCutOffDrill(context);
  await context.state().updateAttempts(() => ({ drilling: { snapshot, since: startedAt.toISOString() } }));
  const wasRemoved = async (): Promise<boolean> => {
    const { store, prefix } = options.repository;
    const key = manifestKey(prefix, manifest);
    return store.head(key, { signal }).then(
      (found) => found === null,
      () => false,
    );
  };
  const removed = (cause: unknown): AppError =>
    new AppError('no-snapshot', `${snapshot} was removed while it was drilled, which says nothing of other backups`, {
      cause,
      hint: 'Drill the newest one: mastodon-backup drill.',
    });
  return {
    signal: AbortSignal.any([signal, limit.signal]),
    async judge(drill) {
      try {
        const outcome = await drill;
        const isUnread = outcome.checks.some(({ check, status }) => check === 'snapshot' && status === 'failed');
        if (isUnread && (await wasRemoved())) throw removed(undefined);
        return outcome;
      } catch (error) {
        const isRead = !(error instanceof AppError) || error.code === 'no-snapshot' || error.code === 'timeout';
        if (signal.aborted || isRead || !(await wasRemoved())) throw error;
        throw removed(error);
      }
    },
    async [Symbol.asyncDispose]() {
      limit[Symbol.dispose]();
      await context.state().updateAttempts(() => ({ drilling: null }));
    },
  };
}

/** Remembers that an earlier drill was cut off, when one was. Call it holding the lock `drill`. */
export async function reportCutOffDrill(context: AppContext): Promise<void> {
  const { drilling } = await context.state().readAttempts();
  if (drilling === null) return;
  context.log.warn({ drilling }, 'An earlier drill was cut off');
  const error = new AppError(
    'interrupted',
    `The drill of ${drilling.snapshot}, begun at ${drilling.since}, was cut off`,
    {
      hint: 'Look whether the container was killed or ran out of memory (dmesg).',
    },
  );
  await rememberFailure(context, { tier: 'drill', error });
  await context.state().updateAttempts(({ drillSetbacks }) => ({ drilling: null, drillSetbacks: drillSetbacks + 1 }));
}
