// Retention of base backups and log: planned for every server of which there is a chain, and carried out after each look at the
// chain and by `prune`. What no moment that is wanted needs goes, of the server that is followed, and of an earlier one when a
// person has said that it is no more. It is no reason to stop anything.

import { identitiesOf } from '../config/age-keys.ts';
import { describeError } from '../errors.ts';
import { planChain, planEndedChain, type ChainPlan } from '../pitr/chain-retention.ts';
import { readLineages } from '../pitr/histories.ts';
import { listChains, readChain, type Chain } from '../snapshots/chain-catalogue.ts';
import { baseKey } from '../snapshots/chain-keys.ts';
import { removeEndedChain, removeOldChain, sweepChain } from '../snapshots/chain-law.ts';
import { maxClockSkewMs } from '../snapshots/deletion-law.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { ObjectKey } from '../storage/store.ts';
import { formatSpan } from '../text/format.ts';
import type { AppContext } from './context.ts';
import { lockFor } from './locking.ts';
import type { PruneRequest } from './prune-verb.ts';

/** What retention would do to the chain of a server, and what it did. */
export interface ChainPrune {
  readonly place: string;
  readonly systemIdentifier: string;
  readonly isFollowed: boolean;
  readonly bases: readonly {
    readonly id: string;
    readonly endedAt: Date;
    readonly bytes: number;
    readonly keep: boolean;
    readonly reason: string;
  }[];
  /** Objects of the log, and those of them that go. */
  readonly log: { readonly objects: number; readonly going: number };
  /** Bytes of all that goes. */
  readonly goingBytes: number;
  /** Objects that went. */
  readonly removed: number;
  /** Why nothing goes although something could; null: nothing holds it. */
  readonly hold: string | null;
}

interface Planned extends ChainPlan {
  readonly chain: Chain;
  readonly isFollowed: boolean;
}

interface Planning {
  readonly repository: Repository;
  readonly followed: string;
  readonly acceptedServers: readonly string[];
  readonly since: Date;
  readonly signal: AbortSignal;
}

const dayMs = 86_400_000;

/**
 * Carries it out, and answers why not all of it could be done; null: all is as it should be. The caller holds the lock `base`. Rejects
 * only with the reason of `signal`.
 */
export async function pruneChains(
  context: AppContext,
  { chain, signal }: { readonly chain: Chain; readonly signal: AbortSignal },
): Promise<string | null> {
  const { settings } = context.load();
  if (settings.retention.mode !== 'prune') return null;
  const { log } = context;
  const { systemIdentifier, orphans } = chain;
  const repository = await context.storeToRead(null);
  try {
    const clock = await readClock(context, { repository, signal });
    if (clock.problem !== null) return clock.problem;
    const { acceptedServers } = await context.state().readAttempts();
    const planning = { repository, followed: systemIdentifier, acceptedServers, since: clock.since, signal };
    const before = new Date(clock.now.getTime() - Math.max(dayMs, 2 * settings.timeoutMs));
    await sweepChain(repository, { systemIdentifier, orphans, before, log, signal });
    const own = await planFollowed(context, chain, planning);
    if (own.hold !== null) log.warn({ systemIdentifier }, `Old base backups and log stay: ${own.hold}`);
    await carryOut(context, own, planning);
    for await (const planned of planOthers(context, own, planning)) await carryOut(context, planned, planning);
    return own.hold;
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ err: error }, 'Old base backups and log could not be removed');
    return describeError(error);
  }
}

/** The same by hand, of every chain, or only shown; none: there are no chains. Rejects with AppError. */
export async function pruneChainsByHand(
  context: AppContext,
  options: Pick<PruneRequest, 'acceptNewServer' | 'dryRun' | 'signal'>,
): Promise<readonly ChainPrune[]> {
  const { dryRun, signal } = options;
  const repository = await context.storeToRead(null);
  const servers = await listChains(repository, { signal });
  if (servers.length === 0) return [];
  await using _lock = dryRun ? null : await lockFor(context, { name: 'base', command: 'prune', signal });
  const clock = await readClock(context, { repository, signal });
  const followed = (await context.state().readPitr())?.following?.systemIdentifier ?? null;
  const held = (chain: Chain, hold: string): Planned => ({
    chain,
    isFollowed: chain.systemIdentifier === followed,
    keep: chain.bases,
    remove: [],
    hold,
  });
  const why = clock.problem ?? (followed === null ? 'no log is followed from here' : null);
  if (why !== null || followed === null || !servers.includes(followed)) {
    const hold = why ?? 'nothing is stored yet of the server that is followed';
    const shown: ChainPrune[] = [];
    for (const systemIdentifier of servers) {
      const chain = await readChain(repository, { systemIdentifier, signal });
      shown.push(show(held(chain, hold), { repository, removed: 0 }));
    }
    return shown;
  }
  const others = options.acceptNewServer ? servers.filter((one) => one !== followed) : [];
  const acceptedServers = [...new Set([...(await context.state().readAttempts()).acceptedServers, ...others])];
  if (!dryRun && others.length > 0) await context.state().updateAttempts(() => ({ acceptedServers }));
  const planning = { repository, followed, acceptedServers, since: clock.since, signal };
  const chain = await readChain(repository, { systemIdentifier: followed, signal });
  const own = await planFollowed(context, chain, planning);
  const results: ChainPrune[] = [];
  const prune = async (planned: Planned): Promise<void> => {
    const removed = dryRun ? [] : await carryOut(context, planned, planning);
    results.push(show(planned, { repository, removed: removed.length }));
  };
  await prune(own);
  for await (const planned of planOthers(context, own, planning)) await prune(planned);
  return results;
}

async function readClock(
  context: AppContext,
  { repository, signal }: { readonly repository: Repository; readonly signal: AbortSignal },
): Promise<{ readonly now: Date; readonly since: Date; readonly problem: string | null }> {
  const ours = context.now();
  const now = (await repository.store.now({ signal })) ?? ours;
  const skewMs = Math.abs(now.getTime() - ours.getTime());
  return {
    now,
    since: new Date(now.getTime() - context.load().settings.pitr.keepMs),
    problem: skewMs > maxClockSkewMs ? `our clock and the store's are ${formatSpan(skewMs)} apart` : null,
  };
}

async function planFollowed(context: AppContext, chain: Chain, planning: Planning): Promise<Planned> {
  const { settings, instance } = context.load();
  const { repository, since } = planning;
  const { systemIdentifier } = chain;
  const identities = identitiesOf(settings.keys);
  const lineages = await readLineages({ ...planning, chain, identities, log: context.log });
  const place = { prefix: repository.prefix, systemIdentifier };
  return { chain, isFollowed: true, ...planChain(chain, { place, instance, since, lineages }) };
}

// Not before the chain of the new server reaches as far back as is wanted, and never without a person's word. One is held at a time.
async function* planOthers(
  context: AppContext,
  own: Planned,
  { repository, followed, acceptedServers, since, signal }: Planning,
): AsyncGenerator<Planned> {
  const { instance } = context.load();
  const reachesBack = own.hold === null && own.keep.some(({ endedAt }) => endedAt <= since);
  for (const systemIdentifier of await listChains(repository, { signal })) {
    if (systemIdentifier === followed) continue;
    const chain = await readChain(repository, { systemIdentifier, signal });
    const isAccepted = acceptedServers.includes(systemIdentifier);
    const place = { prefix: repository.prefix, systemIdentifier };
    const remove = isAccepted && reachesBack ? planEndedChain(chain, { place, instance, since }) : [];
    const owner = chain.bases.find((base) => base.instance !== instance)?.instance;
    const hold =
      owner !== undefined
        ? `it is of '${owner}'`
        : isAccepted
          ? 'the chain of the new server does not reach as far back yet as is wanted, or a moment of this one may be wanted'
          : 'it is of another server, and nobody has said that it is no more: prune --accept-new-server';
    yield {
      chain,
      isFollowed: false,
      keep: remove.length === 0 ? chain.bases : [],
      remove,
      hold: remove.length === 0 ? hold : null,
    };
  }
}

async function carryOut(
  context: AppContext,
  { chain: { systemIdentifier }, isFollowed, keep, remove }: Planned,
  { repository, followed, signal }: Planning,
): Promise<readonly ObjectKey[]> {
  const { log } = context;
  if (remove.length === 0) return [];
  return isFollowed
    ? removeOldChain(repository, { systemIdentifier, keep, remove, log, signal })
    : removeEndedChain(repository, { systemIdentifier, followed, remove, log, signal });
}

function show(
  { chain, isFollowed, keep, remove, hold }: Planned,
  { repository, removed }: { readonly repository: Repository; readonly removed: number },
): ChainPrune {
  const { systemIdentifier, wal, bases } = chain;
  const going = new Set<string>(remove);
  const gone = wal.filter(({ key }) => going.has(key));
  const place = { prefix: repository.prefix, systemIdentifier };
  const goingBases = bases.filter(({ tar }) => going.has(baseKey(place, tar.name)));
  const sum = (sizes: readonly number[]): number => sizes.reduce((all, one) => all + one, 0);
  return {
    place: repository.store.description,
    systemIdentifier,
    isFollowed,
    bases: bases.map((base) => ({
      id: base.id,
      endedAt: base.endedAt,
      bytes: base.tar.bytes,
      keep: !goingBases.includes(base),
      reason: keep.includes(base) ? 'a moment that is wanted begins with it' : 'no moment that is wanted needs it',
    })),
    log: { objects: wal.length, going: gone.length },
    goingBytes: sum([...gone.map(({ bytes }) => bytes), ...goingBases.map(({ tar }) => tar.bytes)]),
    removed,
    hold,
  };
}
