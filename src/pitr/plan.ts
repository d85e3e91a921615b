// From a moment to a base and the log that leads to it, or the reason why it cannot be had: a pure function of what is stored.
// PostgreSQL itself would not say: it takes a hole for the end, and a moment before a base's end for the end of that base.

import type { BaseDocument } from '../snapshots/base-document.ts';
import type { Chain, StoredWal } from '../snapshots/chain-catalogue.ts';
import { stretchOf, tileSegment, type SegmentTiles, type WalRange } from './coverage.ts';
import { formatLsn, parseLsn, segmentName, segmentStart, type Lsn } from './lsn.ts';
import { formatMicros, type Moment } from './moment.ts';
import { timelineAt, type TimelineStretch } from './timeline.ts';

/** A way to a moment. */
export interface ReplayPlan {
  readonly base: BaseDocument;
  /** Which timeline is followed, and its ancestors. */
  readonly history: readonly TimelineStretch[];
  /** From the base's first segment on, without a hole; the last may be a beginning of one. */
  readonly segments: readonly (SegmentTiles & { readonly start: Lsn })[];
  /** Where what is stored ends without a hole. */
  readonly reaches: Lsn;
  /** Where it goes on after a hole; null: it does not. */
  readonly hole: WalRange | null;
}

/** Why there is none. */
export interface NoPlan {
  readonly kind: 'none';
  readonly reason: string;
  readonly hint: string;
}

/** A timeline that can be followed: with its ancestors. */
export type Lineage = readonly TimelineStretch[];

/** Plans. `lineages`: of every timeline of which there is a history, and that of timeline 1. */
export function planReplay(
  chain: Pick<Chain, 'bases' | 'wal' | 'damaged'>,
  { moment, lineages }: { readonly moment: Moment; readonly lineages: readonly Lineage[] },
): ({ readonly kind: 'plan' } & ReplayPlan) | NoPlan {
  const usable = chain.bases
    .map((base) => followBase(base, { wal: chain.wal, lineages }))
    .filter((plan) => plan.reaches >= parseLsn(plan.base.endLsn));
  const newest = usable.toSorted((a, b) => b.base.endedAt.getTime() - a.base.endedAt.getTime());
  const found =
    moment.kind === 'latest' ? newest[0] : newest.find(({ base }) => microsOf(base.endedAt) <= moment.micros);
  if (found !== undefined) return { kind: 'plan', ...found };
  const [oldest] = newest.slice(-1);
  if (oldest === undefined)
    return {
      kind: 'none',
      reason:
        chain.bases.length === 0
          ? 'there is no base backup to begin with'
          : 'the log behind every base backup has holes before its end',
      hint: 'Make one with: mastodon-backup pitr base. For the time before, restore a snapshot: mastodon-backup list.',
    };
  return {
    kind: 'none',
    reason: `the first moment that can be had is ${formatMicros(microsOf(oldest.base.endedAt))}, the end of the oldest base backup`,
    hint: 'Restore a snapshot from before it: mastodon-backup list.',
  };
}

/** What can be had from a base: the log behind it as far as there is no hole. */
export function followBase(
  base: BaseDocument,
  { wal, lineages }: { readonly wal: readonly StoredWal[]; readonly lineages: readonly Lineage[] },
): ReplayPlan {
  const { segmentBytes } = base;
  const startLsn = parseLsn(base.startLsn);
  const history = lineageOf(base, lineages);
  const bySegment = Map.groupBy(wal, ({ segment }) => segment);
  const first = segmentStart(startLsn, segmentBytes);
  const segments: (SegmentTiles & { start: Lsn })[] = [];
  let reaches = first;
  for (let start = first; ; start += BigInt(segmentBytes)) {
    // The last byte decides: a segment in which a timeline ends is copied to the beginning of the next one.
    const timeline = timelineAt(history, start + BigInt(segmentBytes) - 1n);
    const segment = segmentName(start, { timeline, segmentBytes });
    const tiles = tileSegment(bySegment.get(segment) ?? [], { segment, segmentBytes });
    if (tiles.bytes > 0) segments.push({ ...tiles, start });
    reaches = start + BigInt(tiles.bytes);
    if (tiles.bytes < segmentBytes) break;
  }
  return { base, history, segments, reaches, hole: holeAfter(reaches, { base, history, wal }) };
}

// The newest timeline on which the base is.
function lineageOf(base: BaseDocument, lineages: readonly Lineage[]): Lineage {
  const end = parseLsn(base.endLsn);
  const fitting = lineages.filter((lineage) =>
    lineage.some((stretch) => stretch.timeline === base.timeline && (stretch.end === null || end <= stretch.end)),
  );
  const newest = fitting.toSorted((a, b) => (b.at(-1)?.timeline ?? 0) - (a.at(-1)?.timeline ?? 0))[0];
  return newest ?? [{ timeline: base.timeline, end: null }];
}

function holeAfter(
  reaches: Lsn,
  {
    base,
    history,
    wal,
  }: { readonly base: BaseDocument; readonly history: Lineage; readonly wal: readonly StoredWal[] },
): ReplayPlan['hole'] {
  const own = new Set(history.map(({ timeline }) => timeline));
  let next: Lsn | null = null;
  for (const piece of wal) {
    const { timeline, from: at } = stretchOf(piece, base.segmentBytes);
    if (!own.has(timeline) || timelineAt(history, at) !== timeline) continue;
    if (at > reaches && (next === null || at < next)) next = at;
  }
  return next === null ? null : { from: reaches, to: next };
}

/** A hole in words. */
export function describeHole({ from, to }: WalRange): string {
  return `the log from ${formatLsn(from)} to ${formatLsn(to)} is missing in the store`;
}

function microsOf(at: Date): bigint {
  return BigInt(at.getTime()) * 1000n;
}
