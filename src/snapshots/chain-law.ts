// The deletion law's part for chains of base backups and write-ahead log: parts of a segment go when the whole segment is
// there, and nothing else does. What a store does not answer with certainty stays.

import type { Log } from '../log.ts';
import type { ObjectKey } from '../storage/store.ts';
import { parseChainKey } from './chain-keys.ts';
import { removal, type Repository } from './repository.ts';

/**
 * Removes parts of a segment, after the store has said that the whole one is there. Answers how many went.
 * Throws for a key that is no part of that very segment.
 */
export async function removeParts(
  { [removal]: store, prefix }: Repository,
  options: {
    readonly whole: ObjectKey;
    readonly parts: readonly ObjectKey[];
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const { whole, parts, log, signal } = options;
  const segment = parseChainKey(whole, { prefix });
  if (segment?.kind !== 'segment') throw new Error(`'${whole}' is no whole segment`);
  for (const key of parts) {
    const part = parseChainKey(key, { prefix });
    const isOfIt =
      part?.kind === 'part' && part.segment === segment.segment && part.systemIdentifier === segment.systemIdentifier;
    if (!isOfIt) throw new Error(`'${key}' is no part of '${whole}'`);
  }
  const found = parts.length === 0 ? null : await store.head(whole, { signal });
  if (found === null || found.bytes === 0) return 0;
  for (const key of parts) {
    log.debug({ key, store: store.description }, 'Removing a part: its whole segment is stored');
    await store.remove(key, { signal });
  }
  return parts.length;
}
