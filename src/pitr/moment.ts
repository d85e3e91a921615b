// The moment that somebody wants back, as they write it. In the hour that comes twice, and in the one that never comes, it says
// nothing certain, and a guess would bring back what they wanted to be rid of.

import { AppError } from '../errors.ts';
import { formatOffset, writtenOffsetMs, zoneOffsetMs } from '../text/time-zone.ts';

/** Where replaying is to stop. */
export type Moment =
  /** After the last transaction that ended at or before it; microseconds since 1970. */
  | { readonly kind: 'at'; readonly micros: bigint }
  /** Everything that is stored. */
  | { readonly kind: 'latest' };

const form =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,6}))?)?)?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?$/i;
const hint =
  "Write it as '2026-11-25 14:31:07', in BACKUP_TIMEZONE, or with an offset as '2026-11-25T14:31:07+01:00'; or write latest.";

/** Reads it. @throws AppError `usage`. */
export function parseMoment(text: string, { timeZone }: { readonly timeZone: string }): Moment {
  const trimmed = text.trim();
  if (trimmed === 'latest') return { kind: 'latest' };
  const match = form.exec(trimmed);
  if (match === null) throw new AppError('usage', `'${text}' is no moment`, { hint });
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone] = match;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const asUtc = Date.parse(iso);
  const offsetMs = zone === undefined ? null : writtenOffsetMs(zone);
  if (Number.isNaN(asUtc) || new Date(asUtc).toISOString() !== iso || offsetMs === undefined)
    throw new AppError('usage', `'${text}' is no moment that there is`, { hint });
  const micros = BigInt(fraction.padEnd(6, '0'));
  const found = offsetMs === null ? localInstants(asUtc, timeZone) : [asUtc - offsetMs];
  const [first, second_] = found;
  if (first === undefined)
    throw new AppError('usage', `'${text}' does not exist in ${timeZone}: the clock went from before it to after it`, {
      hint,
    });
  if (second_ !== undefined)
    throw new AppError('usage', `'${text}' comes twice in ${timeZone}`, {
      hint: `Say which one with an offset: ${found.map((at) => `'${trimmed}${formatOffset(asUtc - at)}'`).join(' or ')}.`,
    });
  return { kind: 'at', micros: BigInt(first) * 1000n + micros };
}

/** A moment for PostgreSQL: UTC, to the microsecond. People are shown it by `withLocalTimes`. */
export function formatMicros(micros: bigint): string {
  const ms = micros / 1000n;
  const iso = new Date(Number(ms)).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 23)}${(micros % 1000n).toString().padStart(3, '0')}+00`;
}

// Every instant whose clock on the wall is that one.
function localInstants(asUtc: number, timeZone: string): readonly number[] {
  const halfHourMs = 30 * 60_000;
  const offsets = new Set<number>();
  for (let at = asUtc - 16 * 3_600_000; at <= asUtc + 16 * 3_600_000; at += halfHourMs)
    offsets.add(zoneOffsetMs(at, timeZone));
  return [...offsets]
    .map((offset) => asUtc - offset)
    .filter((at) => at + zoneOffsetMs(at, timeZone) === asUtc)
    .toSorted((a, b) => a - b);
}
