// Where a receiver goes on: behind what is known to be stored, and nowhere further. What it begins behind is never asked of the server
// again, and is confirmed to its slot, which lets the server forget it; so that something lies in the store under the right name is
// not enough. A pure function.

import type { WalRange } from './coverage.ts';
import { segmentStart, type Lsn } from './lsn.ts';
import type { ReceiverState } from './receiver-state.ts';

/** Where what is remembered of it ends. */
export type Remembered = Pick<ReceiverState, 'systemIdentifier' | 'timeline' | 'followsFrom' | 'storedTo'>;

/** Where a receiver begins. */
export interface Start {
  /** Everything before it is stored, from `followsFrom` on. */
  readonly storedTo: Lsn;
  /** From here on there is no hole. */
  readonly followsFrom: Lsn;
  /** Whether the server is behind what is stored of it: it was set back without a timeline of its own. */
  readonly isAhead: boolean;
}

/** Decides it. */
export function chooseStart(options: {
  /** What is stored of the timeline, without what is false at its end. */
  readonly ranges: readonly WalRange[];
  /** Whether the end of it was read and is what was stored; false: it cannot be opened here. */
  readonly isVerified: boolean;
  /** What this machine remembers of this server and timeline; null: nothing. */
  readonly remembered: Pick<Remembered, 'followsFrom' | 'storedTo'> | null;
  /** What the slot was told last, or where the timeline begins if that is later; null: there was none. */
  readonly confirmed: Lsn | null;
  readonly flushedTo: Lsn;
  readonly segmentBytes: number;
  /** How often in a row the server had forgotten where it was to go on. */
  readonly gaps: number;
}): Start {
  const { ranges, remembered, confirmed, flushedTo, segmentBytes, gaps } = options;
  const anew = (lsn: Lsn, isAhead = false): Start => {
    const storedTo = segmentStart(lsn, segmentBytes);
    return { storedTo, followsFrom: storedTo, isAhead };
  };
  // The server has all that it was not told to forget, if not for long any more.
  if (gaps > 0) return anew(gaps === 1 ? (confirmed ?? flushedTo) : flushedTo);
  const storedTo = trustedEnd(options);
  if (storedTo === null) return anew(confirmed ?? flushedTo);
  if (storedTo > flushedTo + BigInt(segmentBytes)) return anew(flushedTo, true);
  const range = ranges.find(({ from, to }) => from <= storedTo && storedTo <= to);
  if (range === undefined) return anew(storedTo);
  const hole = remembered !== null && remembered.followsFrom <= storedTo ? remembered.followsFrom : range.from;
  return { storedTo, followsFrom: hole > range.from ? hole : range.from, isAhead: false };
}

// What is remembered and what was confirmed is ours without a doubt, and may have been removed since. What is in the store is there,
// and of all but its end nobody knows more than its name.
function trustedEnd({
  ranges,
  isVerified,
  remembered,
  confirmed,
}: Pick<Parameters<typeof chooseStart>[0], 'ranges' | 'isVerified' | 'remembered' | 'confirmed'>): Lsn | null {
  const end = ranges.at(-1)?.to ?? null;
  if (end === null) return null;
  const told = remembered?.storedTo ?? null;
  const known = isVerified && told !== null && confirmed !== null ? max(told, confirmed) : (told ?? confirmed);
  if (known === null) return isVerified ? end : null;
  return known < end ? known : end;
}

function max(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b;
}
