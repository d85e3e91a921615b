// What the program asks of a place where backups are kept. The interface is small on purpose: reading, adding and
// listing are open to everybody, removing is a second interface that only the deletion law may use. Without that
// split any mistake anywhere could delete somebody's only copy.

import type { Readable } from 'node:stream';
import type { Space } from '../disk/directory.ts';
import { AppError } from '../errors.ts';

declare const objectKeyBrand: unique symbol;

/** The full key of an object in a store, prefix included: built by `snapshots/`, or as the store lists it. */
export type ObjectKey = string & { readonly [objectKeyBrand]: true };

/** Which of the two destinations a store is; the word used in messages, manifests and `--from`. */
export type StoreName = 's3' | 'local';

/** An object as a listing or a `head` shows it. */
export interface StoredObject {
  readonly key: ObjectKey;
  /** Size in bytes. */
  readonly bytes: number;
  readonly modifiedAt: Date;
  /** ETag without quotes; null where the store has none. */
  readonly etag: string | null;
  /** What changes with the file where there are no ETags; left out where there are, or where it says nothing yet. */
  readonly fileMark?: string;
  /** Until when nobody may remove it, as `head` says; left out: it is not locked. */
  readonly lockedUntil?: Date;
}

/** An upload that was begun and neither completed nor aborted: a multipart upload, or a temporary file. */
export interface UnfinishedUpload {
  readonly key: ObjectKey;
  /** Multipart upload id, or the temporary file's path. */
  readonly uploadId: string;
  readonly startedAt: Date;
}

export interface PutOptions {
  readonly signal: AbortSignal;
  /** Size in bytes of every part but the last; see `snapshots/part-size.ts`. Ignored where there are no parts. */
  readonly partBytes: number;
  /** Whether it is locked as long as the settings say, where the store has locks. */
  readonly retained?: boolean;
  /**
   * Called when bytes reached the store, with the high-water mark of bytes sent since the start of the put: bytes sent
   * again by a retry do not count, so a hanging server does not look alive.
   */
  readonly onProgress?: (sentBytes: number) => void;
}

export interface GetOptions {
  readonly signal: AbortSignal;
  /** Bytes to leave out at the start; 0 when it is not given. */
  readonly offset?: number;
  /** Rejects when the object's ETag is another one (S3's If-Match); without effect where there is none. */
  readonly ifMatch?: string;
}

/** What stands under a prefix without being an object that can be looked at; a folder by itself is no object either. */
export interface Obscured {
  /** Its key; that of a folder that cannot be listed, and may hold anything, ends in a slash. */
  readonly key: string;
  /** Why it cannot be looked at. */
  readonly error: AppError;
}

export interface ListOptions {
  readonly signal: AbortSignal;
  /**
   * Is told of what cannot be looked at, beside which the listing goes on. Left out: a folder that cannot be listed ends the
   * listing, and what is no file is left out.
   */
  readonly onObscured?: (one: Obscured) => void;
}

export interface CopyOptions {
  readonly to: ObjectKey;
  /** The source as its manifest describes it. */
  readonly source: { readonly bytes: number; readonly etag: string | null; readonly partBytes: number | null };
  readonly signal: AbortSignal;
  /** As of a put. */
  readonly retained?: boolean;
  /** Called with the bytes copied so far. */
  readonly onProgress?: (bytes: number) => void;
}

export interface PutReceipt {
  readonly bytes: number;
  /** ETag the store answered, without quotes; null where the store has none. */
  readonly etag: string | null;
}

/** The failure of an `action` that would overwrite what is there. */
export function overwriting(action: string): AppError {
  return new AppError('store', `${action}: the key exists already`, {
    reason: 'exists',
    hint: 'Run the backup again.',
  });
}

/**
 * A place where objects are kept under keys that are never overwritten.
 *
 * Every method rejects with `AppError` (`store`, or the reason of `signal`) whose message names the action, the key
 * and the store, and whose hint says what to do. Methods that read may be called any number of times; a `put` that
 * rejected has left nothing under its key and no unfinished upload, unless the process died.
 */
export interface ObjectStore {
  readonly name: StoreName;
  /** For people: the bucket and endpoint, or the directory; never a secret. */
  readonly description: string;
  /** What the store itself limits: R2 and S3 take 5 TB an object; null where there is no limit. */
  readonly maxObjectBytes: number | null;
  /** The most parts of an object: a tenth of what S3 takes at some stores; null where there are no parts. */
  readonly maxParts: number | null;
  /** Whether it says an ETag of what it holds, which can be compared without reading it. */
  readonly comparesEtags: boolean;
  /** Whether an object is put in parts of `partBytes`, which its ETag depends on and a manifest notes. */
  readonly hasParts: boolean;
  /** Whether rules of its own can remove what is in it. */
  readonly hasRules: boolean;
  /** Whether objects can be locked in it. */
  readonly hasLocks: boolean;
  /** Whether it has a clock of its own, which ours can be compared with. */
  readonly hasClock: boolean;

  /**
   * Stores a stream of unknown length. The object appears under its key only after the body has ended without an
   * error. Rejects, storing nothing, when the body fails, when the key exists, or when `signal` aborts.
   */
  put(key: ObjectKey, body: Readable, options: PutOptions): Promise<PutReceipt>;

  /**
   * Copies an object of this store to a new key without reading it here; for a directory a hard link, or a copy where
   * there are none. Rejects when `to` exists. Answers what it wrote, with the ETag where the store has one.
   */
  copy(from: ObjectKey, options: CopyOptions): Promise<PutReceipt>;

  /** Stores a small document whole. Rejects when the key exists with other content; equal content is success. */
  putDocument(
    key: ObjectKey,
    content: Uint8Array,
    options: { readonly signal: AbortSignal; readonly retained?: boolean },
  ): Promise<void>;

  /** Opens an object for reading. Rejects with code `store` when it is missing. The stream fails on a short read. */
  get(key: ObjectKey, options: GetOptions): Promise<Readable>;

  /** Size and date of an object; null only if the store said "not found" (never for 403, 5xx or a time-out). */
  head(key: ObjectKey, options: { readonly signal: AbortSignal }): Promise<StoredObject | null>;

  /** All objects whose key starts with `prefix`, every page, in key order. */
  list(prefix: string, options: ListOptions): AsyncIterable<StoredObject>;

  /** All unfinished uploads whose key starts with `prefix`, as far as they can be seen. Empty where the store cannot tell. */
  listUnfinished(prefix: string, options: { readonly signal: AbortSignal }): AsyncIterable<UnfinishedUpload>;

  /** What is free there and how large it is; null where nobody can say, as of a bucket. */
  space(options: { readonly signal: AbortSignal }): Promise<Space | null>;

  /** The store's clock, for comparing with ours; null only where it has none of its own (`hasClock`). */
  now(options: { readonly signal: AbortSignal }): Promise<Date | null>;

  /** Lifecycle rules as the store enforces them, none where there is no such thing (`hasRules`); null: we may not look. */
  lifecycleRules(options: { readonly signal: AbortSignal }): Promise<readonly LifecycleRule[] | null>;

  /** What the store does with what is deleted; null where nothing but deleting is possible. */
  protection(options: { readonly signal: AbortSignal }): Promise<BucketProtection | null>;

  /** Ends sockets and handles. */
  close(): Promise<void>;
}

/** What a bucket does with what is deleted; null: we may not look. */
export interface BucketProtection {
  /** Whether what is deleted stays as an older version, at its full price. */
  readonly versioning: 'on' | 'off' | null;
  /** Whether objects can be locked. */
  readonly lock: 'on' | 'off' | null;
}

/** A bucket's lifecycle rule, as far as this program looks at it. */
export interface LifecycleRule {
  readonly id: string | null;
  readonly prefix: string;
  readonly enabled: boolean;
  readonly expireDays: number | null;
  readonly abortIncompleteDays: number | null;
  /** Days after which older versions are removed; left out: never. */
  readonly noncurrentDays?: number;
}

/** A bucket rule of this program's. */
export interface BucketRule {
  readonly id: string;
  readonly prefix: string;
  /** Days after which objects expire; null: never. */
  readonly expireDays: number | null;
  /** Days after which an unfinished multipart upload is aborted. */
  readonly abortIncompleteDays: number;
  /** Days after which older versions are removed; left out where there are none. */
  readonly noncurrentDays?: number;
}

/** The half of a store that removes things; `snapshots/deletion-law.ts` is its only caller. */
export interface RemovableStore extends ObjectStore {
  /** Removes one object; removing what is not there is success. */
  remove(key: ObjectKey, options: { readonly signal: AbortSignal }): Promise<void>;
  /**
   * Puts `rules` in the place of those of the bucket's rules whose id begins with `idPrefix`; all others stay as they are.
   * Rejects where there are no such rules, such as in a directory.
   */
  replaceLifecycleRules(
    rules: readonly BucketRule[],
    options: { readonly idPrefix: string; readonly signal: AbortSignal },
  ): Promise<void>;
  /** Aborts one unfinished upload; aborting what is not there is success. */
  discard(upload: UnfinishedUpload, options: { readonly signal: AbortSignal }): Promise<void>;
}
