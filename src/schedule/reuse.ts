// Whether a coarser tier can be a copy: one dump of a Sunday that is the first of a month serves three tiers.

import { withoutFuture, type PlannedSnapshot } from './due.ts';
import { tiers, type Tier } from './tier.ts';

/** A snapshot that may be copied. */
export interface ReusableSnapshot extends PlannedSnapshot {
  readonly parts: readonly { readonly kind: string; readonly encryption: 'age' | null }[];
}

/**
 * The newest snapshot of a finer tier whose data is at most `reuseWithinMs` old and which is stored as encrypted, or as
 * plain, as a new one would be; undefined when there is none and the run must dump.
 */
export function chooseSource<Snapshot extends ReusableSnapshot>(
  snapshots: readonly Snapshot[],
  options: {
    readonly tier: Tier;
    readonly now: Date;
    readonly reuseWithinMs: number;
    readonly encrypted: boolean;
  },
): Snapshot | undefined {
  const finer = new Set<string>(tiers.slice(0, tiers.indexOf(options.tier)));
  const youngest = options.now.getTime() - options.reuseWithinMs;
  if (options.reuseWithinMs === 0) return undefined;
  return withoutFuture(snapshots, options.now)
    .filter(
      ({ tier, dataAt, parts }) =>
        finer.has(tier) &&
        dataAt.getTime() >= youngest &&
        parts.every(({ kind, encryption }) => kind !== 'dump' || (encryption !== null) === options.encrypted),
    )
    .toSorted(
      (a, b) =>
        b.dataAt.getTime() - a.dataAt.getTime() || tiers.indexOf(a.tier as Tier) - tiers.indexOf(b.tier as Tier),
    )[0];
}
