// R2 or any S3 as a store: what the interface promises, from the files that know how to ask a bucket for it.

import { AbortMultipartUploadCommand, DeleteObjectCommand } from '@aws-sdk/client-s3';
import type { S3Settings } from '../config/bucket.ts';
import { defaultPatience, openBucket, type S3Bucket, type S3Patience } from './s3-bucket.ts';
import { readClock } from './s3-clock.ts';
import { isNotFound } from './s3-errors.ts';
import { readRules, replaceRules, toLifecycleRule } from './s3-lifecycle.ts';
import { maxObjectBytes } from './s3-limits.ts';
import { list, listUnfinished } from './s3-listing.ts';
import { lookUp, read } from './s3-reading.ts';
import { readProtection } from './s3-protection.ts';
import { copy, putDocument, putStream } from './s3-writing.ts';
import type { LifecycleRule, ObjectKey, RemovableStore, UnfinishedUpload } from './store.ts';

/** A store in a bucket. */
export function createS3Store(
  settings: S3Settings,
  { patience = defaultPatience, pageSize = 1000 }: { readonly patience?: S3Patience; readonly pageSize?: number } = {},
): RemovableStore {
  const place = openBucket(settings, patience);
  return {
    name: 's3',
    description: place.description,
    maxObjectBytes,
    maxParts: place.maxParts,
    comparesEtags: true,
    hasParts: true,
    hasRules: true,
    hasLocks: true,
    hasClock: true,
    put: async (key, body, options) => putStream(place, { key, body, options }),
    copy: async (from, options) => copy(place, { from, options }),
    putDocument: async (key, content, options) => putDocument(place, { key, content, ...options }),
    get: async (key, options) => read(place, key, options),
    head: async (key, options) => lookUp(place, key, options),
    list: (prefix, { signal }) => list(place, prefix, { signal, pageSize }),
    listUnfinished: (prefix, options) => listUnfinished(place, prefix, options),
    space: async () => null,
    now: async ({ signal }) => readClock(place, signal),
    lifecycleRules: async ({ signal }) => rulesOf(place, signal),
    async replaceLifecycleRules(rules, { idPrefix, signal }) {
      await place.attempt('The bucket rules could not be changed', {
        signal,
        run: async () => replaceRules({ ...place, signal }, { rules, idPrefix }),
      });
    },
    remove: async (key, { signal }) => remove(place, key, signal),
    discard: async (unfinished, { signal }) => discard(place, unfinished, signal),
    protection: async ({ signal }) => readProtection(place, signal),
    close: async () => place.close(),
  };
}

async function rulesOf({ client, bucket }: S3Bucket, signal: AbortSignal): Promise<readonly LifecycleRule[] | null> {
  try {
    return (await readRules({ client, bucket, signal })).map(toLifecycleRule);
  } catch {
    signal.throwIfAborted();
    // A token for objects alone may not ask.
    return null;
  }
}

async function remove(place: S3Bucket, key: ObjectKey, signal: AbortSignal): Promise<void> {
  const command = new DeleteObjectCommand({ Bucket: place.bucket, Key: key });
  await place.attempt(`'${key}' could not be deleted`, {
    signal,
    run: async () => place.client.send(command, { abortSignal: signal }),
  });
}

async function discard(place: S3Bucket, { key, uploadId }: UnfinishedUpload, signal: AbortSignal): Promise<void> {
  const command = new AbortMultipartUploadCommand({ Bucket: place.bucket, Key: key, UploadId: uploadId });
  await place.attempt(`The unfinished upload of '${key}' could not be aborted`, {
    signal,
    run: async () =>
      place.client.send(command, { abortSignal: signal }).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      }),
  });
}
