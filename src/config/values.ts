// Parsers for plain values. Each takes the text as it stands in the environment and returns the value or throws a
// `ValueError` that says what to write instead.

import path from 'node:path';
import { ValueError } from './problem.ts';

/** `true false 1 0`, nothing else. Throws `ValueError`. */
export function parseBoolean(text: string): boolean {
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new ValueError('neither true nor false', { remedy: "Write 'true' or 'false'" });
}

/** A parser of whole numbers between two bounds, which throws `ValueError`. */
export function parseInteger(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= minimum && value <= maximum)) {
      throw new ValueError('not a number in range', { remedy: `Write a whole number from ${minimum} to ${maximum}` });
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

/** An absolute path, normalised, without a slash at its end. Throws `ValueError`. */
export function parseDirectory(text: string): string {
  if (!path.posix.isAbsolute(parseText(text))) {
    throw new ValueError('not an absolute path', { remedy: "Write a path that starts with '/'" });
  }
  return path.posix.normalize(text).replace(/(.)\/$/, '$1');
}

/** An absolute path that is not the root. Throws `ValueError`. */
export function parseDestinationDirectory(text: string): string {
  const directory = parseDirectory(text);
  if (directory === '/') {
    throw new ValueError('the root of the file system', { remedy: "Write a folder of its own, such as '/backups'" });
  }
  return directory;
}
