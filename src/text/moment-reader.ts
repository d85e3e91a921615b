// Moments as people write them, in the zone that they set: `2026-11-23`, `2026-11-23 13:00`, with an offset or Z where they
// mean another one. What has two meanings is not guessed.

import { writtenOffsetMs, zoneOffsetMs } from './time-zone.ts';

const form = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?\s?(Z|UTC|[+-]\d\d(?::?\d\d)?)?)?$/i;
const dayMs = 86_400_000;

/** A stretch of time that was named; a moment is one of no length. */
export interface NamedTime {
  readonly from: Date;
  /** Exclusive for a day; the same as `from` for a moment. */
  readonly to: Date;
}

/** What a text names: a day in the zone, or a moment. Undefined: it names none. */
export function readMoment(text: string, timeZone: string): NamedTime | undefined {
  const match = form.exec(text.trim());
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second = '00', zone] = match;
  const isDay = hour === undefined;
  const wall = `${year}-${month}-${day}T${hour ?? '00'}:${minute ?? '00'}:${second}.000Z`;
  const asUtc = new Date(wall);
  // 30 February is no day, and Date would make the 2nd of March of it.
  if (Number.isNaN(asUtc.getTime()) || asUtc.toISOString() !== wall) return undefined;
  if (zone !== undefined) {
    const offsetMs = writtenOffsetMs(zone);
    if (offsetMs === undefined) return undefined;
    const moment = new Date(asUtc.getTime() - offsetMs);
    return { from: moment, to: moment };
  }
  const from = fromWall(asUtc, timeZone);
  return { from, to: isDay ? fromWall(new Date(asUtc.getTime() + dayMs), timeZone) : from };
}

/** The moment at which a clock of the zone shows what `wall` shows in UTC; of two the first, and the next one in a gap. */
function fromWall(wall: Date, timeZone: string): Date {
  const candidates = [-dayMs, dayMs]
    .map((shift) => new Date(wall.getTime() - zoneOffsetMs(wall.getTime() + shift, timeZone)))
    .toSorted((a, b) => a.getTime() - b.getTime());
  const exact = candidates.find(
    (moment) => moment.getTime() + zoneOffsetMs(moment.getTime(), timeZone) === wall.getTime(),
  );
  return exact ?? candidates.at(-1) ?? wall;
}
