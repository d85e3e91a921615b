// What a store holds, told by its manifests: committed snapshots, and apart from them what is damaged, what cannot be read
// and what is foreign. An object without a manifest is not a backup and does not appear at all.

import type { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import { folders, type Folder } from '../schedule/tier.ts';
import type { ObjectKey, StoredObject } from '../storage/store.ts';
import { decodeManifest, dumpOf, partOf, snapshotName, type DecodedManifest, type Manifest } from './manifest.ts';
import { parseKey, partKey, type ParsedKey } from './object-keys.ts';
import type { Repository } from './repository.ts';

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
const maxManifestBytes = 1024 * 1024;
const readsAtOnce = 16;

/** Reads what a repository holds: every page of the listing, every manifest that was not read before. */
export async function readCatalogue(
  repository: Repository,
  options: { readonly signal: AbortSignal; readonly folders?: readonly Folder[] },
): Promise<Catalogue> {
  const { store, prefix, manifests: cache } = repository;
  const objects = new Map<string, StoredObject>();
  const manifests: { readonly parsed: ParsedKey; readonly stored: StoredObject }[] = [];
  const foreign: StoredObject[] = [];
  for (const folder of options.folders ?? folders) {
    for await (const stored of store.list(`${prefix}${folder}/`, options)) {
      const parsed = parseKey(stored.key, { prefix });
      if (parsed?.part === 'manifest') manifests.push({ parsed, stored });
      else objects.set(stored.key, stored);
      if (parsed === undefined) foreign.push(stored);
    }
  }
  const listed = new Set<string>(manifests.map(({ stored }) => stored.key));
  for (const key of cache.keys()) {
    const wasAsked = (options.folders ?? folders).some((folder) => key.startsWith(`${prefix}${folder}/`));
    if (wasAsked && !listed.has(key)) cache.delete(key);
  }
  const snapshots: Manifest[] = [];
  const withoutSecrets: Manifest[] = [];
  const damaged: { manifest: Manifest; reason: string }[] = [];
  const unreadable: { key: ObjectKey; reason: string }[] = [];
  const named = new Set<string>();
  await inBatches(manifests, async ({ parsed, stored }) => {
    const known = cache.get(stored.key);
    const read =
      known !== undefined && isSame(known.stored, stored)
        ? known.read
        : await readManifest(repository, { parsed, stored, signal: options.signal });
    if (read.kind === 'gone') return;
    cache.set(stored.key, { stored, read });
    if (read.kind === 'unreadable') {
      unreadable.push({ key: stored.key, reason: read.reason });
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
    const object = find(dump);
    if (object === undefined) damaged.push({ manifest, reason: 'its object is missing' });
    else if (object.bytes !== dump.bytes)
      damaged.push({ manifest, reason: `its object has ${object.bytes} bytes instead of ${dump.bytes}` });
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
    // A part of a kind that only a newer version knows is none of ours to judge, but it is no stranger either.
    foreign: foreign.filter(({ key }) => !named.has(key)),
  };
}

/** Orders manifests by the moment of their data, newest first. */
export function newestFirst(a: Manifest, b: Manifest): number {
  return b.dataAt.getTime() - a.dataAt.getTime() || b.committedAt.getTime() - a.committedAt.getTime();
}

function isSame(a: StoredObject, b: StoredObject): boolean {
  return a.bytes === b.bytes && a.etag === b.etag && a.modifiedAt.getTime() === b.modifiedAt.getTime();
}

async function readManifest(
  { store }: Repository,
  options: { readonly parsed: ParsedKey; readonly stored: StoredObject; readonly signal: AbortSignal },
): Promise<DecodedManifest | { readonly kind: 'gone' }> {
  const { parsed, stored, signal } = options;
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
  const { id, tier } = decoded.manifest;
  if (id !== parsed.id || tier !== parsed.folder)
    return { kind: 'unreadable', reason: 'it says it is another snapshot' };
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
  const matches = own.filter((one) => ['latest', `latest:${one.tier}`, one.id, snapshotName(one)].includes(text));
  const found = matches[0];
  if (found !== undefined) return found;
  const damaged = catalogue.damaged.find(({ manifest }) => text.endsWith(manifest.id));
  const [newest] = catalogue.damaged;
  const [unreadable] = catalogue.unreadable;
  const apart = [
    newest === undefined
      ? ''
      : `; of those that are damaged the newest is ${snapshotName(newest.manifest)}: ${newest.reason}`,
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
