// When a tier must have its next backup: the next scheduled time after the last one, the grace, and twice what the last one
// took. A pure function, the same in the daemon, the healthcheck and the metrics.

import { answeredUntil, beginningOf, withoutFuture } from '../schedule/due.ts';
import { nextSlot, scheduledTiers, type Timetable } from '../schedule/timetable.ts';
import type { Tier } from '../schedule/tier.ts';
import type { SnapshotRecord } from '../state/records.ts';

/** How a tier stands in one store. */
export interface TierStanding {
  readonly tier: Tier;
  /** When its newest snapshot was committed; null: there is none. */
  readonly lastSuccessAt: Date | null;
  /** When the next must be there; null: the schedule never comes again. */
  readonly deadlineAt: Date | null;
  readonly late: boolean;
}

/** How every scheduled tier stands; empty when there is no snapshot at all to count from. */
export function standings(
  timetable: Timetable,
  options: {
    readonly snapshots: readonly SnapshotRecord[];
    readonly graceMs: number;
    /** BACKUP_TIMEOUT: no run took longer, whatever its manifest says. */
    readonly timeoutMs: number;
    readonly now: Date;
  },
): readonly TierStanding[] {
  const past = withoutFuture(options.snapshots, options.now);
  if (past.length === 0) return [];
  // A slot at the very beginning counts, and `nextSlot` looks strictly after.
  const beginning = beginningOf(past) - 1;
  return scheduledTiers(timetable).map((tier): TierStanding => {
    const newest = past.filter((snapshot) => snapshot.tier === tier).toSorted(byCommit)[0];
    const after = new Date(newest === undefined ? beginning : answeredUntil(newest));
    const next = nextSlot(timetable, { of: tier, after });
    const saidMs = newest === undefined ? 0 : newest.committedAt.getTime() - newest.startedAt.getTime();
    const tookMs = Math.min(Math.max(0, saidMs), options.timeoutMs);
    const deadlineAt = next === null ? null : new Date(next.getTime() + options.graceMs + 2 * tookMs);
    return {
      tier,
      lastSuccessAt: newest?.committedAt ?? null,
      deadlineAt,
      late: deadlineAt !== null && deadlineAt <= options.now,
    };
  });
}

function byCommit(a: SnapshotRecord, b: SnapshotRecord): number {
  return answeredUntil(b) - answeredUntil(a);
}
