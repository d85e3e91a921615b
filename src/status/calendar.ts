// A year by days: what was made and is still there, what was made and has gone since, what failed, and what was missed. A day of
// which nothing is remembered is called that, and never "missed".

import { nextSlot, scheduledTiers, type Timetable } from '../schedule/timetable.ts';
import type { PastFailure } from '../state/records.ts';
import { wallTime } from '../text/time-zone.ts';
import type { Past } from './collection.ts';
import type { StatusFacts } from './status.ts';

/**
 * What became of a day. `kept`: a snapshot of it is stored; `gone`: there was one; `failed`: it was tried in vain; `missed`: it
 * was due and not tried; `none`: nothing was due; `unknown`: nobody remembers; `today`: not over yet.
 */
export type DayOutcome = 'kept' | 'gone' | 'failed' | 'missed' | 'none' | 'unknown' | 'today';

/** A day in the zone of the plan. */
export interface CalendarDay {
  /** As `2026-11-23`. */
  readonly date: string;
  readonly outcome: DayOutcome;
  /** Snapshots of that day that are stored. */
  readonly keptCount: number;
  readonly tiers: readonly string[];
  readonly failureCount: number;
}

const dayMs = 86_400_000;
const shownDays = 365;

/** The last year and today. */
export function viewCalendar(
  facts: Pick<StatusFacts, 'timetable' | 'now'> & Past & { readonly failures: readonly PastFailure[] },
): readonly CalendarDay[] {
  const { timetable, now } = facts;
  const dayOf = dayNamer(timetable.timeZone);
  const kept = Map.groupBy(facts.present, ({ dataAt }) => dayOf(dataAt));
  const made = new Set(facts.runs.map(({ dataAt }) => dayOf(dataAt)));
  const failed = Map.groupBy(facts.failures, ({ at }) => dayOf(new Date(at)));
  const today = dayOf(now);
  const sinceDay = dayOf(facts.since);
  const due = dueDays(timetable, dayOf);
  return lastDays(today).map((date): CalendarDay => {
    const snapshots = kept.get(date) ?? [];
    const failureCount = (failed.get(date) ?? []).filter(({ tier }) => tier !== 'drill').length;
    const outcome = ((): DayOutcome => {
      if (snapshots.length > 0) return 'kept';
      if (made.has(date)) return 'gone';
      if (failureCount > 0) return 'failed';
      if (date === today) return 'today';
      // Of its own day it is not known what was before it.
      if (date <= sinceDay) return 'unknown';
      return due(date) ? 'missed' : 'none';
    })();
    const tiers = [...new Set(snapshots.map(({ tier }) => tier))];
    return { date, outcome, keptCount: snapshots.length, tiers, failureCount };
  });
}

function lastDays(today: string): readonly string[] {
  const end = Date.parse(`${today}T00:00:00Z`);
  return Array.from({ length: shownDays + 1 }, (_, index) =>
    new Date(end - (shownDays - index) * dayMs).toISOString().slice(0, 10),
  );
}

// Whether any tier had a slot on that day.
function dueDays(timetable: Timetable, dayOf: (moment: Date) => string): (date: string) => boolean {
  const tiers = scheduledTiers(timetable);
  return (date) => {
    const midnight = startOf(date, dayOf);
    return tiers.some((tier) => {
      const slot = nextSlot(timetable, { of: tier, after: new Date(midnight - 1) });
      return slot !== null && dayOf(slot) === date;
    });
  };
}

// The first quarter of an hour of a day in the zone: no zone is farther than 14 hours from UTC.
function startOf(date: string, dayOf: (moment: Date) => string): number {
  const quarterMs = 15 * 60_000;
  let moment = Date.parse(`${date}T00:00:00Z`) - 14 * 3_600_000;
  while (dayOf(new Date(moment)) < date) moment += quarterMs;
  return moment;
}

// A name is made once a day and not once a snapshot.
function dayNamer(timeZone: string): (moment: Date) => string {
  const known = new Map<number, string>();
  return (moment) => {
    const wall = wallTime(moment, timeZone);
    const day = Math.floor(wall.getTime() / dayMs);
    const found = known.get(day) ?? wall.toISOString().slice(0, 10);
    known.set(day, found);
    return found;
  };
}
