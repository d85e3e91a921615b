// How far the log is really stored: by its newest pieces, which are read and their signatures checked. A listing says only that
// something is there by the name of a piece, with something beside it by the name of its signature, and whoever may write the store
// can put both there: log behind it would never be stored, and the end that we have would look like a hole.

import { AppError, describeError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Chain, StoredWal } from '../snapshots/chain-catalogue.ts';
import { wantsSigned } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { ObjectKey } from '../storage/store.ts';
import { stretchOf } from './coverage.ts';
import type { SegmentFrame } from './lsn.ts';
import { isOfTheStore, type ObjectProblem } from './object-problem.ts';
import type { Lineage } from './plan.ts';
import { readPiece } from './wal-staging.ts';

/** The log without what is false at its end. */
export interface TrueLog {
  /** All that was given, of every timeline, but what turned out to be false. */
  readonly wal: readonly StoredWal[];
  /** Whether the newest piece is what was stored; false also where there is none, or where it cannot be opened here. */
  readonly isVerified: boolean;
  /** Whether a piece went while it was looked at, as parts do whose segment is whole: only a new listing says what is in its place. */
  readonly isGone: boolean;
  readonly problems: readonly ObjectProblem[];
}

/** So many are read at the end of a timeline, and so many that none of our keys opens before one that is ours. */
const mostRead = 2_000;
const mostSealed = 64;
const atOnce = 4;

type TailOptions = SegmentFrame & {
  readonly repository: Repository;
  readonly identities: readonly string[];
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** Reads the newest pieces of a timeline until one is what was stored. Rejects where the store cannot be asked. */
export async function dropFalseTail(wal: readonly StoredWal[], options: TailOptions): Promise<TrueLog> {
  const { timeline, log, signal } = options;
  const newest = wal
    .filter(({ segment }) => Number.parseInt(segment.slice(0, 8), 16) === timeline)
    .map((piece) => ({ piece, end: stretchOf(piece, options.segmentBytes).to }))
    .toSorted((a, b) => Number(b.end - a.end))
    .slice(0, mostRead)
    .map(({ piece }) => piece);
  const problems: ObjectProblem[] = [];
  const sealed: ObjectProblem[] = [];
  let isVerified = false;
  let isGone = false;
  // Nearly always it is the first: only behind one that is false several are read at the same time.
  for (let at = 0; at < newest.length && !isVerified && !isGone; at += at === 0 ? 1 : atOnce) {
    if (sealed.length >= mostSealed) break;
    const batch = newest.slice(at, at === 0 ? 1 : at + atOnce);
    // Without a key nothing can be told of what is encrypted.
    if (batch.some(({ encrypted }) => encrypted && options.identities.length === 0)) break;
    for (const found of await Promise.all(batch.map(async (piece) => judge(piece, options)))) {
      if (found === null) isVerified = true;
      else if (found === 'gone') isGone = true;
      else (found.isSealed ? sealed : problems).push(found);
    }
    signal.throwIfAborted();
  }
  // Where a key of ours opens one of them, those that it does not open are somebody else's; where none does, it is the wrong key.
  if (isVerified) problems.push(...sealed);
  for (const { object, problem } of problems)
    log.warn({ key: object, problem }, 'An object at the end of the stored log counts for nothing');
  const isFalse = new Set<ObjectKey>(problems.map(({ object }) => object));
  return {
    wal: isFalse.size === 0 ? wal : wal.filter(({ key }) => !isFalse.has(key)),
    isVerified,
    isGone: isGone && !isVerified,
    problems: problems.map(({ object, problem }) => ({ object, problem })),
  };
}

/** The same of every timeline that is followed from a base, where only what is signed counts. */
export async function dropFalseTails(
  chain: Pick<Chain, 'bases' | 'wal'>,
  { lineages, ...options }: Omit<TailOptions, keyof SegmentFrame> & { readonly lineages: readonly Lineage[] },
): Promise<Pick<TrueLog, 'wal' | 'problems'>> {
  let { wal } = chain;
  const [base] = chain.bases;
  const problems: ObjectProblem[] = [];
  if (base === undefined || !wantsSigned(options.repository.signing)) return { wal, problems };
  const followed = [...lineages.flat(), ...chain.bases].map(({ timeline }) => timeline);
  for (const timeline of new Set(followed)) {
    const found = await dropFalseTail(wal, { ...options, timeline, segmentBytes: base.segmentBytes });
    wal = found.wal;
    problems.push(...found.problems);
  }
  return { wal, problems };
}

// Null: it is what was stored.
async function judge(
  piece: StoredWal,
  options: TailOptions,
): Promise<(ObjectProblem & { readonly isSealed: boolean }) | 'gone' | null> {
  try {
    await readPiece(piece, options);
    return null;
  } catch (error) {
    options.signal.throwIfAborted();
    if (isOfTheStore(error)) throw error;
    if (error instanceof AppError && error.code === 'store' && error.reason === 'not-found') return 'gone';
    return { object: piece.key, problem: describeError(error), isSealed: reasonOf(error) === 'wrong-key' };
  }
}
