// What a store holds, told by its manifests: committed snapshots, and apart from them what is damaged, what cannot be read
// and what is foreign. An object without a manifest is not a backup and does not appear at all.

import { describeError, retryOf } from '../errors.ts';
import { folders, type Folder } from '../schedule/tier.ts';
import type { ObjectKey, StoredObject } from '../storage/store.ts';
import { maxDocumentBytes, readAll } from './document-reading.ts';
import { listFolders, type Orphan, type Pinned, type Unlisted } from './listing.ts';
import { decodeManifest, dumpOf, partOf, snapshotName, type Manifest } from './manifest.ts';
import { manifestKey, partKey, type ParsedKey } from './object-keys.ts';
import {
  maxSignatureBytes,
  objectToOrigin,
  readSignature,
  signatureKey,
  wantsSigned,
  type Objection,
} from './origin.ts';
import type { KnownObject, ReadManifest, Repository } from './repository.ts';

/** What a store holds. Snapshots are newest first by the moment of their data. */
export interface Catalogue {
  readonly snapshots: readonly Manifest[];
  /** Those of the snapshots whose secrets object is missing: they restore, but Mastodon's settings do not come with them. */
  readonly withoutSecrets: readonly Manifest[];
  /** Manifests whose object is missing or of another size: they count for nothing. */
  readonly damaged: readonly { readonly manifest: Manifest; readonly reason: string }[];
  /** Manifests that cannot be read or decoded, or of a newer format: their objects are protected. */
  readonly unreadable: readonly Unreadable[];
  /** Those that nobody who is trusted has signed, where that is asked for: they count for nothing, and are never touched. */
  readonly unsigned: readonly Unsigned[];
  /** What is pinned, in the order of its names; the snapshot of a pin need not be there. */
  readonly pinned: readonly Pinned[];
  /** Objects of our grammar without a manifest: of a run that goes on or was interrupted. */
  readonly orphans: readonly Orphan[];
  /** Objects in our folders that this program did not write, such as the classic script's. */
  readonly foreign: readonly StoredObject[];
  /** What could not be listed: nobody knows what is there. */
  readonly unlisted: readonly Unlisted[];
}

/** A manifest that says nothing. */
export interface Unreadable {
  readonly key: ObjectKey;
  readonly tier: Folder;
  readonly id: string;
  readonly reason: string;
}

/** A snapshot that may be anybody's. */
export interface Unsigned {
  readonly manifest: Manifest;
  readonly objection: Objection;
  /** What is wrong with its objects; null: they are there, with the sizes that it says. */
  readonly damage: string | null;
}

const readsAtOnce = 16;

/**
 * Reads what a repository holds: every page of the listing, every manifest that was not read before. What the store does not
 * give is told apart; rejects when it gives nothing at all.
 */
export async function readCatalogue(
  repository: Repository,
  options: { readonly signal: AbortSignal; readonly folders?: readonly Folder[] },
): Promise<Catalogue> {
  const { prefix, manifests: cache, signing } = repository;
  const asked = options.folders ?? folders;
  const listing = await listFolders(repository, { tiers: asked, signal: options.signal });
  const { objects, manifests, foreign, others, unlisted, obscured } = listing;
  const unreadable: Unreadable[] = [...listing.unreadable];
  const listed = new Set<string>([...manifests.map(({ stored }) => stored.key), ...unreadable.map(({ key }) => key)]);
  for (const key of cache.keys()) {
    const wasListed = asked.some(
      (tier) => key.startsWith(`${prefix}${tier}/`) && !unlisted.some((one) => one.isTier && one.tier === tier),
    );
    if (wasListed && !listed.has(key)) cache.delete(key);
  }
  const snapshots: Manifest[] = [];
  const withoutSecrets: Manifest[] = [];
  const damaged: { manifest: Manifest; reason: string }[] = [];
  const unsigned: Unsigned[] = [];
  const named = new Set<string>();
  await inBatches(manifests, async ({ parsed, stored }) => {
    const signature = wantsSigned(signing) ? (objects.get(signatureKey(stored.key)) ?? null) : null;
    const known = cache.get(stored.key);
    const read =
      known !== undefined && isSame(known.stored, stored) && isSame(known.signature, signature)
        ? known.read
        : await readManifest(repository, { parsed, stored, signature, signal: options.signal });
    if (read.kind === 'gone') return;
    if (read.kind === 'refused') cache.delete(stored.key);
    else cache.set(stored.key, { stored, signature, read });
    if (read.kind !== 'manifest') {
      unreadable.push({ key: stored.key, tier: parsed.folder, id: parsed.id, reason: read.reason });
      return;
    }
    const { manifest } = read;
    const find = ({ name }: { readonly name: string }): StoredObject | undefined => {
      const key = partKey(prefix, { tier: manifest.tier, name });
      named.add(key);
      return objects.get(key);
    };
    for (const part of manifest.parts) find(part);
    const dump = dumpOf(manifest);
    const missing = obscured.get(partKey(prefix, { ...manifest, ...dump })) ?? 'its object is missing';
    const damage = describeDamage(dump, { object: find(dump), missing });
    if (read.objection !== null) unsigned.push({ manifest, objection: read.objection, damage });
    else if (damage !== null) damaged.push({ manifest, reason: damage });
    else {
      snapshots.push(manifest);
      const secrets = partOf(manifest, 'secrets');
      if (secrets !== undefined && find(secrets) === undefined) withoutSecrets.push(manifest);
    }
  });
  return {
    snapshots: snapshots.toSorted(newestFirst),
    withoutSecrets: withoutSecrets.toSorted(newestFirst),
    damaged: damaged.toSorted((a, b) => newestFirst(a.manifest, b.manifest)),
    unreadable: unreadable.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    unsigned: unsigned.toSorted((a, b) => newestFirst(a.manifest, b.manifest)),
    // A part of a kind that only a newer version knows is none of ours to judge, but it is no stranger either.
    foreign: foreign.filter(({ key }) => !named.has(key)),
    orphans: others.filter((one) => !listed.has(manifestKey(prefix, { tier: one.folder, id: one.id }))),
    pinned: listing.pinned.toSorted((a, b) => (snapshotName(a) < snapshotName(b) ? -1 : 1)),
    unlisted: unlisted.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  };
}

/** Why a tier could not be listed; null: it was. */
export function whyUnlisted({ unlisted }: Pick<Catalogue, 'unlisted'>, tier: string): string | null {
  return unlisted.find((one) => one.isTier && one.tier === tier)?.reason ?? null;
}

/** Whether a snapshot of this catalogue is pinned. */
export function pinsOf({ pinned }: Pick<Catalogue, 'pinned'>): (snapshot: Pinned | Manifest) => boolean {
  const names = new Set(pinned.map(snapshotName));
  return (snapshot) => names.has(snapshotName(snapshot));
}

/** Orders manifests by the moment of their data, newest first. */
export function newestFirst(a: Manifest, b: Manifest): number {
  return b.dataAt.getTime() - a.dataAt.getTime() || b.committedAt.getTime() - a.committedAt.getTime();
}

function describeDamage(
  { bytes }: { readonly bytes: number },
  { object, missing }: { readonly object: StoredObject | undefined; readonly missing: string },
): string | null {
  if (object === undefined) return missing;
  return object.bytes === bytes ? null : `its object has ${object.bytes} bytes instead of ${bytes}`;
}

/** The catalogue for somebody who takes what is unsigned for ours. */
export function withUnsigned(catalogue: Catalogue): Catalogue {
  const { unsigned } = catalogue;
  const whole = unsigned.filter(({ damage }) => damage === null).map(({ manifest }) => manifest);
  const others = unsigned.flatMap(({ manifest, damage }) => (damage === null ? [] : [{ manifest, reason: damage }]));
  return {
    ...catalogue,
    unsigned: [],
    snapshots: [...catalogue.snapshots, ...whole].toSorted(newestFirst),
    damaged: [...catalogue.damaged, ...others].toSorted((a, b) => newestFirst(a.manifest, b.manifest)),
  };
}

function isSame(known: KnownObject | null, listed: StoredObject | null): boolean {
  if (known === null || listed === null) return known === listed;
  if (known.bytes !== listed.bytes) return false;
  return (
    !('etag' in known) || (known.etag === listed.etag && known.modifiedAt.getTime() === listed.modifiedAt.getTime())
  );
}

type Reading =
  | ReadManifest
  /** Pruned between the listing and the reading. */
  | { readonly kind: 'gone' }
  /** The store does not give this one; it may another time. */
  | { readonly kind: 'refused'; readonly reason: string };

async function readManifest(
  repository: Repository,
  options: {
    readonly parsed: ParsedKey;
    readonly stored: StoredObject;
    readonly signature: StoredObject | null;
    readonly signal: AbortSignal;
  },
): Promise<Reading> {
  const { parsed, stored, signal } = options;
  if (stored.bytes > maxDocumentBytes)
    return { kind: 'unreadable', reason: `${stored.bytes} bytes is too much for a manifest` };
  const read = await readListed(repository, { ...options, attempts: 2 });
  if (!Buffer.isBuffer(read)) return read;
  const decoded = decodeManifest(read);
  if (decoded.kind === 'unreadable') return decoded;
  const { manifest } = decoded;
  // By its content, which is what is signed: renamed, it is nothing.
  if (manifest.id !== parsed.id || manifest.tier !== parsed.folder)
    return { kind: 'unreadable', reason: 'it says it is another snapshot' };
  const { trusted } = repository.signing;
  const { signature: found } = options;
  if (found === null || found.bytes > maxSignatureBytes) {
    // What is too large is no signature, and is not read.
    const signature = found === null ? null : Buffer.alloc(0);
    return { kind: 'manifest', manifest, objection: objectToOrigin(read, { signature, trusted }) };
  }
  try {
    const signature = await readSignature(repository, { key: stored.key, signal });
    return { kind: 'manifest', manifest, objection: objectToOrigin(read, { signature, trusted }) };
  } catch (error) {
    signal.throwIfAborted();
    return { kind: 'refused', reason: `its signature cannot be read: ${describeError(error)}` };
  }
}

// One object that cannot be read must not hide the others, whatever it is about it; a store that does not answer at all, also
// when it is asked for nothing but what it has just listed, is not read.
async function readListed(
  repository: Repository,
  options: { readonly stored: StoredObject; readonly signal: AbortSignal; readonly attempts: number },
): Promise<Buffer | Exclude<Reading, ReadManifest>> {
  const { store } = repository;
  const { stored, signal, attempts } = options;
  try {
    return await readAll(await store.get(stored.key, { signal }));
  } catch (error) {
    signal.throwIfAborted();
    const found = await store.head(stored.key, { signal }).catch(async (second: unknown) => {
      if (signal.aborted) throw second;
      if (retryOf(second) === 'soon') await assertAnswering(repository, options);
      return undefined;
    });
    if (found === null) return { kind: 'gone' };
    if (attempts > 1 && retryOf(error) === 'soon')
      return readListed(repository, { ...options, attempts: attempts - 1 });
    return { kind: 'refused', reason: describeError(error) };
  }
}

async function assertAnswering(
  { store }: Repository,
  { stored, signal }: { readonly stored: StoredObject; readonly signal: AbortSignal },
): Promise<void> {
  for await (const _same of store.list(stored.key, { signal })) return;
}

async function inBatches<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: readsAtOnce }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}
