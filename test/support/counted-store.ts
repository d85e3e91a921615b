// A bucket in memory that keeps of large objects the size alone, by a clock that a test sets, and counts what is asked of it as R2
// bills it: writes and listings are class A, reads class B, removing costs nothing.

import { Readable } from 'node:stream';
import { AppError } from '../../src/errors.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, RemovableStore, StoredObject } from '../../src/storage/store.ts';

/** Requests as they are billed. */
export interface Requests {
  classA: number;
  classB: number;
}

/** A store, what it holds, and what was asked of it. */
export interface CountedStore {
  readonly store: RemovableStore;
  readonly requests: Requests;
  readonly objects: ReadonlyMap<string, StoredObject>;
  /** Stores an object of which nobody reads the content. */
  putSize(key: ObjectKey, bytes: number): void;
}

const keysInAPage = 1_000;

/** An empty one. `directory` is never written. */
export function createCountedStore({
  directory,
  now,
}: {
  readonly directory: string;
  readonly now: () => Date;
}): CountedStore {
  const objects = new Map<string, StoredObject>();
  const contents = new Map<string, Uint8Array>();
  const local = createLocalStore({ directory });
  const requests = { classA: 0, classB: 0 };
  const putSize = (key: ObjectKey, bytes: number): void => {
    requests.classA += 1;
    objects.set(key, { key, bytes, modifiedAt: now(), etag: null });
  };
  const store: RemovableStore = {
    ...local,
    description: 'a bucket in memory',
    async putDocument(key, content) {
      putSize(key, content.length);
      contents.set(key, content);
    },
    async get(key) {
      requests.classB += 1;
      const content = contents.get(key);
      if (content === undefined) throw new AppError('store', `There is no '${key}'`, { reason: 'not-found' });
      return Readable.from([Buffer.from(content)]);
    },
    async head(key) {
      requests.classB += 1;
      return objects.get(key) ?? null;
    },
    async *list(prefix) {
      const keys = [...objects.keys()].filter((key) => key.startsWith(prefix)).toSorted();
      requests.classA += Math.max(1, Math.ceil(keys.length / keysInAPage));
      for (const key of keys) {
        const found = objects.get(key);
        if (found !== undefined) yield found;
      }
    },
    listUnfinished(prefix, options) {
      requests.classA += 1;
      return local.listUnfinished(prefix, options);
    },
    now: async () => now(),
    async remove(key) {
      objects.delete(key);
      contents.delete(key);
    },
  };
  return { store, requests, objects, putSize };
}
