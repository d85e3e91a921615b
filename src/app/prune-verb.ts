// `prune`: retention by hand, or shown without doing it.

import type { AppContext } from './context.ts';
import { lockFor } from './locking.ts';
import { readHoldings, rememberRemoval, snapshotsOfAll } from './holdings.ts';
import { currentSystemIdentifier, prunePlaces, pruneProblem, type PlacePrune } from './pruning.ts';
import { takeStock } from './stocktaking.ts';

/** Options of `prune`. */
export interface PruneRequest {
  readonly dryRun: boolean;
  /** Whether snapshots of earlier database servers may be judged like our own from now on. */
  readonly acceptNewServer: boolean;
  /** Whether the destinations are right as they are, whatever they were known to be and to hold. */
  readonly acceptPlace?: boolean;
  readonly signal: AbortSignal;
}

/** Applies retention to every destination. */
export async function prune(context: AppContext, request: PruneRequest): Promise<readonly PlacePrune[]> {
  const { now } = context;
  const { dryRun, signal } = request;
  await using _lock = dryRun ? null : await lockFor(context, { command: 'prune', signal });
  const holdings = dryRun
    ? await readHoldings(context, signal, { isOnlyALook: true })
    : await takeStock(context, { acceptPlace: request.acceptPlace === true, signal });
  const snapshots = snapshotsOfAll(holdings);
  const systemIdentifier = await currentSystemIdentifier(context, { snapshots, signal });
  const { acceptedServers: before } = await context.state().readAttempts();
  const found = snapshots.flatMap(({ database: { systemIdentifier: id } }) => (id === null ? [] : [id]));
  const acceptedServers = request.acceptNewServer ? [...new Set([...before, ...found])] : before;
  const results = await prunePlaces(context, {
    holdings,
    systemIdentifier,
    acceptedServers,
    occasion: 'by-hand',
    dryRun,
    signal,
  });
  if (dryRun) return results;
  const removedCount = results.reduce((sum, { removed }) => sum + removed.length, 0);
  await context.state().updateAttempts(() => ({
    acceptedServers,
    prune: { at: now().toISOString(), problem: pruneProblem(results), removedCount },
  }));
  await rememberRemoval(context, { holdings, removed: results.flatMap((one) => one.removed) });
  return results;
}
