// Five-field cron patterns, checked with croner, the only file that knows that package.

import { Cron } from 'croner';
import { ValueError } from './problem.ts';

/** A five-field cron pattern, or null for `off`. Throws `ValueError`. */
export function parseCronPattern(text: string): string | null {
  if (text === 'off') return null;
  const remedy = "Write minute, hour, day of month, month and day of week, such as '0 12 * * *', or 'off'";
  if (text.split(/\s+/).length !== 5) throw new ValueError('not a cron pattern of five fields', remedy);
  let next: Date | null;
  try {
    next = new Cron(text, { mode: '5-part', paused: true, timezone: 'UTC' }).nextRun();
  } catch {
    throw new ValueError('not a cron pattern', remedy);
  }
  if (next === null) throw new ValueError('a cron pattern that never comes', remedy);
  return text;
}
