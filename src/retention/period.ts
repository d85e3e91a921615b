// The hour, day, ISO week, month or year a moment falls into, in a time zone: what "one of each of the last 24 hours" counts.

import { wallTime } from '../text/time-zone.ts';

/** A length of time that retention counts in. */
export type Period = 'hour' | 'day' | 'week' | 'month' | 'year';

/** The name of the period, such as `2026-11-23`, `2026-W48` or `2026-11`; equal names mean the same period. */
export function periodOf(
  date: Date,
  { period, timeZone }: { readonly period: Period; readonly timeZone: string },
): string {
  const wall = wallTime(date, timeZone);
  const text = wall.toISOString();
  switch (period) {
    case 'hour':
      // An hour that comes twice in autumn counts as one.
      return `${text.slice(0, 10)} ${text.slice(11, 13)}:00`;
    case 'day':
      return text.slice(0, 10);
    case 'week':
      return isoWeek(wall);
    case 'month':
      return text.slice(0, 7);
    case 'year':
      return text.slice(0, 4);
    default:
      return period satisfies never;
  }
}

// ISO 8601: weeks begin on Monday, and belong to the year that has their Thursday.
function isoWeek(wall: Date): string {
  const dayMs = 86_400_000;
  const midnight = Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth(), wall.getUTCDate());
  const weekday = (new Date(midnight).getUTCDay() + 6) % 7;
  const thursday = new Date(midnight + (3 - weekday) * dayMs);
  const year = thursday.getUTCFullYear();
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * dayMs)) + 1;
  return `${year}-W${String(week).padStart(2, '0')}`;
}
