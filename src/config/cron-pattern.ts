// Five-field cron patterns through croner, whose sole importer this is. A pattern that never comes would be a backup that is
// never taken. A time that a change to summer time skips comes when the gap ends; one that comes twice is taken once.

import { Cron } from 'croner';
import { ValueError } from './problem.ts';

const remedy = "Write minute, hour, day of month, month and day of week, such as '0 12 * * *', or 'off'";

/** A five-field cron pattern with single spaces, or null for `off`. Throws `ValueError`. */
export function parseCronPattern(text: string): string | null {
  if (text === 'off') return null;
  const fields = text.trim().split(/\s+/);
  if (fields.length !== 5)
    throw new ValueError(`has ${fields.length} of the five fields of a cron pattern`, { remedy });
  const pattern = fields.join(' ');
  let next: Date | null;
  try {
    // Whether it comes is the same in every zone, and without one nothing has to be loaded about zones.
    next = new Cron(pattern, { mode: '5-part', paused: true, utcOffset: 0 }).nextRun();
  } catch {
    throw new ValueError('not a cron pattern', { remedy });
  }
  if (next === null) throw new ValueError('a cron pattern that never comes', { remedy });
  return pattern;
}

/** The first occurrence of `pattern` after `after`, in `timeZone`; null when there is none before the year 3000. */
export function nextOccurrence(
  pattern: string,
  { timeZone, after }: { readonly timeZone: string; readonly after: Date },
): Date | null {
  return scheduleOf(pattern, timeZone).stretchAt(after).next;
}

/** The last occurrence of `pattern` at or before `at`, in `timeZone`; null when there never was one. */
export function lastOccurrence(
  pattern: string,
  { timeZone, at }: { readonly timeZone: string; readonly at: Date },
): Date | null {
  return scheduleOf(pattern, timeZone).stretchAt(at).last;
}

/** Two occurrences with none in between. */
interface Stretch {
  readonly last: Date | null;
  readonly next: Date | null;
}

interface Schedule {
  stretchAt(at: Date): Stretch;
}

// There are as many as there are settings.
const read = new Map<string, Schedule>();

function scheduleOf(pattern: string, timeZone: string): Schedule {
  const name = `${timeZone} ${pattern}`;
  const known = read.get(name) ?? createSchedule(pattern, timeZone);
  read.set(name, known);
  return known;
}

// Loop and page ask for instants of the same stretch again and again, and to find its ends takes a thousand times as long as to
// see that it is the same.
function createSchedule(pattern: string, timeZone: string): Schedule {
  // The same in UTC, without loading anything about zones.
  const zone = timeZone === 'UTC' ? { utcOffset: 0 } : { timezone: timeZone };
  const cron = new Cron(pattern, { mode: '5-part', paused: true, ...zone });
  let known: Stretch | undefined;
  return {
    stretchAt(at) {
      if (known !== undefined && (known.last ?? at) <= at && (known.next === null || at < known.next)) return known;
      // croner looks strictly before its reference, in whole seconds.
      const reference = new Date(Math.floor(at.getTime() / 1_000) * 1_000 + 999);
      known = { last: cron.previousRuns(1, reference)[0] ?? null, next: cron.nextRun(at) };
      return known;
    },
  };
}
