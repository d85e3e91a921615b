// A repository: one store, the folder in it that is ours, and what was read there before. Whatever works with stored snapshots
// takes one of these, so that nobody can ask a store with the prefix of another.

import type { ObjectStore, RemovableStore, StoredObject } from '../storage/store.ts';
import type { DecodedManifest } from './manifest.ts';

/** Under this the deletion law finds the store that can remove; a test holds that nobody else asks for it. */
export const removal = Symbol('removal');

/** A store bound to the prefix of its keys. */
export interface Repository {
  readonly store: ObjectStore;
  readonly [removal]: RemovableStore;
  /** Empty, or ending in a slash. */
  readonly prefix: string;
  /** Parts that an upload holds in memory at most. */
  readonly partsInMemory: number;
  readonly manifests: ManifestCache;
}

/**
 * Manifests that were read or written before; a key is never overwritten, so equal entries need no second reading. What a
 * listing no longer shows is forgotten, so that a daemon does not remember every snapshot it ever pruned.
 */
export type ManifestCache = Map<string, { readonly stored: KnownObject; readonly read: DecodedManifest }>;

/** An object as a listing showed it; of one that was just written only its size is known. */
export type KnownObject = StoredObject | Pick<StoredObject, 'bytes'>;

/** A repository in `store`, of which nothing is known yet. */
export function createRepository(
  store: RemovableStore,
  { prefix = '', partsInMemory = 0 }: { readonly prefix?: string; readonly partsInMemory?: number } = {},
): Repository {
  return { store, [removal]: store, prefix, partsInMemory, manifests: new Map() };
}
