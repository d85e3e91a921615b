// Names of files and locks that stand for something longer, such as a path: the same from each process, and short enough for a socket.

import { createHash } from 'node:crypto';

/** The first `digits` hexadecimal digits of a text's SHA-256. */
export function shortHash(text: string, digits: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits);
}
