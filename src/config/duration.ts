// Durations as settings have them. One that drives a timer is bounded: a time-out of a month would overflow Node's timers
// and PostgreSQL's lock_timeout (both 31 bits of milliseconds) and fire at once.

import { ValueError } from './problem.ts';

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const longestTimerMs = 24 * units.d;
const longestAgeMs = 3_660 * units.d;

/**
 * A parser of `90s 10m 2h 7d` into milliseconds. A `timer` is from 1 second to 24 days, an `age` from 0 to ten years.
 * The parser throws `ValueError`.
 */
export function parseDuration(use: 'timer' | 'age'): (text: string) => number {
  return (text) => {
    const match = /^(\d{1,9})([smhd])$/.exec(text);
    if (match === null) {
      throw new ValueError('not a duration', { remedy: "Write a number and one of s, m, h, d, such as '90s' or '2h'" });
    }
    const durationMs = Number(match[1]) * units[match[2] as keyof typeof units];
    if (use === 'timer' && durationMs === 0) {
      throw new ValueError('must be longer than nothing', { remedy: "Write a duration such as '10m'" });
    }
    if (durationMs > (use === 'timer' ? longestTimerMs : longestAgeMs)) {
      throw new ValueError('too long', { remedy: `Write at most '${use === 'timer' ? '24d' : '3660d'}'` });
    }
    return durationMs;
  };
}
