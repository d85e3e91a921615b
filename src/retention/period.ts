// The hour, day, ISO week, month or year a moment falls into, in a time zone: what "one of each of the last 24 hours" counts.

import { formatters } from '../text/time-zone.ts';

/** A length of time that retention counts in. */
export type Period = 'hour' | 'day' | 'week' | 'month' | 'year';

/** The name of the period, such as `2026-11-23`, `2026-W48` or `2026-11`; equal names mean the same period. */
export function periodOf(
  date: Date,
  { period, timeZone }: { readonly period: Period; readonly timeZone: string },
): string {
  const { year, month, day, hour } = localParts(date, timeZone);
  const pad = (value: number): string => String(value).padStart(2, '0');
  switch (period) {
    case 'hour':
      // An hour that comes twice in autumn counts as one.
      return `${year}-${pad(month)}-${pad(day)} ${pad(hour)}:00`;
    case 'day':
      return `${year}-${pad(month)}-${pad(day)}`;
    case 'week':
      return isoWeek(Date.UTC(year, month - 1, day));
    case 'month':
      return `${year}-${pad(month)}`;
    case 'year':
      return String(year);
    default:
      return period satisfies never;
  }
}

function localParts(
  date: Date,
  timeZone: string,
): { readonly year: number; readonly month: number; readonly day: number; readonly hour: number } {
  // Digits alone, in the order of this locale, which every build of Node has: to take them apart by name takes five times as long.
  const [month = 0, day = 0, year = 0, hour = 0] = formatterOf(timeZone).format(date).split(/\D+/).map(Number);
  return { year, month, day, hour };
}

const formatterOf = formatters('en-US-u-ca-gregory-nu-latn', {
  hourCycle: 'h23',
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
});

// ISO 8601: weeks begin on Monday, and belong to the year that has their Thursday.
function isoWeek(midnight: number): string {
  const dayMs = 86_400_000;
  const weekday = (new Date(midnight).getUTCDay() + 6) % 7;
  const thursday = new Date(midnight + (3 - weekday) * dayMs);
  const year = thursday.getUTCFullYear();
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * dayMs)) + 1;
  return `${year}-W${String(week).padStart(2, '0')}`;
}
