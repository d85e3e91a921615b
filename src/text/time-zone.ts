// Time zones, as the formatters of Intl know them: how far a zone is from UTC at a moment, and formatters that are made once.

/** A formatter for each zone, made at its first use: to make one takes as long as to use it a hundred times. */
export function formatters(
  locale: string,
  options: Intl.DateTimeFormatOptions,
): (timeZone: string) => Intl.DateTimeFormat {
  const made = new Map<string, Intl.DateTimeFormat>();
  return (timeZone) => {
    const known = made.get(timeZone) ?? new Intl.DateTimeFormat(locale, { ...options, timeZone });
    made.set(timeZone, known);
    return known;
  };
}

const wallClock = formatters('en-US-u-ca-gregory-nu-latn', {
  hourCycle: 'h23',
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
  minute: 'numeric',
  second: 'numeric',
});

const dayMs = 86_400_000;
/** So many days are remembered of a zone. */
const mostDays = 10_000;
/** By zone, its offset on a day of UTC; null where it changes within it. */
const daysByZone = new Map<string, Map<number, number | null>>();

/**
 * How far the clocks of the zone are ahead of UTC at that moment (milliseconds since 1970), in milliseconds. Asked of Intl twice a
 * day of UTC and not at every moment, which takes a hundred times as long; no zone has changed its clocks and back within a day.
 */
export function zoneOffsetMs(at: number, timeZone: string): number {
  const days = daysByZone.get(timeZone) ?? new Map<number, number | null>();
  daysByZone.set(timeZone, days);
  const day = Math.floor(at / dayMs);
  let offset = days.get(day);
  if (offset === undefined) {
    const begin = askOffset(day * dayMs, timeZone);
    offset = begin === askOffset((day + 1) * dayMs - 1, timeZone) ? begin : null;
    if (days.size >= mostDays) days.clear();
    days.set(day, offset);
  }
  return offset ?? askOffset(at, timeZone);
}

function askOffset(at: number, timeZone: string): number {
  const [month = 0, day = 0, year = 0, hour = 0, minute = 0, second = 0] = wallClock(timeZone)
    .format(at)
    .split(/\D+/)
    .map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1_000) * 1_000;
}

/** What the clocks of the zone show at that moment, as a date whose UTC parts they are. */
export function wallTime(at: Date, timeZone: string): Date {
  return new Date(at.getTime() + zoneOffsetMs(at.getTime(), timeZone));
}

/** What `Z`, `UTC`, `+01`, `+0100` or `+01:00` is ahead of UTC, in milliseconds; undefined: no clock is, or ever was, so far from it. */
export function writtenOffsetMs(zone: string): number | undefined {
  const [, sign, hours = '0', minutes = '0'] = /^([+-])(\d\d):?(\d\d)?$/.exec(zone) ?? [];
  if (Number(hours) > 15 || Number(minutes) > 59) return undefined;
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
}

/** An offset in milliseconds as it is written behind a time, such as `+01:00`. */
export function formatOffset(offsetMs: number): string {
  const minutes = Math.abs(offsetMs) / 60_000;
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${offsetMs < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`;
}
