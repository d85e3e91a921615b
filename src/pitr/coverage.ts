// How the stored pieces of the log lie together: which bytes are there without a hole, and of what to put a segment together.
// A hole that is not seen here is a restore that ends there, and says nothing.

import type { StoredWal } from '../snapshots/chain-catalogue.ts';
import { parseSegmentName, type Lsn, type SegmentFrame } from './lsn.ts';

/** A stretch of the log without a hole. */
export interface WalRange {
  readonly from: Lsn;
  /** Not included. */
  readonly to: Lsn;
}

/** Where a piece is in the log, by its name. */
export function stretchOf(piece: StoredWal, segmentBytes: number): WalRange & { readonly timeline: number } {
  const { timeline, start } = parseSegmentName(piece.segment, { segmentBytes });
  const { from, to } = piece.kind === 'part' ? piece : { from: 0, to: segmentBytes };
  return { timeline, from: start + BigInt(from), to: start + BigInt(to) };
}

/** The stored stretches of one timeline, in their order. */
export function coverage(wal: readonly StoredWal[], { timeline, segmentBytes }: SegmentFrame): readonly WalRange[] {
  const pieces = wal
    .filter((piece) => isWithin(piece, segmentBytes))
    .map((piece) => stretchOf(piece, segmentBytes))
    .filter((one) => one.timeline === timeline)
    .toSorted((a, b) => Number(a.from - b.from));
  const ranges: WalRange[] = [];
  for (const { from, to } of pieces) {
    const last = ranges.at(-1);
    if (last === undefined || from > last.to) ranges.push({ from, to });
    else if (to > last.to) ranges[ranges.length - 1] = { from: last.from, to };
  }
  return ranges;
}

// A name can say anything; no part of ours goes beyond its segment.
function isWithin(piece: StoredWal, segmentBytes: number): boolean {
  return piece.kind !== 'part' || piece.to <= segmentBytes;
}

/** Whether all of a stretch is there. */
export function isCovered(ranges: readonly WalRange[], { from, to }: WalRange): boolean {
  return ranges.some((range) => range.from <= from && range.to >= to);
}

/** What a segment is put together of. */
export interface SegmentTiles {
  readonly segment: string;
  /** In their order; a whole segment alone, where there is one. Overlaps are allowed, holes are not. */
  readonly tiles: readonly StoredWal[];
  /** How many of its first bytes these are. */
  readonly bytes: number;
  /** All that is stored of it, for whoever finds that a tile is not what was stored. */
  readonly pieces: readonly StoredWal[];
}

/** The pieces of which a segment's beginning can be put together; no tiles: there is nothing of its beginning. */
export function tileSegment(
  pieces: readonly StoredWal[],
  { segment, segmentBytes }: { readonly segment: string; readonly segmentBytes: number },
): SegmentTiles {
  const own = pieces.filter((piece) => piece.segment === segment && isWithin(piece, segmentBytes));
  const whole = own.find(({ kind }) => kind === 'segment');
  if (whole !== undefined) return { segment, tiles: [whole], bytes: segmentBytes, pieces: own };
  // Each is looked at once: nobody knows how many parts of a segment somebody has put there.
  const parts = own.filter((piece) => piece.kind === 'part').toSorted((a, b) => a.from - b.from);
  const tiles: StoredWal[] = [];
  let bytes = 0;
  let next: (typeof parts)[number] | undefined;
  for (let at = 0; ;) {
    for (; at < parts.length && (parts[at]?.from ?? 0) <= bytes; at += 1) {
      const part = parts[at];
      if (part !== undefined && part.to > (next?.to ?? bytes)) next = part;
    }
    if (next === undefined || next.to <= bytes) return { segment, tiles, bytes, pieces: own };
    tiles.push(next);
    bytes = next.to;
  }
}
