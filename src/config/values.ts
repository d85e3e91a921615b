// Parsers for plain values. Each takes the text as it stands in the environment and returns the value or throws a
// `ValueError` that says what to write instead.

import { isIP } from 'node:net';
import path from 'node:path';
import { ValueError } from './problem.ts';

/** `true false 1 0`, nothing else. Throws `ValueError`. */
export function parseBoolean(text: string): boolean {
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new ValueError('neither true nor false', { remedy: "Write 'true' or 'false'" });
}

/** A parser of whole numbers between two bounds, which throws `ValueError`. */
export function parseInteger(
  minimum: number,
  maximum: number,
  remedy = `Write a whole number from ${minimum} to ${maximum}`,
): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= minimum && value <= maximum)) {
      throw new ValueError('not a number in range', { remedy });
    }
    return value;
  };
}

/** A parser of one of a list of words, which throws `ValueError`. */
export function parseWord<const Word extends string>(...words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((one) => one === text);
    if (word === undefined) throw new ValueError('not a known value', { remedy: `Write one of: ${words.join(', ')}` });
    return word;
  };
}

/** Any text on one line. Throws `ValueError`. */
export function parseText(text: string): string {
  if (hasControlCharacter(text)) {
    throw new ValueError('holds a line break or another control character', { remedy: 'Write it on one line' });
  }
  return text;
}

/** Whether a text holds a character below space, or DEL. */
export function hasControlCharacter(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

/** The name of an image, as a compose file has it. Throws `ValueError`. */
export function parseImage(text: string): string {
  if (!/^[\w.:/@-]{1,300}$/.test(text))
    throw new ValueError('not the name of an image', {
      remedy: 'Write it as in the compose file, such as ghcr.io/mastodon/mastodon:v4.5.0',
    });
  return text;
}

/** An IP address. Throws `ValueError`. */
export function parseAddress(text: string): string {
  if (isIP(text) === 0) {
    throw new ValueError('not an IP address', { remedy: "Write one such as '127.0.0.1', or '::1'" });
  }
  return text;
}

/** An absolute path, normalised, without a slash at its end. Throws `ValueError`. */
export function parseDirectory(text: string): string {
  if (!path.posix.isAbsolute(parseText(text))) {
    throw new ValueError('not an absolute path', { remedy: "Write a path that starts with '/'" });
  }
  return path.posix.normalize(text).replace(/(.)\/$/, '$1');
}

/** The absolute path of a file. Throws `ValueError`. */
export function parseFile(text: string): string {
  if (!path.posix.isAbsolute(parseText(text)) || text.endsWith('/')) {
    throw new ValueError('not the absolute path of a file', { remedy: "Write a path that starts with '/'" });
  }
  return path.posix.normalize(text);
}

/** Absolute paths, separated by commas or line breaks. Throws `ValueError`. */
export function parsePaths(text: string): readonly string[] {
  const paths = text
    .split(/[,\n]/)
    .map((one) => one.trim())
    .filter((one) => one !== '');
  return [...new Set(paths.map(parseDirectory))];
}

/** An absolute path that is not the root. Throws `ValueError`. */
export function parseDestinationDirectory(text: string): string {
  const directory = parseDirectory(text);
  if (directory === '/') {
    throw new ValueError('the root of the file system', { remedy: "Write a folder of its own, such as '/backups'" });
  }
  return directory;
}

// One that drives a timer is bounded: a time-out of a month would overflow Node's timers and PostgreSQL's lock_timeout (both
// 31 bits of milliseconds) and fire at once.
const durationUnits = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
// A manifest is no older than two days when it is written: a run that may take longer could never be committed.
const longestDurations = {
  timer: { ms: 24 * durationUnits.d, text: '24d' },
  age: { ms: 3_660 * durationUnits.d, text: '3660d' },
  run: { ms: 47 * durationUnits.h, text: '47h' },
} as const;

/**
 * A parser of `90s 10m 2h 7d` into milliseconds. A `timer` is from 1 second to 24 days, that of a `run` to 47
 * hours, an `age` from 0 to ten years.
 * The parser throws `ValueError`.
 */
export function parseDuration(use: 'timer' | 'age' | 'run'): (text: string) => number {
  const isTimer = use !== 'age';
  const longest = longestDurations[use];
  return (text) => {
    const match = /^(\d{1,9})([smhd])$/.exec(text);
    if (match === null) {
      throw new ValueError('not a duration', { remedy: "Write a number and one of s, m, h, d, such as '90s' or '2h'" });
    }
    const durationMs = Number(match[1]) * durationUnits[match[2] as keyof typeof durationUnits];
    if (isTimer && durationMs === 0) {
      throw new ValueError('must be longer than nothing', { remedy: "Write a duration such as '10m'" });
    }
    if (durationMs > longest.ms) throw new ValueError('too long', { remedy: `Write at most '${longest.text}'` });
    return durationMs;
  };
}

// The unit must be written and is binary: `64M` means three different things to three programs.
const sizeUnits = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;
const largestBytes = 1024 * sizeUnits.TiB;

/** `64MiB 2GiB` → bytes, from 1 MiB to 1024 TiB. Throws `ValueError`. */
export function parseSize(text: string): number {
  const match = /^(\d{1,15})(B|KiB|MiB|GiB|TiB)$/.exec(text);
  if (match === null) {
    throw new ValueError('not a size', {
      remedy: "Write a whole number and one of KiB, MiB, GiB, TiB, such as '512MiB'",
    });
  }
  const bytes = Number(match[1]) * sizeUnits[match[2] as keyof typeof sizeUnits];
  if (bytes < sizeUnits.MiB || bytes > largestBytes) {
    throw new ValueError('out of range', { remedy: "Write a size from '1MiB' to '1024TiB'" });
  }
  return bytes;
}

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
