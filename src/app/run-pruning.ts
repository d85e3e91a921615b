// Retention as the end of a run: within the run's own limit, and no reason to call a good backup a failed one.

import type { BackupResult } from '../backup/backup.ts';
import { describeError } from '../errors.ts';
import { snapshotName } from '../snapshots/manifest.ts';
import type { AppContext } from './context.ts';
import { readHoldings, rememberRemoval, type Holding } from './holdings.ts';
import { prunePlaces, pruneProblem } from './pruning.ts';

/**
 * Applies retention after a run; answers how many snapshots it removed, null when it was not asked to or did not end in time. The
 * backup is there, however long that takes: what is cut off is told by health, and goes on after the next run.
 */
export async function pruneInTime(
  context: AppContext,
  {
    result,
    holdings,
    signal,
    limited,
  }: {
    readonly result: BackupResult;
    /** What there was before the run. */
    readonly holdings: readonly Holding[];
    readonly signal: AbortSignal;
    /** Aborts with `signal`, and when BACKUP_TIMEOUT is over. */
    readonly limited: AbortSignal;
  },
): Promise<number | null> {
  try {
    return await pruneAfter(context, { result, signal: limited });
  } catch (error) {
    if (signal.aborted || !limited.aborted) throw error;
    const problem = describeError(error);
    context.log.warn({ err: error }, 'Retention was cut off');
    const at = context.now().toISOString();
    await context.state().updateAttempts(() => ({ prune: { at, problem, removedCount: 0 } }));
    await rememberRemoval(context, { holdings: holdings.map((one) => withNew(one, result)), removed: [] });
    return null;
  }
}

// A health that knew nothing of the backup would call it late.
function withNew(holding: Holding, { outcomes }: BackupResult): Holding {
  const made = outcomes.flatMap((outcome) =>
    outcome.kind === 'stored' && outcome.destination.repository === holding.repository ? [outcome.manifest] : [],
  );
  return { ...holding, snapshots: [...made, ...holding.snapshots] };
}

// Only where the run has stored something: a destination that fails keeps everything it has.
async function pruneAfter(
  context: AppContext,
  { result, signal }: { readonly result: BackupResult; readonly signal: AbortSignal },
): Promise<number | null> {
  const { settings } = context.load();
  const holdings = await readHoldings(context, signal);
  if (settings.retention.mode !== 'prune') return null;
  const manifests = result.outcomes.flatMap((outcome) => (outcome.kind === 'stored' ? [outcome] : []));
  const { acceptedServers } = await context.state().readAttempts();
  const results = await prunePlaces(context, {
    holdings: holdings.filter(({ repository }) =>
      manifests.some(({ destination }) => destination.repository === repository),
    ),
    systemIdentifier: manifests[0]?.manifest.database.systemIdentifier ?? null,
    acceptedServers,
    occasion: 'automatic',
    aheadMs: result.aheadMs,
    made: new Set(manifests.map(({ manifest }) => snapshotName(manifest))),
    dryRun: false,
    signal,
  });
  const removedCount = results.reduce((sum, { removed }) => sum + removed.length, 0);
  const prune = { at: context.now().toISOString(), problem: pruneProblem(results), removedCount };
  await context.state().updateAttempts(() => ({ prune }));
  const removed = results.flatMap((one) => one.removed);
  if (removed.length > 0) await rememberRemoval(context, { holdings, removed });
  return removedCount;
}
