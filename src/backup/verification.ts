// A backup counts only when it has been read back. `full` hashes the stored object, decodes it to the end and through the
// archive's end; `etag` compares what the store says of it. A mismatch is final, a broken connection is tried again.

import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { decoders, type CompressionName } from '../codec/codec.ts';
import { ArchiveError, createArchiveReader } from '../database/archive-reader.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { VerificationMethod } from '../manifest/manifest.ts';
import type { ObjectKey, ObjectStore } from '../storage/store.ts';
import { createMeter } from '../stream/meter.ts';
import { isMd5Etag } from './etag.ts';

/** What a stored object must be. */
export interface ExpectedObject {
  readonly key: ObjectKey;
  readonly bytes: number;
  readonly sha256: string;
  readonly compression: CompressionName;
  readonly dump: { readonly bytes: number; readonly sha256: string };
  readonly rows: Readonly<Record<string, number>>;
}

const attempts = 3;
const retryWaitMs = 2_000;

/**
 * Reads the object back, hashes it, and decodes it to the end unless `identities` is `missing`.
 * `identities` null: not encrypted. Throws AppError `verify`, or the reason of `signal`.
 */
export async function verifyFully(
  store: ObjectStore,
  options: {
    readonly expected: ExpectedObject;
    readonly identities: readonly string[] | 'missing' | null;
    readonly signal: AbortSignal;
    readonly log: Log;
    readonly onProgress?: (bytes: number) => void;
  },
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await readBack(store, options);
      return;
    } catch (error) {
      options.signal.throwIfAborted();
      const transient = error instanceof AppError && (error.code === 'store' || error.code === 'stalled');
      if (!transient || attempt === attempts) throw verifyError(error, { ...options, store });
      options.log.warn({ err: error, store: store.description }, 'Reading back broke off; trying again');
      await sleep(retryWaitMs * attempt, undefined, { signal: options.signal }).catch(() =>
        options.signal.throwIfAborted(),
      );
    }
  }
}

async function readBack(store: ObjectStore, options: Parameters<typeof verifyFully>[1]): Promise<void> {
  const { expected, identities, signal } = options;
  const object = createMeter({
    observe: () => options.onProgress?.(object.bytes()),
    onEnd: () => undefined,
  });
  const sink = new Writable({ write: (_chunk, _encoding, callback) => callback() });
  const body = await store.get(expected.key, { signal });
  if (identities === 'missing') {
    await pipeline(body, object.stream, sink, { signal });
    compare('object', { found: object.reading(), expected });
    return;
  }
  const archive = createArchiveReader();
  const dump = createMeter({ observe: (chunk) => archive.push(chunk) });
  const chain = decoders({ compression: expected.compression, identities });
  // The hash is looked at first: it says more than a decoder's complaint about the same flipped bit.
  let decodeError: unknown;
  try {
    await pipeline([body, object.stream, ...chain, dump.stream, sink], { signal });
  } catch (error) {
    if (error instanceof AppError || signal.aborted) throw error;
    decodeError = error;
  }
  if (decodeError !== undefined) {
    throw mismatch(`the stored object cannot be decoded: ${describeError(decodeError)}`, decodeError);
  }
  compare('object', { found: object.reading(), expected });
  compare('dump', { found: dump.reading(), expected: expected.dump });
  let rows: Readonly<Record<string, number>>;
  try {
    ({ rows } = archive.end());
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    throw mismatch(error.message, error);
  }
  const tables = new Set([...Object.keys(rows), ...Object.keys(expected.rows)]);
  for (const table of tables) {
    if (rows[table] !== expected.rows[table]) {
      throw mismatch(`table ${table} has ${rows[table] ?? 'no'} rows instead of ${expected.rows[table] ?? 'none'}`);
    }
  }
}

/**
 * Compares what the store says of the object: its size, and its ETag where that has the form of an MD5.
 * Returns which of the two it was. Throws AppError `verify`.
 */
export async function verifyByEtag(
  store: ObjectStore,
  options: {
    readonly expected: Pick<ExpectedObject, 'key' | 'bytes'>;
    /** The recomputed ETag, see `etag.ts`; null: there is none to compare. */
    readonly etag: string | null;
    readonly signal: AbortSignal;
  },
): Promise<VerificationMethod> {
  const { expected } = options;
  const found = await store.head(expected.key, options);
  const problem = (text: string): AppError => verifyError(mismatch(text), { store, expected });
  if (found === null) throw problem('the store says there is no such object');
  if (found.bytes !== expected.bytes) throw problem(`it has ${found.bytes} bytes instead of ${expected.bytes}`);
  if (options.etag === null || found.etag === null || !isMd5Etag(found.etag)) return 'size';
  if (found.etag !== options.etag) throw problem(`its ETag is ${found.etag} instead of ${options.etag}`);
  return 'etag';
}

function compare(
  what: 'object' | 'dump',
  {
    found,
    expected,
  }: {
    readonly found: { readonly bytes: number; readonly sha256: string };
    readonly expected: { readonly bytes: number; readonly sha256: string };
  },
): void {
  if (found.bytes !== expected.bytes)
    throw mismatch(`the ${what} has ${found.bytes} bytes instead of ${expected.bytes}`);
  if (found.sha256 !== expected.sha256) throw mismatch(`the SHA-256 of the ${what} differs from what was written`);
}

function mismatch(text: string, cause?: unknown): Error {
  return new Error(text, cause === undefined ? undefined : { cause });
}

function verifyError(
  error: unknown,
  { store, expected }: { readonly store: ObjectStore; readonly expected: Pick<ExpectedObject, 'key'> },
): AppError {
  return new AppError(
    'verify',
    `'${expected.key}' in ${store.description} failed verification: ${describeError(error)}`,
    {
      cause: error,
      hint: 'Do not rely on this one: run a new backup, and look at the storage when it happens again.',
    },
  );
}
