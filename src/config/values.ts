// Parsers for the values of settings. Each takes the text as it stands in the environment and returns the value or throws
// a `ValueError` that says what to write instead.

import { isIP } from 'node:net';
import path from 'node:path';
import { Encrypter, Decrypter } from 'age-encryption';
import { ValueError } from './problem.ts';

const durationUnits = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const sizeUnits = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;

/** `90s 10m 2h 7d` → milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})([smhd])$/.exec(text);
  if (match === null)
    throw new ValueError('not a duration', "Write a number and one of s, m, h, d, such as '90s' or '2h'");
  return Number(match[1]) * durationUnits[match[2] as keyof typeof durationUnits];
}

/** A duration above zero, in milliseconds. */
export function parsePositiveDuration(text: string): number {
  const duration = parseDuration(text);
  if (duration === 0) throw new ValueError('must be longer than nothing', "Write a duration such as '10m'");
  return duration;
}

/** `64MiB 2GiB` → bytes. */
export function parseSize(text: string): number {
  const match = /^(\d{1,9})(B|KiB|MiB|GiB|TiB)$/.exec(text);
  if (match === null || Number(match[1]) === 0) {
    throw new ValueError('not a size', "Write a number and one of KiB, MiB, GiB, TiB, such as '512MiB'");
  }
  return Number(match[1]) * sizeUnits[match[2] as keyof typeof sizeUnits];
}

/** `true false 1 0`. */
export function parseBoolean(text: string): boolean {
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new ValueError('not a yes or no', "Write 'true' or 'false'");
}

/** A whole number between two bounds. */
export function parseInteger(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= minimum && value <= maximum)) {
      throw new ValueError('not a number in range', `Write a whole number from ${minimum} to ${maximum}`);
    }
    return value;
  };
}

/** One of a list of words. */
export function parseWord<const Word extends string>(...words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((one) => one === text);
    if (word === undefined) throw new ValueError('not a known value', `Write one of: ${words.join(', ')}`);
    return word;
  };
}

/** Any text without control characters. */
export function parseText(text: string): string {
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001F\u007F]/.test(text)) throw new ValueError('holds a control character', 'Write it on one line');
  return text;
}

/** An absolute path. */
export function parseDirectory(text: string): string {
  if (!path.isAbsolute(parseText(text)))
    throw new ValueError('not an absolute path', "Write a path that starts with '/'");
  return path.normalize(text).replace(/(.)\/$/, '$1');
}

/** An http or https URL. */
export function parseWebUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new ValueError('not a web address', "Write a URL that starts with 'https://'");
  }
  return url;
}

/** An S3 endpoint: scheme, host and port, nothing else. */
export function parseEndpoint(text: string): URL {
  const url = parseWebUrl(text);
  const extra = url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '';
  if (extra) {
    throw new ValueError(
      'an endpoint has no path, query or user',
      `Write 'https://host' alone and the bucket in BACKUP_S3_BUCKET`,
    );
  }
  return url;
}

/** Whether a URL stays on this machine or a private network by its name alone. */
export function isNearby(url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return !host.includes('.') || isIP(host) !== 0 || host.endsWith('.local') || host.endsWith('.internal');
}

/** A bucket's name by S3's general rules. */
export function parseBucket(text: string): string {
  if (!/^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/i.test(text)) {
    throw new ValueError('not a bucket name', 'Write the name of the bucket alone, without s3:// and without a path');
  }
  return text;
}

/** A folder in the bucket: no leading slash, one trailing slash; empty for none. */
export function parsePrefix(text: string): string {
  const parts = parseText(text)
    .split('/')
    .filter((part) => part !== '');
  if (parts.some((part) => part === '.' || part === '..')) {
    throw new ValueError("holds '.' or '..'", "Write a folder such as 'social.example'");
  }
  return parts.map((part) => `${part}/`).join('');
}

/** A Cloudflare account id. */
export function parseAccountId(text: string): string {
  if (!/^[0-9a-f]{32}$/.test(text)) {
    throw new ValueError(
      'not a Cloudflare account id',
      'Write the 32 hexadecimal digits from the R2 page of the dashboard',
    );
  }
  return text;
}

/** A time zone the runtime knows. */
export function parseTimeZone(text: string): string {
  const name = text.replace(/^:/, '');
  try {
    // Makes sure of it: an unknown name throws RangeError.
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone === '' ? 'UTC' : name;
  } catch {
    throw new ValueError('not a time zone', "Write a name such as 'Europe/Berlin' or 'UTC'");
  }
}

/** age public keys, separated by commas or white space. */
export function parseAgeRecipients(text: string): readonly string[] {
  const recipients = [...new Set(text.split(/[\s,]+/).filter((one) => one !== ''))];
  if (recipients.some((one) => /^AGE-SECRET-KEY-/i.test(one))) {
    throw new ValueError(
      'holds a private key',
      "Write the public key, which starts with 'age1' (age-keygen -y prints it)",
    );
  }
  for (const recipient of recipients) {
    try {
      new Encrypter().addRecipient(recipient);
    } catch {
      throw new ValueError(
        `'${recipient}' is not an age public key`,
        "Write keys that start with 'age1', as age-keygen prints them",
      );
    }
  }
  const postQuantum = recipients.filter((one) => one.startsWith('age1pq1')).length;
  if (postQuantum !== 0 && postQuantum !== recipients.length) {
    throw new ValueError('mixes post-quantum and classic keys, which age refuses', 'Write keys of one kind');
  }
  return recipients;
}

/** age private keys: the content of an identity file, comments included. */
export function parseAgeIdentity(text: string): readonly string[] {
  const identities = text
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  for (const identity of identities) {
    try {
      new Decrypter().addIdentity(identity);
    } catch {
      throw new ValueError(
        'not an age private key',
        "Write the line that starts with 'AGE-SECRET-KEY-', or name its file in BACKUP_AGE_IDENTITY_FILE",
      );
    }
  }
  if (identities.length === 0)
    throw new ValueError('holds no key', "Write the line that starts with 'AGE-SECRET-KEY-'");
  return identities;
}

/** What a tier keeps: everything, an age before its newest snapshot, or a number of periods. */
export type KeepRule =
  | { readonly kind: 'all' }
  | { readonly kind: 'periods'; readonly count: number }
  | { readonly kind: 'age'; readonly amount: number; readonly unit: 'd' | 'w' | 'mo' | 'y' };

/** `7d 6w 6mo 2y`, a number of periods, or `all`. */
export function parseKeepRule(text: string): KeepRule {
  if (text === 'all') return { kind: 'all' };
  const match = /^([1-9]\d{0,4})(d|w|mo|y)?$/.exec(text);
  if (match === null) {
    throw new ValueError(
      'not a retention',
      "Write an age such as '7d', '6w', '6mo' or '2y', a number of periods such as '24', or 'all'",
    );
  }
  const amount = Number(match[1]);
  const unit = match[2] as 'd' | 'w' | 'mo' | 'y' | undefined;
  return unit === undefined ? { kind: 'periods', count: amount } : { kind: 'age', amount, unit };
}
