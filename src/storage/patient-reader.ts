// Reads a stored object to its end however often the connection breaks: it goes on where it was, and only at the same object.
// The last bytes are held back until length and SHA-256 are known to be right, so that whoever reads never sees the end of
// something that is not what its manifest says.

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { AppError, reasonOf, retryOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { backOffMs, jittered, pause, type Random } from '../stream/patience.ts';
import { plural } from '../text/table.ts';
import type { ObjectKey, ObjectStore } from './store.ts';

/**
 * How often a broken download is taken up again without a byte in between, and the pause before it in milliseconds; after
 * bytes came it is a tenth of that, for some lines break every few of them.
 */
export interface ReadPatience {
  readonly attempts: number;
  readonly pauseMs: number;
  readonly random?: Random;
}

const longestPauseMs = 60_000;
const usualPatience: ReadPatience = { attempts: 6, pauseMs: 2_000 };

/** The object's bytes. The stream fails with AppError `verify` when they are not the expected ones, else `store`. */
export function readPatiently(
  store: ObjectStore,
  options: {
    readonly key: ObjectKey;
    readonly bytes: number;
    /** In hexadecimal. */
    readonly sha256: string;
    readonly log: Log;
    readonly signal: AbortSignal;
    readonly onProgress?: ((bytes: number) => void) | undefined;
    readonly patience?: ReadPatience | undefined;
  },
): Readable {
  return Readable.from(chunks(store, options), { objectMode: false, highWaterMark: 1024 * 1024 });
}

async function* chunks(store: ObjectStore, options: Parameters<typeof readPatiently>[1]): AsyncGenerator<Buffer> {
  const { key, signal, log, patience = usualPatience } = options;
  const hash = createHash('sha256');
  const problem = (text: string): AppError =>
    new AppError('verify', `'${key}' in ${store.description} is not what its manifest says: ${text}`, {
      cause: new Error(text),
      reason: 'damaged-object',
      hint: 'Restore another snapshot, from the other destination if there are two; see them with: mastodon-backup list.',
    });
  const found = await store.head(key, { signal });
  if (found === null) throw problem('it is missing');
  if (found.bytes !== options.bytes) throw problem(`it has ${plural(found.bytes, 'byte')} instead of ${options.bytes}`);
  let etag = found.etag;
  let offset = 0;
  let held: Buffer | undefined;
  let body: AsyncIterator<Buffer> | undefined;
  try {
    for (let attempt = 1; offset < options.bytes;) {
      // Nothing but reading is inside: what whoever reads us throws in is not a broken download.
      let chunk: Buffer;
      try {
        body ??= await download(store, { key, offset, signal, etag });
        const next = await body.next();
        if (next.done === true)
          throw new AppError('store', `'${key}' ended after ${offset} of ${plural(options.bytes, 'byte')}`, {
            hint: 'Check the network to the store and try again.',
          });
        chunk = next.value;
      } catch (error) {
        signal.throwIfAborted();
        await body?.return?.();
        body = undefined;
        // Another object has taken its place, or ETags change on their way here: the hash tells which.
        if (etag !== null && reasonOf(error) === 'changed') {
          etag = null;
          continue;
        }
        // What a store refuses it refuses again.
        const hopeless = error instanceof AppError && retryOf(error) !== 'soon';
        if (hopeless || attempt >= patience.attempts) throw error;
        log.warn({ key, offset, err: error }, `The download broke off; going on at byte ${offset}`);
        const pauseMs = pauseAfter(attempt, patience);
        attempt += 1;
        await pause(pauseMs, signal);
        continue;
      }
      attempt = 1;
      hash.update(chunk);
      offset += chunk.length;
      options.onProgress?.(offset);
      if (held !== undefined) yield held;
      held = chunk;
    }
  } finally {
    await body?.return?.();
  }
  if (offset !== options.bytes) throw problem(`${plural(offset, 'byte')} came instead of ${options.bytes}`);
  if (hash.digest('hex') !== options.sha256) throw problem('its SHA-256 differs from what was written');
  if (held !== undefined) yield held;
}

async function download(
  store: ObjectStore,
  options: {
    readonly key: ObjectKey;
    readonly offset: number;
    readonly signal: AbortSignal;
    readonly etag: string | null;
  },
): Promise<AsyncIterator<Buffer>> {
  const { key, offset, signal, etag } = options;
  // A download that begins anew needs no condition: all of it is hashed.
  const body = await store.get(key, { signal, offset, ...(etag === null || offset === 0 ? {} : { ifMatch: etag }) });
  return (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
}

// The first pause is short: some lines break every few bytes, and go on at once.
function pauseAfter(attempt: number, { pauseMs, random = Math.random }: ReadPatience): number {
  if (attempt === 1) return jittered(pauseMs / 10, random);
  return backOffMs(attempt, { firstMs: pauseMs, longestMs: longestPauseMs, random });
}
