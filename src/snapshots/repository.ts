// A repository: one store, the folder in it that is ours, and what was read there before. Whatever works with stored snapshots
// takes one of these, so that nobody can ask a store with the prefix of another.

import { noSigning, type SigningSettings } from '../config/signing-keys.ts';
import type { ObjectStore, RemovableStore, StoredObject } from '../storage/store.ts';
import type { Manifest } from './manifest.ts';
import type { Origin } from './origin.ts';

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
  /** Who signs what is stored, and whose signatures count. */
  readonly signing: SigningSettings;
}

/** What the object of a manifest turned out to be. */
export type ReadManifest =
  /** Without an objection it counts. */
  | ({ readonly kind: 'manifest'; readonly manifest: Manifest } & Origin)
  | { readonly kind: 'unreadable'; readonly reason: string };

/**
 * Manifests that were read or written before; a key is never overwritten, so equal entries need no second reading. What a
 * listing no longer shows is forgotten, so that a daemon does not remember every snapshot it ever pruned.
 */
export type ManifestCache = Map<
  string,
  {
    readonly stored: KnownObject;
    /** Null: there was none, or nobody asked. */
    readonly signature: KnownObject | null;
    readonly read: ReadManifest;
  }
>;

/** An object as a listing showed it; of one that was just written only its size is known. */
export type KnownObject = StoredObject | Pick<StoredObject, 'bytes'>;

/** A repository in `store`, of which nothing is known yet. */
export function createRepository(
  store: RemovableStore,
  {
    prefix = '',
    partsInMemory = 0,
    signing = noSigning,
  }: { readonly prefix?: string; readonly partsInMemory?: number; readonly signing?: SigningSettings } = {},
): Repository {
  return { store, [removal]: store, prefix, partsInMemory, signing, manifests: new Map() };
}
