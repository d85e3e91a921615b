// Until when a store lets nobody remove a snapshot. Asked before the first of its objects goes: on a bucket with versions a locked one
// would seem to be deleted, vanish from every listing, and go on costing.

import type { ObjectKey } from '../storage/store.ts';
import type { Manifest } from './manifest.ts';
import { manifestKey, partKey } from './object-keys.ts';
import type { Repository } from './repository.ts';

/** Until when it is locked, the latest of all of its objects; null: it may go. */
export async function lockedUntil(
  { store, prefix }: Pick<Repository, 'store' | 'prefix'>,
  { manifest, now, signal }: { readonly manifest: Manifest; readonly now: Date; readonly signal: AbortSignal },
): Promise<Date | null> {
  if (!store.hasLocks) return null;
  const { tier } = manifest;
  const keys: readonly ObjectKey[] = [
    manifestKey(prefix, manifest),
    ...manifest.parts.map(({ name }) => partKey(prefix, { tier, name })),
  ];
  const locks = await Promise.all(keys.map(async (key) => (await store.head(key, { signal }))?.lockedUntil ?? null));
  const ends = locks.filter((until) => until !== null && until > now);
  return ends.toSorted((a, b) => Number(b) - Number(a))[0] ?? null;
}

/** A lock's end for people. */
export function describeLock(until: Date): string {
  return until.getTime() === 8.64e15 ? 'until its legal hold is taken off' : `until ${until.toISOString()}`;
}
