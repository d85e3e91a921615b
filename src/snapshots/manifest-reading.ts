// One manifest read that a listing shows: what cannot be read of it, or is nobody's who is trusted, is told of it alone and hides no
// other.

import { describeError, retryOf } from '../errors.ts';
import type { StoredObject } from '../storage/store.ts';
import { plural } from '../text/table.ts';
import { maxDocumentBytes, readAll } from './document-reading.ts';
import { decodeManifest } from './manifest.ts';
import type { ReadManifest } from './manifest-memory.ts';
import type { ParsedKey } from './object-keys.ts';
import { maxSignatureBytes, judgeOrigin, readSignature } from './origin.ts';
import type { Repository } from './repository.ts';

/** What came of reading a manifest that is listed. */
export type Reading =
  | ReadManifest
  /** Pruned between the listing and the reading. */
  | { readonly kind: 'gone' }
  /** The store does not give this one; it may another time. */
  | { readonly kind: 'refused'; readonly reason: string };

/** Reads the object of a manifest that is listed, and whose it is. Rejects only when the store answers nothing at all. */
export async function readManifest(
  repository: Repository,
  options: {
    readonly parsed: ParsedKey;
    readonly stored: StoredObject;
    readonly signature: StoredObject | null;
    readonly signal: AbortSignal;
  },
): Promise<Reading> {
  const { parsed, stored, signal } = options;
  if (stored.bytes > maxDocumentBytes)
    return { kind: 'unreadable', reason: `${plural(stored.bytes, 'byte')} is too much for a manifest` };
  const read = await readListed(repository, { ...options, attempts: 2 });
  if (!Buffer.isBuffer(read)) return read;
  const decoded = decodeManifest(read);
  if (decoded.kind === 'unreadable') return decoded;
  const { manifest } = decoded;
  // By its content, which is what is signed: renamed, it is nothing.
  if (manifest.id !== parsed.id || manifest.tier !== parsed.folder)
    return { kind: 'unreadable', reason: 'it says it is another snapshot' };
  const { trusted } = repository.signing;
  const { signature: found } = options;
  if (found === null || found.bytes > maxSignatureBytes) {
    // What is too large is no signature, and is not read.
    const signature = found === null ? null : Buffer.alloc(0);
    return { kind: 'manifest', manifest, ...judgeOrigin(read, { signature, trusted }) };
  }
  try {
    const signature = await readSignature(repository, { key: stored.key, signal });
    return { kind: 'manifest', manifest, ...judgeOrigin(read, { signature, trusted }) };
  } catch (error) {
    signal.throwIfAborted();
    return { kind: 'refused', reason: `its signature cannot be read: ${describeError(error)}` };
  }
}

// One object that cannot be read must not hide the others, whatever it is about it; a store that does not answer at all, also
// when it is asked for nothing but what it has just listed, is not read.
async function readListed(
  repository: Repository,
  options: { readonly stored: StoredObject; readonly signal: AbortSignal; readonly attempts: number },
): Promise<Buffer | Exclude<Reading, ReadManifest>> {
  const { store } = repository;
  const { stored, signal, attempts } = options;
  try {
    return await readAll(await store.get(stored.key, { signal }));
  } catch (error) {
    signal.throwIfAborted();
    const found = await store.head(stored.key, { signal }).catch(async (second: unknown) => {
      if (signal.aborted) throw second;
      if (retryOf(second) === 'soon') await assertAnswering(repository, options);
      return undefined;
    });
    if (found === null) return { kind: 'gone' };
    if (attempts > 1 && retryOf(error) === 'soon')
      return readListed(repository, { ...options, attempts: attempts - 1 });
    return { kind: 'refused', reason: describeError(error) };
  }
}

async function assertAnswering(
  { store }: Repository,
  { stored, signal }: { readonly stored: StoredObject; readonly signal: AbortSignal },
): Promise<void> {
  for await (const _same of store.list(stored.key, { signal })) return;
}
