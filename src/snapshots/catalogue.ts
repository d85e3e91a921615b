// What a store holds, told by its manifests: committed snapshots, and apart from them what is damaged, what cannot be read
// and what is foreign. An object without a manifest is not a backup and does not appear at all.

import type { PublicKey } from '../config/ssh-keys.ts';
import { newestFirst } from '../schedule/due.ts';
import { folders, type Folder } from '../schedule/tier.ts';
import type { ObjectKey, StoredObject } from '../storage/store.ts';
import { plural } from '../text/table.ts';
import { recognize, remember, sourceOf } from './known-manifests.ts';
import { listFolders, type Orphan, type Pinned, type Unlisted } from './listing.ts';
import { readManifest } from './manifest-reading.ts';
import { dumpOf, partOf, snapshotName, type Manifest } from './manifest.ts';
import { manifestKey, partKey, type BesideKind } from './object-keys.ts';
import { describeObjection, type Objection } from './origin.ts';
import type { Repository } from './repository.ts';

/** What a store holds. Snapshots are newest first by the moment of their data. */
export interface Catalogue {
  readonly snapshots: readonly Manifest[];
  /** Those of the snapshots whose secrets object is missing: they restore, but Mastodon's settings do not come with them. */
  readonly withoutSecrets: readonly Manifest[];
  /** The same of the administrator's extra files. */
  readonly withoutExtra: readonly Manifest[];
  /** Manifests whose object is missing or of another size: they count for nothing. */
  readonly damaged: readonly { readonly manifest: Manifest; readonly reason: string }[];
  /** Manifests that cannot be read or decoded, or of a newer format: their objects are protected. */
  readonly unreadable: readonly Unreadable[];
  /** Those that nobody who is trusted has signed, where that is asked for: they count for nothing, and are never touched. */
  readonly unsigned: readonly Unsigned[];
  /** Those of the snapshots that somebody signed who is trusted and is not we. */
  readonly signedByOthers: readonly { readonly manifest: Manifest; readonly signer: PublicKey }[];
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
  /** `content`: something else is there; `refused`: the store does not give it, and may another time; or what speaks against it. */
  readonly cause: 'content' | 'refused' | Objection;
}

/** A snapshot that may be anybody's. */
export interface Unsigned {
  readonly manifest: Manifest;
  readonly objection: Objection;
  /** What is wrong with its objects; null: they are there, with the sizes that it says. */
  readonly damage: string | null;
}

const readsAtOnce = 16;
/** What is held of documents that nobody who is trusted has signed, in bytes: anybody may have put any number of them there. */
const mostUnsignedBytes = 32 * 1024 * 1024;

/**
 * Reads what a repository holds: every page of the listing, every manifest that was not read before. What the store does not
 * give is told apart; rejects when it gives nothing at all.
 */
export async function readCatalogue(
  repository: Repository,
  options: {
    readonly signal: AbortSignal;
    readonly folders?: readonly Folder[];
    /** Only the snapshots with this id; left out: all. */
    readonly id?: string;
  },
): Promise<Catalogue> {
  const { prefix, manifests: cache, signing } = repository;
  const asked = options.folders ?? folders;
  const listing = await listFolders(repository, { tiers: asked, ...options });
  const { objects, manifests, foreign, others, unlisted, obscured } = listing;
  const unreadable: Unreadable[] = [...listing.unreadable];
  const listed = new Set<string>([...manifests.map(({ stored }) => stored.key), ...unreadable.map(({ key }) => key)]);
  for (const key of cache.keys()) {
    const wasListed = asked.some(
      (tier) => key.startsWith(`${prefix}${tier}/`) && !unlisted.some((one) => one.isTier && one.tier === tier),
    );
    if (options.id === undefined && wasListed && !listed.has(key)) cache.delete(key);
  }
  const snapshots: Manifest[] = [];
  const without: Readonly<Record<BesideKind, Manifest[]>> = { secrets: [], extra: [] };
  const damaged: { manifest: Manifest; reason: string }[] = [];
  const unsigned: Unsigned[] = [];
  const signedByOthers: { manifest: Manifest; signer: PublicKey }[] = [];
  const named = new Set<string>();
  let unsignedBytes = 0;
  const candidates = await recognize(repository, listing);
  await inBatches(candidates, async (candidate) => {
    const { parsed, stored, signature, known } = candidate;
    const read = known?.read ?? (await readManifest(repository, { ...candidate, signal: options.signal }));
    if (read.kind === 'gone') return;
    const addUnreadable = (reason: string, cause: Unreadable['cause']): void =>
      void unreadable.push({ key: stored.key, tier: parsed.folder, id: parsed.id, reason, cause });
    if (read.kind === 'manifest' && read.objection !== null) {
      unsignedBytes += stored.bytes;
      if (unsignedBytes > mostUnsignedBytes) {
        cache.delete(stored.key);
        addUnreadable(`it ${describeObjection(read.objection)}, and there is too much of that`, read.objection);
        return;
      }
    }
    if (read.kind === 'refused') cache.delete(stored.key);
    else cache.set(stored.key, { stored, signature, read, from: sourceOf(candidate) });
    if (read.kind !== 'manifest') {
      addUnreadable(read.reason, read.kind === 'refused' ? 'refused' : 'content');
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
      const { signer } = read;
      if (signer !== null && signing.key?.publicKey.blob.equals(signer.blob) !== true)
        signedByOthers.push({ manifest, signer });
      for (const kind of ['secrets', 'extra'] as const) {
        const beside = partOf(manifest, kind);
        if (beside !== undefined && find(beside) === undefined) without[kind].push(manifest);
      }
    }
  });
  if (options.folders === undefined && options.id === undefined && unlisted.length === 0)
    await remember(repository, candidates);
  return {
    snapshots: snapshots.toSorted(newestFirst),
    withoutSecrets: without.secrets.toSorted(newestFirst),
    withoutExtra: without.extra.toSorted(newestFirst),
    damaged: damaged.toSorted((a, b) => newestFirst(a.manifest, b.manifest)),
    unreadable: unreadable.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    unsigned: unsigned.toSorted((a, b) => newestFirst(a.manifest, b.manifest)),
    signedByOthers: signedByOthers.toSorted((a, b) => newestFirst(a.manifest, b.manifest)),
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
  if (names.size === 0) return () => false;
  return (snapshot) => names.has(snapshotName(snapshot));
}

function describeDamage(
  { bytes }: { readonly bytes: number },
  { object, missing }: { readonly object: StoredObject | undefined; readonly missing: string },
): string | null {
  if (object === undefined) return missing;
  return object.bytes === bytes ? null : `its object has ${plural(object.bytes, 'byte')} instead of ${bytes}`;
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

async function inBatches<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: readsAtOnce }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}
