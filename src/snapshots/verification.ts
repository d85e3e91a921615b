// A backup counts only when it has been read back. `full` hashes the stored object, decodes it to the end and through the
// archive's end; `etag` compares what the store says of it. A mismatch is final; a line that breaks is not one.

import { createArchiveReader } from '../database/archive-reader.ts';
import { AppError, describeError, reasonOf } from '../errors.ts';
import { plural } from '../text/table.ts';
import { isMd5Etag } from './etag.ts';
import { dumpOf, type Manifest } from './manifest.ts';
import { hashStored, keyOf, readDump, type ReadOptions, type StoredPart } from './part-reader.ts';

/** A snapshot whose dump is to be verified, also one that has no manifest yet. */
export interface Unverified extends Pick<StoredPart, 'repository'> {
  readonly manifest: Pick<Manifest, 'id' | 'tier' | 'parts' | 'database'>;
}

/**
 * Reads the dump back, hashes it, and decodes it to the end unless `identities` is `missing`.
 * `identities` null: not encrypted. Throws AppError `verify`; `usage` when it is unchanged and no identity opens it; or the
 * reason of `signal`.
 */
export async function verifyFully(
  stored: Unverified,
  options: ReadOptions & {
    readonly identities: readonly string[] | 'missing' | null;
    /** Threads to decompress with. */
    readonly threads: number;
  },
): Promise<void> {
  try {
    await readBack(stored, options);
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof AppError && error.code === 'usage') throw error;
    throw verifyError(error, stored);
  }
}

async function readBack(stored: Unverified, options: Parameters<typeof verifyFully>[1]): Promise<void> {
  const { manifest } = stored;
  const dump = { ...stored, part: dumpOf(manifest) };
  const { identities } = options;
  if (identities === 'missing') {
    await hashStored(dump, options);
    return;
  }
  const archive = createArchiveReader();
  try {
    await readDump(stored, { ...options, identities, inspector: archive });
  } catch (error) {
    if (options.signal.aborted || !(error instanceof AppError) || error.code !== 'restore') throw error;
    // The hash says more than a decoder's complaint: whether the store changed the object, or the key is another one.
    await hashStored(dump, options);
    if (reasonOf(error) !== 'wrong-key') throw error.cause;
    throw new AppError('usage', `'${keyOf(dump)}' is unchanged, but was encrypted for other keys than the one given`, {
      cause: error,
      hint: 'Name the private key that belongs to its recipients with --identity.',
    });
  }
  const { rows } = archive.end();
  const expected = manifest.database.rows;
  for (const table of new Set([...Object.keys(rows), ...Object.keys(expected)])) {
    if (rows[table] !== expected[table])
      throw new Error(`table ${table} has ${counted(rows[table])} instead of ${expected[table] ?? 'none'}`);
  }
}

/**
 * Compares what the store says of the dump: its size, and its ETag where that has the form of an MD5.
 * Returns which of the two it was. Throws AppError `verify`.
 */
export async function verifyByEtag(
  stored: Unverified,
  options: {
    /** The recomputed ETag, see `etag.ts`; null: there is none to compare. */
    readonly etag: string | null;
    readonly signal: AbortSignal;
  },
): Promise<'etag' | 'size'> {
  const part = dumpOf(stored.manifest);
  const found = await stored.repository.store.head(keyOf({ ...stored, part }), options);
  const problem = (text: string): AppError => verifyError(new Error(text), stored);
  if (found === null) throw problem('the store says there is no such object');
  if (found.bytes !== part.bytes) throw problem(`it has ${plural(found.bytes, 'byte')} instead of ${part.bytes}`);
  if (options.etag === null || found.etag === null || !isMd5Etag(found.etag)) return 'size';
  if (found.etag !== options.etag) throw problem(`its ETag is ${found.etag} instead of ${options.etag}`);
  return 'etag';
}

function verifyError(error: unknown, stored: Unverified): AppError {
  const key = keyOf({ ...stored, part: dumpOf(stored.manifest) });
  const place = stored.repository.store.description;
  // What could not be read has not been found wrong.
  const unread = error instanceof AppError && error.code !== 'verify';
  const reason = error instanceof AppError && error.reason === 'damaged-object' ? (error.cause ?? error) : error;
  return new AppError('verify', `'${key}' in ${place} failed verification: ${describeError(reason)}`, {
    cause: error,
    hint: unread
      ? (error.hint ?? 'Verify it again with: mastodon-backup verify.')
      : 'Do not rely on this one: run a new backup, and look at the storage when it happens again.',
  });
}

function counted(rows: number | undefined): string {
  return rows === undefined ? 'no rows' : plural(rows, 'row');
}
