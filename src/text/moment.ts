// Moments for people: in the zone that they set, named, so that no hour of a night has to be reckoned from UTC; and how long
// ago something was, in one word.

import { formatOffset, formatters, zoneOffsetMs } from './time-zone.ts';

/** A moment to the minute, as `2026-11-23 12:00 UTC`. */
export function formatUtcMinute(moment: Date | string): string {
  return formatMinute(moment, 'UTC');
}

/** A moment to the minute in a zone, as `2026-11-23 13:00 CET`. */
export function formatMinute(moment: Date | string, timeZone: string): string {
  const { day, time, zone } = parts(moment, timeZone);
  return `${day} ${time} ${zone}`;
}

/** The day of the week in a zone, as `Mon`. */
export function formatWeekday(moment: Date | string, timeZone: string): string {
  return weekdayOf(timeZone).format(new Date(moment));
}

/** A moment to the second in a zone, as `2026-11-23 13:00:07 CET`. */
export function formatSecond(moment: Date | string, timeZone: string): string {
  const { day, time, zone } = parts(moment, timeZone);
  return `${day} ${time}:${new Date(moment).toISOString().slice(17, 19)} ${zone}`;
}

/** The first whole second that is not before the moment. */
export function wholeSecondAfter(moment: Date | string): Date {
  return new Date(Math.ceil(new Date(moment).getTime() / 1_000) * 1_000);
}

/** A moment to the minute in a zone, without its name, for a table whose head names it: `2026-11-23 13:00`. */
export function formatMinuteBare(moment: Date | string, timeZone: string): string {
  const { day, time } = parts(moment, timeZone);
  return `${day} ${time}`;
}

/** A moment to the minute in a zone, without zone and year, for a table that has them elsewhere: `23 Nov 13:00`. */
export function formatDayAndTime(moment: Date | string, timeZone: string): string {
  const { day, time } = parts(moment, timeZone);
  return `${day.slice(8)} ${months[Number(day.slice(5, 7)) - 1]} ${time}`;
}

/** What a zone is called at that moment, such as `CET`. */
export function zoneName(moment: Date, timeZone: string): string {
  return parts(moment, timeZone).zone;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

/** A text with each instant in it (ISO 8601 in UTC) as a moment in the zone, and each exact moment as `withLocalMicros` has it. */
export function withLocalTimes(text: string, timeZone: string): string {
  return withLocalMicros(text, timeZone).replaceAll(
    /\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z/g,
    (instant, second: string) => (isReal(second) ? formatMinute(instant, timeZone) : instant),
  );
}

/** A text with each moment to the microsecond in it, as PostgreSQL is told them in UTC, in the zone with its offset: what may be typed back. */
export function withLocalMicros(text: string, timeZone: string): string {
  return text.replaceAll(/\b(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d{6})\+00\b(?!:)/g, (moment, day, time, micros) => {
    if (!isReal(`${day}T${time}`)) return moment;
    const at = Date.parse(`${day}T${time}Z`);
    const offsetMs = zoneOffsetMs(at, timeZone);
    const wall = new Date(at + offsetMs).toISOString();
    return `${wall.slice(0, 10)} ${wall.slice(11, 19)}${micros}${formatOffset(offsetMs)}`;
  });
}

// What a person typed may have the form of a moment and be none, such as the 30th of February.
function isReal(second: string): boolean {
  const at = new Date(`${second}Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(second);
}

/** A moment in the zone, and in UTC where that is another one, such as `2026-11-23 13:00 CET (12:00 UTC)`. */
export function formatMoment(moment: Date | string, timeZone: string): string {
  const local = formatMinute(moment, timeZone);
  const utc = formatUtcMinute(moment);
  if (local === utc) return utc;
  return `${local} (${utc.startsWith(local.slice(0, 10)) ? utc.slice(11) : utc})`;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** Each up to twice the next: `90 min ago` says more than `1 h ago`. */
const steps = [
  { unitMs: minuteMs, below: 2 * hourMs, words: ['min', 'min'] },
  { unitMs: hourMs, below: 2 * dayMs, words: ['h', 'h'] },
  { unitMs: dayMs, below: 15 * dayMs, words: ['day', 'days'] },
  { unitMs: 7 * dayMs, below: 61 * dayMs, words: ['week', 'weeks'] },
  { unitMs: 30.44 * dayMs, below: 730 * dayMs, words: ['month', 'months'] },
  { unitMs: 365.25 * dayMs, below: Number.POSITIVE_INFINITY, words: ['year', 'years'] },
] as const;

/** How long ago something was: `just now`, `5 min ago`, `3 h ago`, `2 days ago`; what has not come yet is `in the future`. */
export function formatAge(moment: Date | string, now: Date): string {
  const ageMs = now.getTime() - new Date(moment).getTime();
  if (ageMs < -minuteMs) return 'in the future';
  if (ageMs < minuteMs) return 'just now';
  const { unitMs, words } = steps.find(({ below }) => ageMs < below) ?? steps[5];
  const count = Math.floor(ageMs / unitMs);
  return `${count} ${count === 1 ? words[0] : words[1]} ago`;
}

interface Parts {
  readonly day: string;
  readonly time: string;
  readonly zone: string;
}

function parts(moment: Date | string, timeZone: string): Parts {
  const utc = timeZone === 'UTC' ? new Date(moment).toISOString() : '';
  // The years of four digits: nothing has to be loaded about zones, nor asked ten thousand times.
  if (utc.length === 24) return { day: utc.slice(0, 10), time: utc.slice(11, 16), zone: 'UTC' };
  const found = formatterOf(timeZone).formatToParts(new Date(moment));
  const part = (type: Intl.DateTimeFormatPartTypes): string => found.find((one) => one.type === type)?.value ?? '';
  return {
    day: `${part('year')}-${part('month')}-${part('day')}`,
    time: `${part('hour')}:${part('minute')}`,
    zone: part('timeZoneName'),
  };
}

const weekdayOf = formatters('en-GB', { weekday: 'short' });
const formatterOf = formatters('en-GB', {
  hourCycle: 'h23',
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  timeZoneName: 'short',
});
