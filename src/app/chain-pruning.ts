// Retention of base backups and log, carried out after each look at the chain: what no moment that is wanted needs goes, of the
// server that is followed, and of an earlier one when a person has said that it is no more. It is no reason to stop anything.

import { describeError } from '../errors.ts';
import { planChain, planEndedChain } from '../pitr/chain-retention.ts';
import { readLineages } from '../pitr/replay.ts';
import { listChains, readChain, type Chain } from '../snapshots/chain-catalogue.ts';
import { removeEndedChain, removeOldChain, sweepChain } from '../snapshots/chain-law.ts';
import { maxClockSkewMs } from '../snapshots/deletion-law.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { ObjectKey } from '../storage/store.ts';
import { formatSpan } from '../text/format.ts';
import { identitiesOf } from '../config/age-keys.ts';
import type { AppContext } from './context.ts';

/** What came of it. */
export interface ChainPruning {
  readonly removed: readonly ObjectKey[];
  /** Why not all of it could be done; null: all is as it should be. */
  readonly problem: string | null;
}

const dayMs = 86_400_000;

/** Carries it out. The caller holds the lock `base`. Rejects only with the reason of `signal`. */
export async function pruneChains(
  context: AppContext,
  { chain, signal }: { readonly chain: Chain; readonly signal: AbortSignal },
): Promise<ChainPruning> {
  const { settings } = context.load();
  if (settings.retention.mode !== 'prune') return { removed: [], problem: null };
  const repository = await context.storeToRead(null);
  try {
    const now = context.now();
    const storeNow = (await repository.store.now({ signal })) ?? now;
    const skewMs = Math.abs(storeNow.getTime() - now.getTime());
    if (skewMs > maxClockSkewMs)
      return { removed: [], problem: `our clock and the store's are ${formatSpan(skewMs)} apart` };
    return await prune(context, { repository, chain, now: storeNow, signal });
  } catch (error) {
    signal.throwIfAborted();
    context.log.warn({ err: error }, 'Old base backups and log could not be removed');
    return { removed: [], problem: describeError(error) };
  }
}

async function prune(
  context: AppContext,
  {
    repository,
    chain,
    now,
    signal,
  }: {
    readonly repository: Repository;
    readonly chain: Chain;
    readonly now: Date;
    readonly signal: AbortSignal;
  },
): Promise<ChainPruning> {
  const { settings, instance } = context.load();
  const { log } = context;
  const { systemIdentifier } = chain;
  const { prefix } = repository;
  const since = new Date(now.getTime() - settings.pitr.keepMs);
  const before = new Date(now.getTime() - Math.max(dayMs, 2 * settings.timeoutMs));
  const identities = identitiesOf(settings.keys);
  const lineages = await readLineages({ chain, repository, identities, signal });
  const swept = await sweepChain(repository, { systemIdentifier, orphans: chain.orphans, before, log, signal });
  const plan = planChain(chain, { place: { prefix, systemIdentifier }, instance, since, lineages });
  if (plan.hold !== null) log.warn({ systemIdentifier }, `Old base backups and log stay: ${plan.hold}`);
  const { keep, remove, hold } = plan;
  const removed =
    remove.length === 0 ? [] : await removeOldChain(repository, { systemIdentifier, keep, remove, log, signal });
  const reachesBack = hold === null && keep.some(({ endedAt }) => endedAt <= since);
  const ended = reachesBack ? await pruneEnded(context, { repository, systemIdentifier, since, signal }) : [];
  return { removed: [...swept, ...removed, ...ended], problem: hold };
}

// Not before the chain of the new server reaches as far back as is wanted, and never without a person's word.
async function pruneEnded(
  context: AppContext,
  {
    repository,
    systemIdentifier: followed,
    since,
    signal,
  }: {
    readonly repository: Repository;
    readonly systemIdentifier: string;
    readonly since: Date;
    readonly signal: AbortSignal;
  },
): Promise<readonly ObjectKey[]> {
  const { instance } = context.load();
  const { log } = context;
  const { prefix } = repository;
  const { acceptedServers } = await context.state().readAttempts();
  const removed: ObjectKey[] = [];
  for (const systemIdentifier of await listChains(repository, { signal })) {
    if (systemIdentifier === followed || !acceptedServers.includes(systemIdentifier)) continue;
    const chain = await readChain(repository, { systemIdentifier, signal });
    const remove = planEndedChain(chain, { place: { prefix, systemIdentifier }, instance, since });
    removed.push(...(await removeEndedChain(repository, { systemIdentifier, followed, remove, log, signal })));
  }
  return removed;
}
