// Five-field cron patterns, checked with croner; no other file imports that package for it. A pattern that never comes
// would be a backup that is never taken.

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
    next = new Cron(pattern, { mode: '5-part', paused: true, timezone: 'UTC' }).nextRun();
  } catch {
    throw new ValueError('not a cron pattern', { remedy });
  }
  if (next === null) throw new ValueError('a cron pattern that never comes', { remedy });
  return pattern;
}
