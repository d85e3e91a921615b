// What the bucket and the directory hold, read without the program's own catalogue, and put back to what it was before each
// fault. Judged by the program's eyes alone, whatever it overlooks would be in order.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { ObjectKey, RemovableStore, UnfinishedUpload } from '../../../src/storage/store.ts';

/** The names of the program's two kinds of store. */
export type PlaceName = 's3' | 'local';

/** A bucket's folder, or a directory. */
export interface Place {
  readonly name: PlaceName;
  /** All keys below the flavour's folder, with what tells whether one was written anew. */
  keys(): Promise<ReadonlyMap<string, string>>;
  read(key: string): Promise<Buffer>;
  write(key: string, content: Buffer): Promise<void>;
  remove(key: string): Promise<void>;
  /** What a writer that was cut off has left: unfinished uploads, temporary files. */
  unfinished(): Promise<readonly string[]>;
  /** Removes that. */
  clear(): Promise<void>;
}

const signal = AbortSignal.timeout(2 ** 31 - 1);

/** The folder `prefix` of a bucket, behind no door. */
export function bucketPlace(
  store: RemovableStore,
  { prefix, put }: { readonly prefix: string; readonly put: (key: string, content: Uint8Array) => Promise<void> },
): Place {
  const unfinished = async (): Promise<readonly UnfinishedUpload[]> => {
    const uploads: UnfinishedUpload[] = [];
    for await (const upload of store.listUnfinished(prefix, { signal })) uploads.push(upload);
    return uploads;
  };
  return {
    name: 's3',
    async keys() {
      const found = new Map<string, string>();
      for await (const { key, etag, modifiedAt } of store.list(prefix, { signal }))
        found.set(key.slice(prefix.length), `${etag} ${modifiedAt.toISOString()}`);
      return found;
    },
    read: async (key) => buffer(await store.get(`${prefix}${key}` as ObjectKey, { signal })),
    write: async (key, content) => put(`${prefix}${key}`, content),
    remove: async (key) => store.remove(`${prefix}${key}` as ObjectKey, { signal }),
    unfinished: async () => (await unfinished()).map(({ key }) => key),
    async clear() {
      for (const upload of await unfinished()) await store.discard(upload, { signal });
    },
  };
}

/** A directory. */
export function directoryPlace(directory: string): Place {
  const walk = (folder: string): readonly string[] =>
    !existsSync(path.join(directory, folder))
      ? []
      : readdirSync(path.join(directory, folder), { withFileTypes: true }).flatMap((entry) => {
          const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
          return entry.isDirectory() ? walk(name) : [name];
        });
  const isPartial = (key: string): boolean => path.basename(key).startsWith('.');
  const fileOf = (key: string): string => path.join(directory, key);
  return {
    name: 'local',
    keys: async () =>
      new Map(
        walk('')
          .filter((key) => !isPartial(key))
          .map((key) => {
            const { ino, size, mtimeMs } = statSync(fileOf(key));
            return [key, `${ino} ${size} ${mtimeMs}`] as const;
          }),
      ),
    read: async (key) => readFileSync(fileOf(key)),
    async write(key, content) {
      mkdirSync(path.dirname(fileOf(key)), { recursive: true });
      writeFileSync(fileOf(key), content);
    },
    remove: async (key) => rmSync(fileOf(key)),
    unfinished: async () => walk('').filter(isPartial),
    async clear() {
      for (const key of walk('').filter(isPartial)) rmSync(fileOf(key));
    },
  };
}

/** A snapshot as its manifest names it. */
export interface FoundSnapshot {
  /** `<tier>/<id>`. */
  readonly name: string;
  readonly keys: readonly string[];
  readonly parts: readonly { readonly key: string; readonly bytes: number; readonly sha256: string }[];
  readonly dump: { readonly key: string; readonly compression: string; readonly encryption: string | null };
}

/** Everything in a place that says it is a snapshot; a document that cannot be read is one that says nothing. */
export async function readSnapshots(
  place: Place,
  keys: Iterable<string>,
): Promise<{ readonly snapshots: readonly FoundSnapshot[]; readonly unreadable: readonly string[] }> {
  const snapshots: FoundSnapshot[] = [];
  const unreadable: string[] = [];
  for (const key of keys) {
    if (!key.endsWith('.json') || key.startsWith('drills/')) continue;
    try {
      const { id, tier, parts } = JSON.parse((await place.read(key)).toString('utf8')) as {
        id: string;
        tier: string;
        parts: {
          kind: string;
          name: string;
          bytes: number;
          sha256: string;
          compression: string;
          encryption: string | null;
        }[];
      };
      if (key !== `${tier}/${id}.json`) throw new Error('named otherwise');
      const found = parts.map((part) => ({ ...part, key: `${tier}/${part.name}` }));
      const dump = found.find(({ kind }) => kind === 'dump');
      if (dump === undefined) throw new Error('without a dump');
      snapshots.push({ name: `${tier}/${id}`, keys: [key, ...found.map((part) => part.key)], parts: found, dump });
    } catch {
      unreadable.push(key);
    }
  }
  return { snapshots, unreadable };
}

/** Puts a place back to exactly these objects. */
export async function restorePlace(
  place: Place,
  {
    wanted,
    versions,
  }: { readonly wanted: ReadonlyMap<string, Buffer>; readonly versions: ReadonlyMap<string, string> },
): Promise<ReadonlyMap<string, string>> {
  await place.clear();
  const there = await place.keys();
  for (const key of there.keys()) if (!wanted.has(key)) await place.remove(key);
  let wrote = false;
  for (const [key, content] of wanted) {
    if (there.has(key) && there.get(key) === versions.get(key)) continue;
    await place.write(key, content);
    wrote = true;
  }
  return wrote || versions.size !== wanted.size ? place.keys() : versions;
}

/** The SHA-256 of some bytes, in hexadecimal. */
export function sha256Of(content: Buffer | string): string {
  return createHash('sha256').update(content).digest('hex');
}
