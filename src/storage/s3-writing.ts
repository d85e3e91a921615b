// What is added to a bucket, never over what is there: a stream of unknown length, a copy of an object, a small document.

import type { Readable } from 'node:stream';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { AppError } from '../errors.ts';
import { contentTypeOf } from './content-type.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { copyObject } from './s3-copy.ts';
import { isNotImplemented, isPreconditionFailed } from './s3-errors.ts';
import { assureRetention, retentionOf } from './s3-protection.ts';
import { isTaken, read } from './s3-reading.ts';
import { upload } from './s3-upload.ts';
import { overwriting, type CopyOptions, type ObjectKey, type PutOptions, type PutReceipt } from './store.ts';

/** Slowest upload that is not taken for a hang, in bytes a second; with it a part's deadline grows with its size. */
const slowestBytesPerSecond = 64 * 1024;

/** Uploads a stream. Nothing is under the key, and no upload unfinished, when it rejects. */
export async function putStream(
  place: S3Bucket,
  { key, body, options }: { readonly key: ObjectKey; readonly body: Readable; readonly options: PutOptions },
): Promise<PutReceipt> {
  const action = `'${key}' could not be stored`;
  const { partBytes, signal, retained = false, onProgress = () => undefined } = options;
  // Nobody listens to the body until the upload begins.
  body.on('error', () => undefined);
  const stored = place.attempt(action, {
    signal,
    run: async () => {
      if (await isTaken(place, key, { signal })) throw overwriting(`${action} in ${place.description}`);
      const partTimeoutMs = place.patience.socketTimeoutMs + (partBytes / slowestBytesPerSecond) * 1_000;
      const retention = retentionOf(retained ? place.objectLockDays : null);
      const receipt = await upload(place, { key, body, partBytes, partTimeoutMs, signal, retention, onProgress });
      // What cannot be locked now is there without a manifest, and the sweep's.
      if (receipt.bytes > partBytes) await assureRetention(place, { key, retention, signal });
      return receipt;
    },
  });
  // Whoever writes into it would wait for somebody who reads.
  stored.catch((error: unknown) => body.destroy(error instanceof Error ? error : undefined));
  return stored;
}

/** Copies an object inside the bucket. */
export async function copy(
  place: S3Bucket,
  { from, options }: { readonly from: ObjectKey; readonly options: CopyOptions },
): Promise<PutReceipt> {
  const { to, source, signal, retained = false, onProgress = () => undefined } = options;
  const action = `'${from}' could not be copied to '${to}'`;
  return place.attempt(action, {
    signal,
    run: async () => {
      if (await isTaken(place, to, { signal })) throw overwriting(`${action} in ${place.description}`);
      const etag = await copyObject(place, { from, to, source, signal, retained, onProgress });
      return { bytes: source.bytes, etag };
    },
  });
}

/** Puts a document whole, on condition that nothing is under its key, or the same. */
export async function putDocument(
  place: S3Bucket,
  {
    key,
    content,
    signal,
    retained = false,
  }: {
    readonly key: ObjectKey;
    readonly content: Uint8Array;
    readonly signal: AbortSignal;
    readonly retained?: boolean;
  },
): Promise<void> {
  await place.attempt(`'${key}' could not be stored`, {
    signal,
    run: async () => {
      // Asked first: some stores take the condition below and do not look at it.
      if (await isTaken(place, key, { signal })) return comparePresent(place, { key, content, signal });
      const input = {
        Bucket: place.bucket,
        Key: key,
        Body: content,
        ContentType: contentTypeOf(key),
        ...retentionOf(retained ? place.objectLockDays : null),
      };
      const { client } = place;
      try {
        await client.send(new PutObjectCommand({ ...input, IfNoneMatch: '*' }), { abortSignal: signal });
      } catch (error) {
        // A failed condition is also the answer to a retry whose first attempt had landed.
        if (isPreconditionFailed(error)) await comparePresent(place, { key, content, signal });
        else if (isNotImplemented(error)) await client.send(new PutObjectCommand(input), { abortSignal: signal });
        else throw error;
      }
    },
  });
}

async function comparePresent(
  place: S3Bucket,
  { key, content, signal }: { readonly key: ObjectKey; readonly content: Uint8Array; readonly signal: AbortSignal },
): Promise<void> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Whoever may write there may have put something there that no memory holds.
  for await (const chunk of await read(place, key, { signal })) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > content.length) break;
  }
  if (Buffer.compare(Buffer.concat(chunks), content) === 0) return;
  throw new AppError('store', `'${key}' exists already in ${place.description} with other content`, {
    reason: 'exists',
    hint: 'Look who else writes there, and move it away.',
  });
}
