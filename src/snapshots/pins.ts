// A pin: an object of its own beside a snapshot that keeps it out of retention. Only that it is there counts, whatever is in it and
// whoever put it there; so it is not signed. The worst that a forged one does is that something stays.

import type { ObjectStore } from '../storage/store.ts';
import { encodeDocument } from '../text/document.ts';
import type { Pinned } from './listing.ts';
import { snapshotName } from './manifest.ts';
import { manifestKey, pinKey } from './object-keys.ts';
import type { Repository } from './repository.ts';

/** What became of a pin in a store: it was put there, it was there before, or the snapshot is not there. */
export type PinOutcome = 'pinned' | 'pinned-before' | 'absent';

/** Pins a snapshot, if the store has it. Throws AppError `store`. */
export async function putPin(
  { store, prefix }: Repository,
  options: { readonly snapshot: Pinned; readonly now: Date; readonly signal: AbortSignal },
): Promise<PinOutcome> {
  const { snapshot, now, signal } = options;
  if (!(await isThere(store, { prefix, ...options }))) return 'absent';
  const key = pinKey(prefix, snapshot);
  if ((await store.head(key, { signal })) !== null) return 'pinned-before';
  const content = encodeDocument({ format: 1, snapshot: snapshotName(snapshot), pinnedAt: now.toISOString() });
  await store.putDocument(key, content, { signal });
  // Retention may have begun with it a moment before; then there is nothing left to keep.
  return (await isThere(store, { prefix, ...options })) ? 'pinned' : 'absent';
}

async function isThere(
  store: ObjectStore,
  { prefix, snapshot, signal }: { readonly prefix: string; readonly snapshot: Pinned; readonly signal: AbortSignal },
): Promise<boolean> {
  return (await store.head(manifestKey(prefix, snapshot), { signal })) !== null;
}
