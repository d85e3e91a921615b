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
  return cronIn(pattern, timeZone).nextRun(after);
}

/** The last occurrence of `pattern` at or before `at`, in `timeZone`; null when there never was one. */
export function lastOccurrence(
  pattern: string,
  { timeZone, at }: { readonly timeZone: string; readonly at: Date },
): Date | null {
  // croner looks strictly before its reference, in whole seconds.
  const reference = new Date(Math.floor(at.getTime() / 1_000) * 1_000 + 999);
  return cronIn(pattern, timeZone).previousRuns(1, reference)[0] ?? null;
}

// A pattern is asked for many instants, and to read it takes longer than to answer. There are as many as there are settings.
const read = new Map<string, Cron>();

function cronIn(pattern: string, timeZone: string): Cron {
  const name = `${timeZone} ${pattern}`;
  const known = read.get(name) ?? createCron(pattern, timeZone);
  read.set(name, known);
  return known;
}

function createCron(pattern: string, timeZone: string): Cron {
  return new Cron(pattern, { mode: '5-part', paused: true, timezone: timeZone });
}
