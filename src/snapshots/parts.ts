// One way to store, read and copy a part of a snapshot, whatever it is. Nothing here makes it a backup: what was stored or
// copied has to be read back, and counts only when a manifest names it.

import { pipeline } from 'node:stream/promises';
import { AppError } from '../errors.ts';
import type { Folder } from '../schedule/tier.ts';
import { createFanOut } from '../stream/fan-out.ts';
import { createMeter } from '../stream/meter.ts';
import { plural } from '../text/table.ts';
import { storeBranch } from './destination.ts';
import { maxDocumentBytes } from './document-reading.ts';
import type { Part } from './manifest.ts';
import { nameUnder } from './object-keys.ts';
import { keyOf, readStored, type ReadOptions, type StoredPart } from './part-reader.ts';
import { partBytesAgain } from './part-size.ts';
import type { Repository } from './repository.ts';
import { unlessStalled } from './store-watch.ts';

/** What extra files come to at most, 16 MiB and what a tar and age add to them; others are documents. */
const largestExtraBytes = 24 * 1024 * 1024;

/** A small part as it is stored, whole. Rejects with AppError `verify` when it is not what its manifest says, else `store`. */
export async function readDocumentPart(stored: StoredPart, options: ReadOptions): Promise<Buffer> {
  const { bytes } = stored.part;
  if (bytes > (stored.part.kind === 'extra' ? largestExtraBytes : maxDocumentBytes))
    throw new AppError('verify', `'${keyOf(stored)}' has ${plural(bytes, 'byte')}, too many for a document`, {
      hint: 'Look at the object in the store; this program did not write it.',
    });
  const chunks: Buffer[] = [];
  for await (const chunk of readStored(stored, options)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Stores a small part, and answers what the store gives back, which is what was written. Throws AppError. */
export async function storeDocumentPart(
  stored: StoredPart,
  { content, ...options }: ReadOptions & { readonly content: Buffer },
): Promise<Buffer> {
  const { store } = stored.repository;
  await store.putDocument(keyOf(stored), content, { signal: options.signal, retained: true });
  const back = await readDocumentPart(stored, options);
  options.log.info(
    { key: keyOf(stored), store: store.description, bytes: content.length },
    `Stored: ${stored.part.kind}`,
  );
  return back;
}

/** Where a copy goes: the snapshot it is to be a part of. */
export interface CopyTarget {
  readonly repository: Repository;
  readonly tier: Folder;
  readonly id: string;
}

/**
 * Copies a part inside its store, without a byte passing through here, or to another one. Answers what the copy's manifest
 * says of it; it has yet to be verified. `observe` sees the bytes, where any come by.
 */
export async function copyPart(
  source: StoredPart,
  options: ReadOptions & {
    readonly to: CopyTarget;
    /** How long the target may stand still, in milliseconds. */
    readonly stallTimeoutMs: number;
    /** Size of the parts of an upload. */
    readonly partBytes?: number;
    readonly observe?: ((chunk: Buffer) => void) | undefined;
  },
): Promise<Part> {
  const { to, signal } = options;
  const { part } = source;
  const { store } = to.repository;
  const copied = { ...part, name: nameUnder(to.id, { part, of: source.manifest }) };
  const target = keyOf({ repository: to.repository, manifest: { ...to, parts: [copied] }, part: copied });
  const from = keyOf(source);
  if (to.repository === source.repository) {
    // A bucket that was moved has ETags of its own; the hash will tell whether the bytes are the same.
    const found = part.etag === null ? null : await store.head(from, { signal });
    const isAsWritten = found?.etag === part.etag;
    const asFound = isAsWritten ? part : { bytes: part.bytes, etag: found?.etag ?? null, partBytes: null };
    const copy = async (watched: { readonly signal: AbortSignal }): ReturnType<typeof store.copy> =>
      store.copy(from, { ...watched, to: target, source: asFound, retained: true });
    const action = `'${from}' could not be copied to '${target}' in ${store.description}`;
    // A bucket is silent over 5 GiB that it copies at one request, and its client knows how long that may take.
    const { etag } = await (store.hasParts ? copy({ signal }) : unlessStalled(copy, { ...options, action }));
    return { ...copied, etag: part.etag === null ? null : etag, partBytes: etag === part.etag ? part.partBytes : null };
  }
  const partBytes = options.partBytes ?? partBytesAgain(part, store);
  const meter = createMeter({ observe: (chunk) => options.observe?.(chunk) });
  const { stream, branches } = createFanOut(1);
  const [branch] = branches;
  if (branch === undefined) throw new Error('A copy has no branch');
  const stored = storeBranch(
    { repository: to.repository, key: target, partBytes },
    { ...options, branch, sourceEnded: () => stream.writableFinished, retained: true },
  );
  // Nobody takes what may yet come.
  stored.catch((error: AppError) => stream.destroy(error));
  const read = pipeline([readStored(source, options), meter.stream, stream], { signal });
  // Also where the source fails: what was begun at the target is taken back before this ends.
  await Promise.allSettled([stored, read]);
  const [receipt] = await Promise.all([stored, read]);
  return { ...copied, partBytes: store.hasParts ? partBytes : null, etag: receipt.etag };
}
