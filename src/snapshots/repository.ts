// A repository: one store, the folder in it that is ours, and what was read there before. Whatever works with stored snapshots
// takes one of these, so that nobody can ask a store with the prefix of another.

import { noSigning, type SigningSettings } from '../config/signing-keys.ts';
import type { ObjectStore, RemovableStore, StoredObject } from '../storage/store.ts';
import type { ManifestMemory, ReadManifest } from './manifest-memory.ts';

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
  /** What earlier commands have read; null: nobody remembers. */
  readonly memory: ManifestMemory | null;
  /** Who signs what is stored, and whose signatures count. */
  readonly signing: SigningSettings;
}

/**
 * Manifests that were read or written before; what a listing shows as it was read needs no second reading. What a listing no longer
 * shows is forgotten, so that a daemon does not remember every snapshot it ever pruned.
 */
export type ManifestCache = Map<
  string,
  {
    /** As a listing showed it; null: it was written here, and none has shown it yet. */
    readonly stored: StoredObject | null;
    /** Null: there was none, or nobody asked. */
    readonly signature: StoredObject | null;
    readonly read: ReadManifest;
    /**
     * Read from the store; by an earlier command; or unproven to be what the store shows now: it was written here, or the store said
     * too little of it for it to be known again.
     */
    readonly from: 'store' | 'memory' | 'unproven';
  }
>;

/** A repository in `store`, of which nothing is known yet. */
export function createRepository(
  store: RemovableStore,
  {
    prefix = '',
    partsInMemory = 0,
    signing = noSigning,
    memory = null,
  }: {
    readonly prefix?: string;
    readonly partsInMemory?: number;
    readonly signing?: SigningSettings;
    readonly memory?: ManifestMemory | null;
  } = {},
): Repository {
  return { store, [removal]: store, prefix, partsInMemory, signing, memory, manifests: new Map() };
}
