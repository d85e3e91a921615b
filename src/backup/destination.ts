// One destination of a run: it stores its branch of the stream, has it verified, and commits it by writing the manifest.
// Its failure is its own; the other destination goes on.

import { AppError, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { manifestKey, readAll } from '../snapshots/catalogue.ts';
import { encodeManifest, type Manifest, type VerificationMethod } from '../snapshots/manifest.ts';
import type { ObjectKey, ObjectStore, PutReceipt } from '../storage/store.ts';
import type { Branch } from '../stream/fan-out.ts';
import { startStallClock } from '../stream/stall-clock.ts';
import { createEtagMeter, type EtagMeter } from '../snapshots/etag.ts';

/** A store as a destination of this run. */
export interface Destination {
  readonly store: ObjectStore;
  /** The prefix of its keys, empty or ending in a slash. */
  readonly prefix: string;
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
  store: ObjectStore,
  options: {
    readonly prefix: string;
    readonly key: ObjectKey;
    readonly partBytes: number;
    readonly verify: 'auto' | 'full' | 'etag';
  },
): Destination {
  const wanted = options.verify === 'auto' ? (store.readingCosts ? 'etag' : 'full') : options.verify;
  const method = store.comparesEtags ? wanted : 'full';
  return {
    store,
    prefix: options.prefix,
    key: options.key,
    partBytes: options.partBytes,
    method,
    etagMeter: method === 'etag' ? createEtagMeter(options.partBytes) : null,
  };
}

/** Stores a branch. Rejects with the first reason; a store that stands still is cut off after `stallTimeoutMs`. */
export async function storeBranch(
  destination: Destination,
  options: {
    readonly branch: Branch;
    /** Whether the source has handed over its last byte. */
    readonly sourceEnded: () => boolean;
    readonly stallTimeoutMs: number;
    readonly signal: AbortSignal;
  },
): Promise<PutReceipt> {
  const { branch } = options;
  const { store, key } = destination;
  const stop = new AbortController();
  using clock = startStallClock({
    timeoutMs: options.stallTimeoutMs,
    waiting: () => branch.blocks() || options.sourceEnded(),
    onStall: () => {
      const seconds = Math.round(options.stallTimeoutMs / 1_000);
      const error = new AppError(
        'stalled',
        `'${key}' could not be stored in ${store.description}: it stood still for ${seconds} s`,
        {
          hint: 'Check the network to the store, or the disk; BACKUP_STALL_TIMEOUT says how long to wait.',
        },
      );
      branch.cutOff(error);
      stop.abort(error);
    },
  });
  try {
    return await store.put(key, branch.body, {
      signal: AbortSignal.any([options.signal, stop.signal]),
      partBytes: destination.partBytes,
      onProgress: () => clock.moved(),
    });
  } catch (error) {
    const reason = toAppError(error, {
      code: 'store',
      message: `'${key}' could not be stored in ${store.description}`,
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
    readonly now: () => Date;
    readonly signal: AbortSignal;
    readonly log: Log;
  },
): Promise<Manifest> {
  const { store, prefix } = destination;
  const at = options.now().toISOString();
  const manifest: Manifest = { ...options.manifest, committedAt: at, verified: { method: options.method, at } };
  const key = manifestKey({ prefix, folder: manifest.tier, id: manifest.id });
  const content = encodeManifest(manifest);
  await store.putDocument(key, content, options);
  const stored = await readAll(await store.get(key, options));
  if (Buffer.compare(stored, content) !== 0) {
    throw new AppError('verify', `The manifest '${key}' in ${store.description} is not what was written`, {
      hint: 'Check the store, then run the backup again.',
    });
  }
  options.log.info({ key: destination.key, store: store.description, method: options.method }, 'Backup committed');
  return manifest;
}
