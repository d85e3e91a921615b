// A store as the doctor asks it: each question has its limit, also of what a system call of a hung disk would never answer.

import type { ObjectStore } from '../storage/store.ts';
import { answerOf, type Asked } from './silence.ts';

/** Whom to look at when it says nothing. */
export function askedOf({ name, description }: Pick<ObjectStore, 'name' | 'description'>): Asked {
  return {
    what: `The ${description}`,
    hint:
      name === 's3'
        ? 'Check that this container is on external_network, without which nothing gets out, and BACKUP_S3_ENDPOINT.'
        : 'Look at the disk, or at the server that it is mounted from.',
  };
}

/** The same store, every answer of which has to come in time, and every page of a listing. */
export function impatient(store: ObjectStore): ObjectStore {
  const asked = askedOf(store);
  const within = async <Options extends { readonly signal: AbortSignal }, Result>(
    options: Options,
    ask: (options: Options) => Promise<Result>,
  ): Promise<Result> => answerOf(asked, { signal: options.signal, ask: async (signal) => ask({ ...options, signal }) });
  const each = async function* <Options extends { readonly signal: AbortSignal }, Item>(
    options: Options,
    ask: (options: Options) => AsyncIterable<Item>,
  ): AsyncGenerator<Item> {
    const stop = new AbortController();
    const signal = AbortSignal.any([options.signal, stop.signal]);
    const items = ask({ ...options, signal })[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await answerOf(asked, { signal, ask: async () => items.next() });
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      stop.abort();
      void Promise.resolve(items.return?.()).catch(() => undefined);
    }
  };
  return {
    ...store,
    putDocument: async (key, content, options) =>
      within(options, async (limited) => store.putDocument(key, content, limited)),
    get: async (key, options) => within(options, async (limited) => store.get(key, limited)),
    head: async (key, options) => within(options, async (limited) => store.head(key, limited)),
    list: (prefix, options) => each(options, (limited) => store.list(prefix, limited)),
    listUnfinished: (prefix, options) => each(options, (limited) => store.listUnfinished(prefix, limited)),
    space: async (options) => within(options, async (limited) => store.space(limited)),
    now: async (options) => within(options, async (limited) => store.now(limited)),
    lifecycleRules: async (options) => within(options, async (limited) => store.lifecycleRules(limited)),
    protection: async (options) => within(options, async (limited) => store.protection(limited)),
  };
}
