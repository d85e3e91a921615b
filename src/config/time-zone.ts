// Time zones by name, as the runtime knows them. A wrong one would take every backup at another hour without saying so.

import { ValueError } from './problem.ts';

/** A time zone's name, such as `Europe/Berlin`. Throws `ValueError`. */
export function parseTimeZone(text: string): string {
  if (!isTimeZone(text)) {
    throw new ValueError('not a time zone', { remedy: "Write a name such as 'Europe/Berlin', or 'UTC'" });
  }
  return text;
}

/** The zone that POSIX's `TZ` names, which may be written `:Europe/Berlin` or as a zoneinfo file; undefined if it names none. */
export function timeZoneOfTz(text: string): string | undefined {
  const name = text
    .trim()
    .replace(/^:/, '')
    .replace(/^\/usr\/share\/zoneinfo\/(?:posix\/)?/, '');
  return isTimeZone(name) ? name : undefined;
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
