// Each tier at a glance: its newest snapshot, its deadline, its next run, and which of its last slots were answered.

import type { KeepRule } from '../config/keep-rule.ts';
import { standings } from '../health/deadlines.ts';
import { answeredUntil, withoutFuture } from '../schedule/due.ts';
import { lastSlot, nextSlot, scheduledTiers } from '../schedule/timetable.ts';
import { asTier, folders, type Folder } from '../schedule/tier.ts';
import type { FailureRecord, SnapshotRecord } from '../state/records.ts';
import type { Past } from './collection.ts';
import type { StatusFacts } from './status.ts';

/** What became of a scheduled instant; `unknown`: of a time that nobody remembers. */
export interface SlotView {
  readonly at: Date;
  readonly answer: 'made' | 'missed' | 'pending' | 'unknown';
}

/** A tier that is scheduled, or has snapshots. */
export interface TierView {
  readonly tier: Folder;
  /** Null: it has no schedule. */
  readonly pattern: string | null;
  readonly keep: KeepRule;
  readonly newest: {
    readonly name: string;
    readonly dataAt: Date;
    readonly committedAt: Date;
    readonly dumpBytes: number;
    readonly objectBytes: number;
    readonly durationMs: number;
    readonly copiedFrom: string | null;
  } | null;
  readonly deadlineAt: Date | null;
  readonly late: boolean;
  readonly nextAt: Date | null;
  readonly failure: FailureRecord | null;
  readonly count: number;
  readonly storedBytes: number;
  /** The last slots, the oldest first. */
  readonly slots: readonly SlotView[];
}

const shownSlots = 14;

/** Looks at every tier that has a schedule or a snapshot, the finest first. */
export function viewTiers(
  facts: Pick<StatusFacts, 'timetable' | 'keep' | 'graceMs' | 'timeoutMs' | 'stores' | 'attempts' | 'now'> & Past,
): readonly TierView[] {
  const { timetable, present, runs, now } = facts;
  const byTier = Map.groupBy(present, ({ tier }) => tier);
  const runsByTier = Map.groupBy(runs, ({ tier }) => tier);
  const scheduled = new Set<string>(scheduledTiers(timetable));
  // Of two destinations the worse one, as in health.
  const deadlines = new Map<string, Date>();
  for (const { snapshots } of facts.stores)
    for (const { tier, deadlineAt } of standings(timetable, { ...facts, snapshots }))
      if (deadlineAt !== null && deadlineAt < (deadlines.get(tier) ?? latest)) deadlines.set(tier, deadlineAt);
  return folders
    .filter((tier) => scheduled.has(tier) || byTier.has(tier))
    .map((tier): TierView => {
      const known = asTier(tier);
      const snapshots = byTier.get(tier) ?? [];
      // What is dated in the future answers nothing, and hides no other.
      const newest = withoutFuture(snapshots, now)[0] ?? snapshots[0];
      const deadlineAt = deadlines.get(tier) ?? null;
      return {
        tier,
        pattern: known === undefined ? null : timetable.schedules[known],
        keep: facts.keep[tier],
        newest: newest === undefined ? null : describe(newest),
        deadlineAt,
        late: deadlineAt !== null && deadlineAt <= now,
        nextAt: known === undefined ? null : nextSlot(timetable, { of: known, after: now }),
        failure: facts.attempts.failures[tier] ?? null,
        count: snapshots.length,
        storedBytes: snapshots.reduce((sum, { objectBytes }) => sum + objectBytes, 0),
        slots: slotsOf(tier, { ...facts, runs: runsByTier.get(tier) ?? [], deadlineAt }),
      };
    });
}

const latest = new Date(8.64e15);

function describe(snapshot: SnapshotRecord): NonNullable<TierView['newest']> {
  const { tier, id, dataAt, committedAt, startedAt, dumpBytes, objectBytes, copiedFrom } = snapshot;
  const durationMs = Math.max(0, committedAt.getTime() - startedAt.getTime());
  return { name: `${tier}/${id}`, dataAt, committedAt, dumpBytes, objectBytes, durationMs, copiedFrom };
}

function slotsOf(
  folder: Folder,
  {
    timetable,
    runs,
    since,
    deadlineAt,
    now,
  }: Pick<StatusFacts, 'timetable' | 'now'> & Pick<Past, 'runs' | 'since'> & { readonly deadlineAt: Date | null },
): readonly SlotView[] {
  const tier = asTier(folder);
  if (tier === undefined || timetable.schedules[tier] === null) return [];
  const answers = withoutFuture(runs, now).map(answeredUntil);
  const slots: SlotView[] = [];
  let end = Number.POSITIVE_INFINITY;
  for (let before = now; slots.length < shownSlots;) {
    const at = lastSlot(timetable, { of: tier, at: before });
    if (at === null) break;
    const isMade = answers.some((answer) => answer >= at.getTime() && answer < end);
    // The last one may still be under way.
    const isPending = end === Number.POSITIVE_INFINITY && (deadlineAt === null || deadlineAt > now);
    slots.unshift({ at, answer: isMade ? 'made' : at < since ? 'unknown' : isPending ? 'pending' : 'missed' });
    end = at.getTime();
    before = new Date(at.getTime() - 1);
  }
  return slots;
}
