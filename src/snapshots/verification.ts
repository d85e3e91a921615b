// A backup counts only when it has been read back. `full` hashes the stored object, decodes it to the end and through the
// archive's end; `etag` compares what the store says of it. A mismatch is final, a broken connection is tried again.

import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { decoders, type CompressionName } from '../codec/codec.ts';
import { ArchiveError, createArchiveReader } from '../database/archive-reader.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { VerificationMethod } from './manifest.ts';
import type { ObjectKey, ObjectStore } from '../storage/store.ts';
import { createMeter } from '../stream/meter.ts';
import { isMd5Etag } from './etag.ts';

/** What a stored object must be. */
export interface ExpectedObject {
  readonly key: ObjectKey;
  readonly bytes: number;
  readonly sha256: string;
  readonly compression: CompressionName;
  readonly content: { readonly bytes: number; readonly sha256: string };
  readonly rows: Readonly<Record<string, number>>;
}

const attempts = 3;
const retryWaitMs = 2_000;

/**
 * Reads the object back, hashes it, and decodes it to the end unless `identities` is `missing`.
 * `identities` null: not encrypted. Throws AppError `verify`; `usage` when it is unchanged and no identity opens it; or the
 * reason of `signal`.
 */
export async function verifyFully(
  store: ObjectStore,
  options: {
    readonly expected: ExpectedObject;
    readonly identities: readonly string[] | 'missing' | null;
    /** Threads to decompress with. */
    readonly threads: number;
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
      if (error instanceof AppError && error.code === 'usage') throw error;
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
  if (identities === 'missing') {
    await hashObject(store, options);
    return;
  }
  const object = createMeter({ observe: () => options.onProgress?.(object.bytes()) });
  const archive = createArchiveReader();
  const dump = createMeter({ observe: (chunk) => archive.push(chunk) });
  const chain = decoders({ compression: expected.compression, identities, threads: options.threads });
  const body = await store.get(expected.key, { signal });
  try {
    await pipeline([body, object.stream, ...chain, dump.stream, devNull()], { signal });
  } catch (error) {
    if (error instanceof AppError || signal.aborted) throw error;
    // The hash says more than a decoder's complaint: whether the store changed the object, or the key is another one.
    await hashObject(store, options);
    throw decodeError(error, { identities, key: expected.key });
  }
  compare('object', { found: object.reading(), expected });
  compare('dump', { found: dump.reading(), expected: expected.content });
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

async function hashObject(store: ObjectStore, options: Parameters<typeof verifyFully>[1]): Promise<void> {
  const { expected, signal } = options;
  const object = createMeter({ observe: () => options.onProgress?.(object.bytes()) });
  await pipeline(await store.get(expected.key, { signal }), object.stream, devNull(), { signal });
  compare('object', { found: object.reading(), expected });
}

function decodeError(
  error: unknown,
  { identities, key }: { readonly identities: readonly string[] | null; readonly key: ObjectKey },
): Error {
  if (identities !== null && /no identity matched/i.test(describeError(error))) {
    return new AppError('usage', `'${key}' is unchanged, but was encrypted for other keys than the one given`, {
      cause: error,
      hint: 'Name the private key that belongs to its recipients with --identity.',
    });
  }
  return mismatch(`the stored object cannot be decoded: ${describeError(error)}`, error);
}

function devNull(): Writable {
  return new Writable({ write: (_chunk, _encoding, callback) => callback() });
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
