// What is in a bucket: one object looked up or read, and every page of every listing. "Not found" is believed only when the
// server says it; a refusal that were taken for it would let somebody's backup be swept away.

import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import { createBodyCheck } from './body-check.ts';
import { etagOf } from './s3-etag.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { isNotFound, isNotImplemented } from './s3-errors.ts';
import type { GetOptions, ObjectKey, StoredObject, UnfinishedUpload } from './store.ts';

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
        await askInWords(place, key, signal);
        if (!isNotFound(error)) throw error;
        return null;
      }
    },
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
        await askInWords(place, key, signal);
        throw error;
      }
    },
  });
}

async function describe({ client, bucket }: S3Bucket, key: ObjectKey, signal: AbortSignal): Promise<StoredObject> {
  const found = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal });
  return { key, bytes: found.ContentLength ?? 0, modifiedAt: found.LastModified ?? new Date(0), etag: etagOf(found) };
}

// The answer to HEAD has no body: a missing bucket looks like a missing object, and every refusal looks alike, until the
// store is asked for something it has to answer in words.
async function askInWords({ client, bucket }: S3Bucket, key: ObjectKey, signal: AbortSignal): Promise<void> {
  await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: key, MaxKeys: 1 }), { abortSignal: signal });
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
      const { Body, ContentLength } = await place.client.send(command, { abortSignal: signal });
      const body = Body as Readable;
      const checked = createBodyCheck({
        bytes: ContentLength ?? 0,
        idleMs: place.patience.socketTimeoutMs,
        action: `${action} in ${place.description}`,
      });
      const abort = (): void => void checked.destroy(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      body.on('error', (error) => checked.destroy(place.failure(error, action)));
      checked.once('close', () => {
        signal.removeEventListener('abort', abort);
        body.destroy();
      });
      return body.pipe(checked);
    },
  });
}

/** All objects below a prefix, in key order. */
export async function* list(
  place: S3Bucket,
  prefix: string,
  { signal, pageSize }: Asking & { readonly pageSize: number },
): AsyncGenerator<StoredObject> {
  let token: string | undefined;
  do {
    const query = { Bucket: place.bucket, Prefix: prefix, MaxKeys: pageSize, ContinuationToken: token };
    const page = await place.attempt(
      prefix === '' ? 'Objects could not be listed' : `'${prefix}' could not be listed`,
      {
        signal,
        run: async () => place.client.send(new ListObjectsV2Command(query), { abortSignal: signal }),
      },
    );
    for (const { Key, Size, LastModified, ETag } of page.Contents ?? []) {
      if (Key === undefined) continue;
      const modifiedAt = LastModified ?? new Date(0);
      yield { key: Key as ObjectKey, bytes: Size ?? 0, modifiedAt, etag: etagOf({ ETag }) };
    }
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}

/** All unfinished uploads below a prefix; none where the server cannot list them. */
export async function* listUnfinished(
  place: S3Bucket,
  prefix: string,
  { signal }: Asking,
): AsyncGenerator<UnfinishedUpload> {
  let marker: { readonly KeyMarker?: string; readonly UploadIdMarker?: string } | undefined = {};
  while (marker !== undefined) {
    const query: object = marker;
    const command = new ListMultipartUploadsCommand({ Bucket: place.bucket, Prefix: prefix, ...query });
    const page = await place.attempt('Unfinished uploads could not be listed', {
      signal,
      run: async () =>
        place.client.send(command, { abortSignal: signal }).catch((error: unknown) => {
          if (!isNotImplemented(error)) throw error;
          return undefined;
        }),
    });
    for (const { Key, UploadId, Initiated } of page?.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || !Key.startsWith(prefix)) continue;
      // Without a date it counts as young, and is left alone.
      yield { key: Key as ObjectKey, uploadId: UploadId, startedAt: Initiated ?? new Date(8.64e15) };
    }
    marker =
      page?.IsTruncated === true && page.NextKeyMarker !== undefined
        ? {
            KeyMarker: page.NextKeyMarker,
            ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
          }
        : undefined;
  }
}
