// One destination of a run: it stores its branch of the stream, has it verified, and commits it by writing the manifest.
// Its failure is its own; the other destination goes on.

import { AppError, retryOf, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { plural } from '../text/table.ts';
import { maxDocumentBytes, readAll } from './document-reading.ts';
import { decodeManifest, encodeManifest, type Manifest, type VerificationMethod } from './manifest.ts';
import { manifestKey, partKey } from './object-keys.ts';
import { storeSignature, wantsSigned } from './origin.ts';
import type { Repository } from './repository.ts';
import type { Folder } from '../schedule/tier.ts';
import type { ObjectKey, ObjectStore, PutReceipt } from '../storage/store.ts';
import type { Branch } from '../stream/fan-out.ts';
import { takeBackManifest } from './deletion-law.ts';
import { createEtagMeter, type EtagMeter } from './etag.ts';
import { unlessStalled } from './store-watch.ts';

/** A repository as a destination of this run. */
export interface Destination {
  readonly repository: Repository;
  /** The name of the dump, beside the manifest. */
  readonly name: string;
  readonly key: ObjectKey;
  readonly partBytes: number;
  readonly method: 'full' | 'etag';
  /** Present when the method needs it. */
  readonly etagMeter: EtagMeter | null;
}

/** How a run ended at one destination. */
export type DestinationOutcome =
  | { readonly kind: 'stored'; readonly destination: Destination; readonly manifest: Manifest }
  | { readonly kind: 'failed'; readonly destination: Destination; readonly error: AppError };

/** A destination with the method its store and the settings ask for. */
export function createDestination(
  repository: Repository,
  options: {
    readonly tier: Folder;
    readonly name: string;
    readonly partBytes: number;
    readonly verify: 'full' | 'etag';
  },
): Destination {
  const { store, prefix } = repository;
  const method = store.comparesEtags ? options.verify : 'full';
  return {
    repository,
    name: options.name,
    key: partKey(prefix, options),
    partBytes: options.partBytes,
    method,
    etagMeter: method === 'etag' ? createEtagMeter(options.partBytes) : null,
  };
}

/**
 * Stores a branch. Rejects with the first reason: a store that stands still is cut off after `stallTimeoutMs`, and also one that hangs
 * ends at once when the source fails.
 */
export async function storeBranch(
  { repository: { store }, key, partBytes }: Pick<Destination, 'repository' | 'key' | 'partBytes'>,
  options: {
    readonly branch: Branch;
    /** Whether the source has handed over its last byte. */
    readonly sourceEnded: () => boolean;
    /** Whether it is locked as long as the settings say. */
    readonly retained: boolean;
    readonly stallTimeoutMs: number;
    readonly signal: AbortSignal;
  },
): Promise<PutReceipt> {
  const { branch, retained, stallTimeoutMs } = options;
  const action = `'${key}' could not be stored in ${store.description}`;
  try {
    return await unlessStalled(async (watched) => store.put(key, branch.body, { ...watched, partBytes, retained }), {
      action,
      waiting: () => branch.blocks() || options.sourceEnded(),
      stallTimeoutMs,
      signal: AbortSignal.any([options.signal, branch.abandoned]),
      onStall: (error) => branch.cutOff(error),
    });
  } catch (error) {
    const reason = toAppError(error, {
      code: 'store',
      message: action,
      hint: 'Look what the destination says, with: mastodon-backup doctor.',
    });
    branch.cutOff(reason);
    throw reason;
  }
}

/** Writes the manifest, the commit point, and reads it back. */
export async function commit(
  destination: Destination,
  options: {
    readonly manifest: Omit<Manifest, 'committedAt' | 'verified'>;
    readonly method: VerificationMethod;
    /** Left out: now. */
    readonly committedAt?: Date;
    readonly now: () => Date;
    readonly signal: AbortSignal;
    readonly log: Log;
  },
): Promise<Manifest> {
  const { store, prefix, manifests } = destination.repository;
  const at = options.now();
  const committedAt = options.committedAt ?? at;
  const manifest: Manifest = { ...options.manifest, committedAt, verified: { method: options.method, at } };
  const key = manifestKey(prefix, manifest);
  const content = encodeManifest(manifest);
  const decoded = decodeManifest(content);
  if (decoded.kind === 'unreadable') {
    throw new AppError('verify', `'${key}' is not written, for it would not be read again: ${decoded.reason}`, {
      hint: 'Check the clocks of this machine and of the database: timedatectl.',
    });
  }
  if (content.length > maxDocumentBytes) {
    const tables = Object.keys(manifest.database.rows).length;
    throw new AppError(
      'verify',
      `'${key}' is not written, for it would not be read again: the rows of ${plural(tables, 'table')} make it larger than ${maxDocumentBytes} bytes`,
      { hint: 'Leave schemas that are not of Mastodon to another database: some 15,000 tables have room.' },
    );
  }
  const { signal } = options;
  const signature = await storeSignature(destination.repository, { key, content, signal });
  await store.putDocument(key, content, { signal, retained: true });
  if (!(await isStored(store, { key, content, signal }))) {
    await takeBackManifest(destination.repository, { key, written: content, log: options.log, signal });
    throw new AppError('verify', `The manifest '${key}' in ${store.description} is not what was written`, {
      hint: 'Check the store, then run the backup again.',
    });
  }
  const { signing } = destination.repository;
  const isNobodys = signature === null && wantsSigned(signing);
  manifests.set(key, {
    from: 'unproven',
    // What is there when it is listed may be somebody else's by then, with as many bytes: it is read once more.
    stored: null,
    signature: null,
    read: { ...decoded, objection: isNobodys ? { kind: 'unsigned' } : null, signer: signing.key?.publicKey ?? null },
  });
  options.log.info({ key: destination.key, store: store.description, method: options.method }, 'Backup committed');
  return manifest;
}

const readAttempts = 3;

// A line that breaks under so few bytes says nothing of them, and an answer that is not what was written may be a cache's.
async function isStored(
  store: ObjectStore,
  { key, content, signal }: { readonly key: ObjectKey; readonly content: Buffer; readonly signal: AbortSignal },
): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const stored = await readAll(await store.get(key, { signal }));
      if (stored.equals(content)) return true;
      if (attempt === readAttempts) return false;
    } catch (error) {
      signal.throwIfAborted();
      if (attempt === readAttempts || retryOf(error) !== 'soon') throw error;
    }
  }
}
