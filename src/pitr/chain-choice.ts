// Whose past a moment is of, where servers have followed each other: that of the server with the newest base backup that counts, by
// what its document says. The times of objects say nothing: whoever may write the store can put an old one of ours there once more,
// and in a copied bucket all of them are new.

import { AppError } from '../errors.ts';
import type { BaseDocument } from '../snapshots/base-document.ts';
import { listChains, readChain, type Chain } from '../snapshots/chain-catalogue.ts';
import { describeObjection } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';

/** The chain of a server, and of which others there is one. */
export interface ChosenChain {
  /** As far as it counts. */
  readonly chain: Chain;
  /** Those with base backups that could have been meant, the newest first. */
  readonly others: readonly OtherChain[];
}

/** A server that was not chosen. */
export interface OtherChain {
  readonly systemIdentifier: string;
  /** When its newest base backup ended. */
  readonly endedAt: Date;
}

/** What is asked for. */
export interface ChainRequest {
  /** Null: the only instance in the prefix. */
  readonly instance: string | null;
  /** Whether base backups that nobody who is trusted has signed are taken for ours. */
  readonly acceptUnsigned: boolean;
  readonly signal: AbortSignal;
}

interface Candidate {
  readonly chain: Chain;
  /** When the newest base that counts ended; null: none does. */
  readonly countsAt: Date | null;
  /** The same of those that count for nothing. */
  readonly unsignedAt: Date | null;
}

/**
 * Reads the chain of the server with the newest base backup. @throws AppError `no-snapshot` when there is none, `usage` when there are
 * several instances, `restore` when none of its bases counts.
 */
export async function chooseChain(repository: Repository, request: ChainRequest): Promise<ChosenChain> {
  const { instance, signal } = request;
  const counting = new Set<string>();
  const unsigned = new Set<string>();
  const seen: OtherChain[] = [];
  let best: Candidate | null = null;
  // One after the other, and the best alone is held: nobody knows how many there are.
  for (const systemIdentifier of await listChains(repository, { signal })) {
    const chain = await readChain(repository, { systemIdentifier, signal });
    const bases = basesThatCount(chain, request);
    const others = chain.unsigned.map(({ document }) => document);
    for (const base of bases) counting.add(base.instance);
    for (const base of others) unsigned.add(base.instance);
    const isMeant = (base: BaseDocument): boolean => instance === null || base.instance === instance;
    if (instance !== null && ![...bases, ...others].some(isMeant)) continue;
    const found = { chain, countsAt: newestOf(bases.filter(isMeant)), unsignedAt: newestOf(others.filter(isMeant)) };
    if (found.countsAt !== null) seen.push({ systemIdentifier, endedAt: found.countsAt });
    if (best === null || isNewer(found, best)) best = found;
  }
  // Who may write the store can name any instance; what counts is asked first.
  const instances = counting.size > 0 ? counting : unsigned;
  if (instance === null && instances.size > 1)
    throw new AppError(
      'usage',
      `There are base backups of several instances: ${[...instances].toSorted().join(', ')}`,
      { hint: 'Say which one with --instance NAME.' },
    );
  if (best === null)
    throw new AppError('no-snapshot', 'There is no base backup and no log in the store', {
      hint: 'Set BACKUP_PITR=on and start the daemon, or restore a snapshot: mastodon-backup list.',
    });
  const { systemIdentifier } = best.chain;
  return {
    chain: asFarAsItCounts(best.chain, request),
    others: seen
      .filter((one) => one.systemIdentifier !== systemIdentifier)
      .toSorted((a, b) => b.endedAt.getTime() - a.endedAt.getTime()),
  };
}

/** That another server has a chain too, in words; a line for each. */
export function describeOthers({ chain, others }: ChosenChain): readonly string[] {
  const [newest] = chain.bases;
  if (newest === undefined) return [];
  return others.map(
    ({ systemIdentifier, endedAt }) =>
      `base backups of another server are there too: the newest of ${systemIdentifier} ended at ${endedAt.toISOString()}; taken was ${chain.systemIdentifier}, whose newest ended at ${newest.endedAt.toISOString()}`,
  );
}

function basesThatCount(chain: Chain, { acceptUnsigned }: ChainRequest): readonly BaseDocument[] {
  return acceptUnsigned ? [...chain.bases, ...chain.unsigned.map(({ document }) => document)] : chain.bases;
}

function newestOf(bases: readonly BaseDocument[]): Date | null {
  return bases.map(({ endedAt }) => endedAt).reduce<Date | null>((a, b) => (a === null || b > a ? b : a), null);
}

// One of which something counts is before all of which nothing does.
function isNewer(a: Candidate, b: Candidate): boolean {
  if (a.countsAt !== null || b.countsAt !== null) return (a.countsAt?.getTime() ?? 0) > (b.countsAt?.getTime() ?? 0);
  return (a.unsignedAt?.getTime() ?? 0) > (b.unsignedAt?.getTime() ?? 0);
}

function asFarAsItCounts(chain: Chain, request: ChainRequest): Chain {
  const { instance, acceptUnsigned } = request;
  const [unsigned] = chain.unsigned;
  if (unsigned !== undefined && chain.bases.length === 0 && !acceptUnsigned)
    throw new AppError('restore', `The base backup ${unsigned.document.id} ${describeObjection(unsigned.objection)}`, {
      hint: `If you know that it is yours, sign it with: mastodon-backup adopt pitr/${unsigned.document.id}, or restore with --accept-unsigned.`,
    });
  const bases = basesThatCount(chain, request).filter((base) => instance === null || base.instance === instance);
  const { wal, unsignedWal, histories, unsignedHistories } = chain;
  const log = acceptUnsigned
    ? { wal: [...wal, ...unsignedWal], histories: [...histories, ...unsignedHistories] }
    : { wal, histories };
  return { ...chain, ...log, bases: bases.toSorted((a, b) => b.endedAt.getTime() - a.endedAt.getTime()) };
}
