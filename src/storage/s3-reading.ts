// One object of a bucket looked up or read. "Not found" is believed only when the server says it, and does not list it either; a refusal that were taken for it would let somebody's backup be swept away.

import type { Readable } from 'node:stream';
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { AppError } from '../errors.ts';
import { createBodyCheck } from './body-check.ts';
import { etagOf } from './s3-etag.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { isNotFound, isRefused } from './s3-errors.ts';
import { assertListing } from './s3-listing.ts';
import { lockOf } from './s3-protection.ts';
import type { GetOptions, ObjectKey, StoredObject } from './store.ts';

interface Asking {
  readonly signal: AbortSignal;
}

/** Size, date and ETag of an object; null when the server says that there is none. */
export async function lookUp(place: S3Bucket, key: ObjectKey, { signal }: Asking): Promise<StoredObject | null> {
  return place.attempt(`'${key}' could not be looked up`, {
    signal,
    run: async () => {
      try {
        return await describe(place, key, signal);
      } catch (error) {
        const isListed = await askInWords(place, key, signal);
        // What is listed is not missing, whatever a proxy or a cache says of it.
        if (isListed) throw isNotFound(error) ? contradiction(place, { key, error }) : error;
        if (!isNotFound(error) && !isRefused(error)) throw error;
        return null;
      }
    },
  });
}

function contradiction(
  { description }: S3Bucket,
  { key, error }: { readonly key: ObjectKey; readonly error: unknown },
): AppError {
  return new AppError('store', `'${key}' is listed in ${description}, but when asked for it says that it is missing`, {
    cause: error,
    reason: 'overloaded',
    hint: 'Try again in a while; if it stays so, take another snapshot or another destination, and ask the provider.',
  });
}

/**
 * Whether something is under a key that is about to be written. A missing bucket is not told from a missing object here: the
 * write that follows is told.
 */
export async function isTaken(place: S3Bucket, key: ObjectKey, { signal }: Asking): Promise<boolean> {
  return place.attempt(`'${key}' could not be looked up`, {
    signal,
    run: async () => {
      try {
        await describe(place, key, signal);
        return true;
      } catch (error) {
        if (isNotFound(error)) return false;
        const isListed = await askInWords(place, key, signal);
        if (!isListed && isRefused(error)) return false;
        throw error;
      }
    },
  });
}

async function describe({ client, bucket }: S3Bucket, key: ObjectKey, signal: AbortSignal): Promise<StoredObject> {
  const found = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal });
  const until = lockOf(found);
  return {
    key,
    bytes: found.ContentLength ?? 0,
    modifiedAt: found.LastModified ?? new Date(0),
    etag: etagOf(found),
    ...(until === null ? {} : { lockedUntil: until }),
  };
}

// The answer to HEAD has no body: a missing bucket looks like a missing object, and every refusal looks alike, until the
// store is asked for something it has to answer in words. To a token that may list a prefix alone, S3 refuses HEAD of what is missing
// ("HeadObject", permissions): then the listing is the answer.
async function askInWords({ client, bucket }: S3Bucket, key: ObjectKey, signal: AbortSignal): Promise<boolean> {
  const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: key, MaxKeys: 1 });
  const page = await client.send(command, { abortSignal: signal });
  assertListing(page);
  return page.Contents?.[0]?.Key === key;
}

/** An object's bytes, from `offset`; the stream fails when fewer come than the server announced, or none for too long. */
export async function read(
  place: S3Bucket,
  key: ObjectKey,
  { signal, offset = 0, ifMatch }: GetOptions,
): Promise<Readable> {
  const action = `'${key}' could not be read`;
  return place.attempt(action, {
    signal,
    run: async () => {
      const command = new GetObjectCommand({
        Bucket: place.bucket,
        Key: key,
        ...(offset === 0 ? {} : { Range: `bytes=${offset}-` }),
        ...(ifMatch === undefined ? {} : { IfMatch: `"${ifMatch}"` }),
      });
      const { Body, ContentLength, ContentRange } = await place.client.send(command, { abortSignal: signal });
      const body = Body as Readable;
      const checked = createBodyCheck({
        bytes: ContentLength ?? 0,
        // A proxy or a cache may give all of it where only the rest was asked for.
        leaveOut: offset > 0 && ContentRange?.startsWith(`bytes ${offset}-`) !== true ? offset : 0,
        idleMs: place.patience.socketTimeoutMs,
        action: `${action} in ${place.description}`,
      });
      const abort = (): void => void checked.destroy(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      body.once('error', (error) => checked.destroy(place.failure(error, action)));
      checked.once('close', () => {
        signal.removeEventListener('abort', abort);
        body.destroy();
      });
      return body.pipe(checked);
    },
  });
}
