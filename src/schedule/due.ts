// What is due: a pure function of the timetable, of what the stores hold and of now. Nothing is remembered, so neither a
// restart nor a lost state directory adds a run or loses one.

import { lastSlot, scheduledTiers, type Timetable } from './timetable.ts';
import type { Tier } from './tier.ts';

/** A committed snapshot, as far as planning looks at it. */
export interface PlannedSnapshot {
  readonly tier: string;
  readonly dataAt: Date;
  readonly slot: Date | null;
  readonly committedAt: Date;
}

/** A run that should have begun by now. */
export interface DueRun {
  readonly tier: Tier;
  /** The scheduled instant it answers; null for the very first backup, which waits for none. */
  readonly slot: Date | null;
}

/** Snapshots dated further ahead than this were made under a wrong clock and answer nothing. */
export const futureToleranceMs = 5 * 60_000;

/** Orders snapshots by the moment of their data, newest first. */
export function newestFirst(a: PlannedSnapshot, b: PlannedSnapshot): number {
  return b.dataAt.getTime() - a.dataAt.getTime() || b.committedAt.getTime() - a.committedAt.getTime();
}

/** Snapshots that are not from the future, as a clock that ran ahead leaves them behind. */
export function withoutFuture<Snapshot extends PlannedSnapshot>(
  snapshots: readonly Snapshot[],
  now: Date,
): readonly Snapshot[] {
  const limit = now.getTime() + futureToleranceMs;
  return snapshots.filter(({ committedAt, dataAt }) => committedAt.getTime() <= limit && dataAt.getTime() <= limit);
}

/**
 * The tiers whose last slot has no answer, the finest first: each at most once, however many slots were missed.
 * A tier without any snapshot counts from the oldest snapshot of the others: what was due before the first backup was
 * ever made has not been missed. With no snapshot at all a `daily` is due at once.
 */
export function findDue(
  timetable: Timetable,
  { snapshots, now }: { readonly snapshots: readonly PlannedSnapshot[]; readonly now: Date },
): readonly DueRun[] {
  const past = withoutFuture(snapshots, now);
  if (past.length === 0) return [{ tier: 'daily', slot: null }];
  const beginning = beginningOf(past);
  return scheduledTiers(timetable).flatMap((tier) => {
    const slot = lastSlot(timetable, { of: tier, at: now });
    if (slot === null || slot.getTime() < beginning) return [];
    return isAnswered(slot, { tier, snapshots: past }) ? [] : [{ tier, slot }];
  });
}

/**
 * The moment from which slots count, in milliseconds since 1970: the oldest slot that a snapshot answers, or the moment of
 * its data when it answers none. Not its commit: where retention keeps one snapshot of a finer tier, the oldest is always
 * the one that was made last, and a coarser tier's slot that came while it ran would be lost every time.
 */
export function beginningOf(snapshots: readonly PlannedSnapshot[]): number {
  return Math.min(...snapshots.map(({ slot, dataAt }) => (slot ?? dataAt).getTime()));
}

/** Whether a snapshot of the tier answers the slot: its own slot or its commit is at or after it. */
export function isAnswered(
  slot: Date,
  { tier, snapshots }: { readonly tier: string; readonly snapshots: readonly PlannedSnapshot[] },
): boolean {
  return snapshots.some((snapshot) => snapshot.tier === tier && answeredUntil(snapshot) >= slot.getTime());
}

/** The moment up to which a snapshot answers slots, in milliseconds since 1970. */
export function answeredUntil({ slot, committedAt }: PlannedSnapshot): number {
  return Math.max(slot?.getTime() ?? Number.NEGATIVE_INFINITY, committedAt.getTime());
}
