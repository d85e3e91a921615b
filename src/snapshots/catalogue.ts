// What a store holds, told by its manifests: committed snapshots, and apart from them what is damaged, what cannot be read
// and what is foreign. An object without a manifest is not a backup and does not appear at all.

import type { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import { buildKey, parseKey, type KeyPart, type ParsedKey } from './object-keys.ts';
import { folders, type Folder } from '../schedule/tier.ts';
import type { ObjectKey, ObjectStore, StoredObject } from '../storage/store.ts';
import { decodeManifest, type Manifest } from './manifest.ts';

/** What a store holds. Snapshots are newest first by the moment of their data. */
export interface Catalogue {
  readonly snapshots: readonly Manifest[];
  /** Those of the snapshots whose secrets object is missing: they restore, but Mastodon's settings do not come with them. */
  readonly withoutSecrets: readonly Manifest[];
  /** Manifests whose object is missing or of another size: they count for nothing. */
  readonly damaged: readonly { readonly manifest: Manifest; readonly reason: string }[];
  /** Manifests that cannot be decoded, or of a newer format: their objects are protected. */
  readonly unreadable: readonly { readonly key: ObjectKey; readonly reason: string }[];
  /** Objects in our folders that this program did not write, such as the classic script's. */
  readonly foreign: readonly StoredObject[];
}

/** Largest document that is taken for a manifest; real ones have some 10 KiB. */
const maxManifestBytes = 4 * 1024 * 1024;
const readsAtOnce = 16;

/**
 * Manifests that were read before; a key is never overwritten, so equal entries need no second reading. What a listing no
 * longer shows is forgotten, so that a daemon does not remember every snapshot it ever pruned.
 */
export type ManifestCache = Map<string, { readonly stored: StoredObject; readonly read: ReadManifest }>;

/** Reads a store's catalogue: every page of the listing, every manifest that is not in `cache`. */
export async function readCatalogue(
  store: ObjectStore,
  options: {
    readonly prefix: string;
    readonly signal: AbortSignal;
    readonly folders?: readonly Folder[];
    readonly cache?: ManifestCache;
  },
): Promise<Catalogue> {
  const objects = new Map<string, StoredObject>();
  const manifests: { readonly parsed: ParsedKey; readonly stored: StoredObject }[] = [];
  const foreign: StoredObject[] = [];
  const { cache } = options;
  for (const folder of options.folders ?? folders) {
    for await (const stored of store.list(`${options.prefix}${folder}/`, options)) {
      const parsed = parseKey(stored.key, options);
      if (parsed === undefined) foreign.push(stored);
      else if (parsed.part === 'manifest') manifests.push({ parsed, stored });
      else objects.set(stored.key, stored);
    }
  }
  const listed = new Set<string>(manifests.map(({ stored }) => stored.key));
  for (const key of cache?.keys() ?? []) {
    const wasAsked = (options.folders ?? folders).some((folder) => key.startsWith(`${options.prefix}${folder}/`));
    if (wasAsked && !listed.has(key)) cache?.delete(key);
  }
  const snapshots: Manifest[] = [];
  const damaged: { manifest: Manifest; reason: string }[] = [];
  const unreadable: { key: ObjectKey; reason: string }[] = [];
  await inBatches(manifests, async ({ parsed, stored }) => {
    const known = cache?.get(stored.key);
    const read =
      known !== undefined && isSame(known.stored, stored)
        ? known.read
        : await readManifest(store, { parsed, stored, prefix: options.prefix, signal: options.signal });
    if (read.kind !== 'gone') cache?.set(stored.key, { stored, read });
    if (read.kind === 'gone') return;
    if (read.kind === 'unreadable') {
      unreadable.push({ key: stored.key, reason: read.reason });
      return;
    }
    const { manifest } = read;
    const object = objects.get(manifest.object.key);
    if (object === undefined) damaged.push({ manifest, reason: 'its object is missing' });
    else if (object.bytes !== manifest.object.bytes) {
      damaged.push({ manifest, reason: `its object has ${object.bytes} bytes instead of ${manifest.object.bytes}` });
    } else snapshots.push(manifest);
  });
  return {
    snapshots: snapshots.toSorted(newestFirst),
    withoutSecrets: snapshots
      .filter(({ secrets }) => secrets !== null && !objects.has(secrets.key))
      .toSorted(newestFirst),
    damaged: damaged.toSorted((a, b) => newestFirst(a.manifest, b.manifest)),
    unreadable: unreadable.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    foreign,
  };
}

/** Orders manifests by the moment of their data, newest first. */
export function newestFirst(a: Manifest, b: Manifest): number {
  return Date.parse(b.dataAt) - Date.parse(a.dataAt) || Date.parse(b.committedAt) - Date.parse(a.committedAt);
}

function isSame(a: StoredObject, b: StoredObject): boolean {
  return a.bytes === b.bytes && a.etag === b.etag && a.modifiedAt.getTime() === b.modifiedAt.getTime();
}

type ReadManifest =
  | { readonly kind: 'manifest'; readonly manifest: Manifest }
  | { readonly kind: 'unreadable'; readonly reason: string }
  | { readonly kind: 'gone' };

async function readManifest(
  store: ObjectStore,
  {
    parsed,
    stored,
    prefix,
    signal,
  }: {
    readonly parsed: ParsedKey;
    readonly stored: StoredObject;
    readonly prefix: string;
    readonly signal: AbortSignal;
  },
): Promise<ReadManifest> {
  if (stored.bytes > maxManifestBytes)
    return { kind: 'unreadable', reason: `${stored.bytes} bytes is too much for a manifest` };
  let content: Buffer;
  try {
    content = await readAll(await store.get(stored.key, { signal }));
  } catch (error) {
    // Pruned between the listing and the reading.
    if ((await store.head(stored.key, { signal })) === null) return { kind: 'gone' };
    throw error;
  }
  const decoded = decodeManifest(content);
  if (decoded.kind === 'unreadable') return decoded;
  const { id, tier, object, secrets } = decoded.manifest;
  if (id !== parsed.id || tier !== parsed.folder)
    return { kind: 'unreadable', reason: 'it says it is another snapshot' };
  // What a manifest names goes with it when it is pruned: it must not be able to name anything else.
  const isOwn = (key: string, part: KeyPart): boolean => {
    const named = parseKey(key, { prefix });
    return named?.part === part && named.id === id && named.folder === tier;
  };
  if (!isOwn(object.key, 'dump') || (secrets !== null && !isOwn(secrets.key, 'secrets'))) {
    return { kind: 'unreadable', reason: 'it names an object that is not its own' };
  }
  return decoded;
}

/** Reads a small object whole. */
export async function readAll(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function inBatches<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: readsAtOnce }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}

/**
 * The snapshot a person means by `latest`, `latest:<tier>`, an id or `<tier>/<id>`.
 * @throws AppError `no-snapshot`; `usage` when several instances share the prefix and none is named.
 */
export function selectSnapshot(
  catalogue: Catalogue,
  { text, instance, place }: { readonly text: string; readonly instance: string | undefined; readonly place: string },
): Manifest {
  const instances = [...new Set(catalogue.snapshots.map((snapshot) => snapshot.instance))].toSorted();
  if (instance === undefined && instances.length > 1) {
    throw new AppError('usage', `Several instances are stored in ${place}: ${instances.join(', ')}`, {
      hint: 'Name one with --instance.',
    });
  }
  const own = catalogue.snapshots.filter((snapshot) => instance === undefined || snapshot.instance === instance);
  const matches = own.filter(({ tier, id }) => ['latest', `latest:${tier}`, id, `${tier}/${id}`].includes(text));
  const found = matches[0];
  if (found !== undefined) return found;
  const damaged = catalogue.damaged.find(({ manifest }) => text.endsWith(manifest.id));
  const [newest] = catalogue.damaged;
  const [unreadable] = catalogue.unreadable;
  const apart = [
    newest === undefined
      ? ''
      : `; of those that are damaged the newest is ${newest.manifest.tier}/${newest.manifest.id}: ${newest.reason}`,
    unreadable === undefined
      ? ''
      : `; ${catalogue.unreadable.length} manifests cannot be read, such as ${unreadable.key}: ${unreadable.reason}`,
  ].join('');
  throw new AppError(
    'no-snapshot',
    damaged === undefined
      ? `There is no snapshot '${text}' in ${place}${apart}`
      : `The snapshot '${text}' is damaged: ${damaged.reason}`,
    { hint: 'See what there is with the command: mastodon-backup list.' },
  );
}

/** The key of a snapshot's manifest. */
export function manifestKey(place: {
  readonly prefix: string;
  readonly folder: Folder;
  readonly id: string;
}): ObjectKey {
  return buildKey({ ...place, suffix: '.json' });
}
