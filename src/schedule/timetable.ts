// When each tier is to be backed up: the scheduled instants, here called slots, before and after a moment.

import { lastOccurrence, nextOccurrence } from '../config/cron-pattern.ts';
import type { Schedules } from '../config/settings.ts';
import { tiers, type Tier } from './tier.ts';

/** Cron patterns and the zone they are meant in. */
export interface Timetable {
  readonly schedules: Schedules;
  readonly timeZone: string;
}

/** What has a schedule: the tiers and the drill. */
export type Scheduled = keyof Schedules;

/** The tiers that have a schedule, from the finest to the coarsest. */
export function scheduledTiers({ schedules }: Timetable): readonly Tier[] {
  return tiers.filter((tier) => schedules[tier] !== null);
}

/** The first slot after `after`; null when the schedule is off. */
export function nextSlot(
  { schedules, timeZone }: Timetable,
  { of, after }: { readonly of: Scheduled; readonly after: Date },
): Date | null {
  const pattern = schedules[of];
  return pattern === null ? null : nextOccurrence(pattern, { timeZone, after });
}

/** The last slot at or before `at`; null when the schedule is off or has never come. */
export function lastSlot(
  { schedules, timeZone }: Timetable,
  { of, at }: { readonly of: Scheduled; readonly at: Date },
): Date | null {
  const pattern = schedules[of];
  return pattern === null ? null : lastOccurrence(pattern, { timeZone, at });
}

/** The first slot of any tier after `after`; null when every schedule is off. */
export function nextSlotOfAny(timetable: Timetable, after: Date): { readonly tier: Tier; readonly at: Date } | null {
  const slots = scheduledTiers(timetable).flatMap((tier) => {
    const at = nextSlot(timetable, { of: tier, after });
    return at === null ? [] : [{ tier, at }];
  });
  return slots.toSorted((a, b) => a.at.getTime() - b.at.getTime())[0] ?? null;
}
