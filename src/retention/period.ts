// The hour, day, ISO week, month or year a moment falls into, in a time zone: what "one of each of the last 24 hours" counts.

import type { Tier } from '../schedule/tier.ts';
import { wallTime } from '../text/time-zone.ts';

/** The name of the period that a tier has one of, such as `2026-11-23`, `2026-W48` or `2026-11`; equal names mean the same period. */
export function periodOf(date: Date, { tier, timeZone }: { readonly tier: Tier; readonly timeZone: string }): string {
  const wall = wallTime(date, timeZone);
  const text = wall.toISOString();
  switch (tier) {
    case 'hourly':
      // An hour that comes twice in autumn counts as one.
      return `${text.slice(0, 10)} ${text.slice(11, 13)}:00`;
    case 'daily':
      return text.slice(0, 10);
    case 'weekly':
      return isoWeek(wall);
    case 'monthly':
      return text.slice(0, 7);
    case 'yearly':
      return text.slice(0, 4);
    default:
      return tier satisfies never;
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
