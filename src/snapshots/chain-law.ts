// The deletion law's part for chains of base backups and write-ahead log. Parts of a segment go when the whole segment is
// there; a base goes only with everything older, never the newest one, and never log that a base which stays needs. What a
// store does not answer with certainty stays.

import type { Log } from '../log.ts';
import type { ObjectKey, RemovableStore } from '../storage/store.ts';
import type { BaseDocument } from './base-document.ts';
import { baseDocumentKey, chainPrefix, parseChainKey, type ChainKey } from './chain-keys.ts';
import { startOfId } from './object-keys.ts';
import { signatureKey, wantsSigned } from './origin.ts';
import { removal, type Repository } from './repository.ts';

/**
 * Removes parts of a segment, after the store has said that the whole one is there. Answers how many went.
 * Throws for a key that is no part of that very segment.
 */
export async function removeParts(
  { [removal]: store, prefix, signing }: Repository,
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
    if (wantsSigned(signing)) await store.remove(signatureKey(key), { signal });
  }
  return parts.length;
}

/**
 * Removes bases and log that no kept base needs, all of one server: documents first, so that a crash in between leaves no
 * document without its tar, and log last. Answers what went. Throws, removing nothing, when `keep` is empty or a key that is
 * named belongs to what stays.
 */
export async function removeOldChain(
  { [removal]: store, prefix }: Repository,
  options: {
    readonly systemIdentifier: string;
    readonly keep: readonly Pick<BaseDocument, 'id' | 'startSegment'>[];
    readonly remove: readonly ObjectKey[];
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<readonly ObjectKey[]> {
  const { systemIdentifier, keep, log, signal } = options;
  if (keep.length === 0) throw new Error('Nothing is removed from a chain of which no base stays');
  const oldest = keep.map(({ startSegment }) => positionOf(startSegment)).toSorted()[0] ?? '';
  const kept = new Set(keep.map(({ id }) => id));
  const doomed = options.remove.map((key): ChainKey => {
    const parsed = parseChainKey(key, { prefix });
    if (parsed?.systemIdentifier !== systemIdentifier) throw new Error(`'${key}' is not of this chain`);
    switch (parsed.kind) {
      case 'base':
      case 'base-document':
      case 'base-signature':
        if (kept.has(parsed.id)) throw new Error(`'${key}' is of a base that stays`);
        break;
      case 'wal-signature':
        if (parsed.segment === null) throw new Error(`'${key}' is of the history of a timeline, which stays`);
        if (positionOf(parsed.segment) >= oldest) throw new Error(`'${key}' is of what a base that stays needs`);
        break;
      case 'segment':
      case 'part':
        if (positionOf(parsed.segment) >= oldest) throw new Error(`'${key}' is needed by a base that stays`);
        break;
      case 'history':
        throw new Error(`'${key}' is the history of a timeline, which stays`);
      default:
        parsed satisfies never;
    }
    return parsed;
  });
  return removeInOrder(doomed, { store, log, signal });
}

/**
 * Removes the whole chain of a server that is no more. Throws, removing nothing, when a key is not of that server, or it is the one
 * that is followed.
 */
export async function removeEndedChain(
  { [removal]: store, prefix }: Repository,
  options: {
    readonly systemIdentifier: string;
    readonly followed: string;
    readonly remove: readonly ObjectKey[];
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<readonly ObjectKey[]> {
  const { systemIdentifier, followed, log, signal } = options;
  if (systemIdentifier === followed) throw new Error('The chain of the server that is followed does not end');
  const doomed = options.remove.map((key): ChainKey => {
    const parsed = parseChainKey(key, { prefix });
    if (parsed?.systemIdentifier !== systemIdentifier) throw new Error(`'${key}' is not of this chain`);
    return parsed;
  });
  return removeInOrder(doomed, { store, log, signal });
}

const rank = {
  'base-document': 0,
  'base-signature': 1,
  base: 2,
  part: 3,
  segment: 3,
  'wal-signature': 4,
  history: 5,
} as const;

async function removeInOrder(
  doomed: readonly ChainKey[],
  { store, log, signal }: { readonly store: RemovableStore; readonly log: Log; readonly signal: AbortSignal },
): Promise<readonly ObjectKey[]> {
  const removed: ObjectKey[] = [];
  for (const { key } of doomed.toSorted((a, b) => rank[a.kind] - rank[b.kind] || (a.key < b.key ? -1 : 1))) {
    await store.remove(key, { signal });
    removed.push(key);
  }
  if (removed.length > 0)
    log.info({ objects: removed.length, store: store.description }, 'Removed what no base backup needs any more');
  return removed;
}

// Where a segment is in the log, whatever its timeline: the last 16 digits of its name.
function positionOf(segment: string): string {
  return segment.slice(8);
}

/**
 * Removes what interrupted base backups of a server left behind: tars whose document the store says does not exist, and unfinished
 * uploads; both only when they are older than `before`. Call it holding the lock `base`.
 */
export async function sweepChain(
  { [removal]: store, prefix }: Repository,
  options: {
    readonly systemIdentifier: string;
    readonly orphans: readonly { readonly key: ObjectKey; readonly id: string; readonly modifiedAt: Date }[];
    readonly before: Date;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<readonly ObjectKey[]> {
  const { systemIdentifier, before, log, signal } = options;
  const place = { prefix, systemIdentifier };
  const removed: ObjectKey[] = [];
  const isOld = (id: string, at: Date): boolean => at < before && (startOfId(id) ?? before) < before;
  for (const { key, id, modifiedAt } of options.orphans) {
    const parsed = parseChainKey(key, { prefix });
    if (parsed?.kind !== 'base' || parsed.id !== id || parsed.systemIdentifier !== systemIdentifier)
      throw new Error(`'${key}' is no base backup of this server`);
    if (!isOld(id, modifiedAt)) continue;
    // Asked for itself: a listing may be stale, and only "not found" is a reason to remove.
    if ((await store.head(baseDocumentKey(place, id), { signal })) !== null) continue;
    log.info({ key, store: store.description }, 'Removing what an interrupted base backup left behind');
    await store.remove(key, { signal });
    removed.push(key);
  }
  for await (const upload of store.listUnfinished(chainPrefix(place), { signal })) {
    const parsed = parseChainKey(upload.key, { prefix });
    if (parsed?.kind !== 'base' || !isOld(parsed.id, upload.startedAt)) continue;
    log.info({ key: upload.key, store: store.description }, 'Aborting an unfinished upload of a base backup');
    await store.discard(upload, { signal });
    removed.push(upload.key);
  }
  return removed;
}
