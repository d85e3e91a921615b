// Moments as people write them, in the zone that they set: `2026-11-23`, `2026-11-23 13:00`, with an offset or Z where they
// mean another one. What has two meanings is not guessed.

const form = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?\s?(Z|UTC|[+-]\d\d:?\d\d)?)?$/i;
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
    const moment = new Date(asUtc.getTime() - offsetOf(zone));
    return { from: moment, to: moment };
  }
  const from = fromWall(asUtc, timeZone);
  return { from, to: isDay ? fromWall(new Date(asUtc.getTime() + dayMs), timeZone) : from };
}

function offsetOf(zone: string): number {
  const match = /^([+-])(\d\d):?(\d\d)$/.exec(zone);
  if (match === null) return 0;
  const minutes = Number(match[2]) * 60 + Number(match[3]);
  return (match[1] === '-' ? -1 : 1) * minutes * 60_000;
}

/** The moment at which a clock of the zone shows what `wall` shows in UTC; of two the first, and the next one in a gap. */
function fromWall(wall: Date, timeZone: string): Date {
  const candidates = [-dayMs, dayMs]
    .map((shift) => new Date(wall.getTime() - zoneOffset(new Date(wall.getTime() + shift), timeZone)))
    .toSorted((a, b) => a.getTime() - b.getTime());
  const exact = candidates.find((moment) => moment.getTime() + zoneOffset(moment, timeZone) === wall.getTime());
  return exact ?? candidates.at(-1) ?? wall;
}

function zoneOffset(moment: Date, timeZone: string): number {
  const found = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  }).formatToParts(moment);
  const part = (type: Intl.DateTimeFormatPartTypes): number => Number(found.find((one) => one.type === type)?.value);
  const wall = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'));
  return wall - Math.floor(moment.getTime() / 1_000) * 1_000;
}
