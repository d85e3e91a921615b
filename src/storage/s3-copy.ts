// Copies inside a bucket, without a byte passing through here. An object that was uploaded in parts is copied in the same
// parts, so that the copy has the ETag of its source; above 5 GiB there is no other way (S3 "Copying an object").

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  UploadPartCopyCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { contentTypeOf } from './content-type.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { etagOf } from './s3-etag.ts';
import { maxPartBytes } from './s3-limits.ts';
import { assureRetention, retentionOf } from './s3-protection.ts';
import type { CopyOptions, ObjectKey } from './store.ts';

const abortDeadlineMs = 10_000;
const gib = 1024 ** 3;

/** A copy within a bucket. */
export interface S3Copy extends Required<CopyOptions> {
  readonly from: ObjectKey;
  /** Whether it is locked as the settings say; the lock of the source does not come with it. */
  readonly retained: boolean;
}

/** Copies an object; answers the copy's ETag without quotes. An upload that was begun is aborted before it rejects. */
export async function copyObject(place: S3Bucket, copy: S3Copy): Promise<string | null> {
  const { source, signal } = copy;
  // A store answers when it has copied.
  const { patient: client, bucket } = place;
  const partBytes = partBytesOf(source, place);
  const from = {
    CopySource: `${bucket}/${copy.from.split('/').map(encodeURIComponent).join('/')}`,
    ...(source.etag === null ? {} : { CopySourceIfMatch: `"${source.etag}"` }),
  };
  const to = { Bucket: bucket, Key: copy.to };
  const lock = retentionOf(copy.retained ? place.objectLockDays : null);
  if (partBytes === null) {
    const answer = await client.send(new CopyObjectCommand({ ...to, ...from, ...lock }), { abortSignal: signal });
    copy.onProgress(source.bytes);
    return etagOf({ ...answer, ETag: answer.CopyObjectResult?.ETag });
  }
  // What was said of the source is not copied with its parts.
  const create = new CreateMultipartUploadCommand({ ...to, ...lock, ContentType: contentTypeOf(copy.to) });
  const { UploadId } = await client.send(create, { abortSignal: signal });
  try {
    const parts = await copyParts(place, copy, { partBytes, from, to: { ...to, UploadId } });
    const answer = await client.send(
      new CompleteMultipartUploadCommand({ ...to, UploadId, MultipartUpload: { Parts: parts } }),
      { abortSignal: signal },
    );
    await assureRetention(place, { key: copy.to, retention: lock, signal });
    return etagOf(answer);
  } catch (error) {
    await client
      .send(new AbortMultipartUploadCommand({ ...to, UploadId }), { abortSignal: AbortSignal.timeout(abortDeadlineMs) })
      // What is left is swept later; the first reason is the one to tell.
      .catch(() => undefined);
    throw error;
  }
}

async function copyParts(
  { patient, concurrency }: S3Bucket,
  { source, signal, onProgress }: S3Copy,
  {
    partBytes,
    from,
    to,
  }: {
    readonly partBytes: number;
    readonly from: { readonly CopySource: string };
    readonly to: { readonly Bucket: string; readonly Key: string; readonly UploadId: string | undefined };
  },
): Promise<CompletedPart[]> {
  const numbers = Array.from({ length: Math.ceil(source.bytes / partBytes) }, (_, index) => index + 1);
  const parts: CompletedPart[] = [];
  let bytes = 0;
  const stop = new AbortController();
  const abortSignal = AbortSignal.any([signal, stop.signal]);
  const work = async (): Promise<void> => {
    for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
      const start = (number - 1) * partBytes;
      const end = Math.min(start + partBytes, source.bytes);
      const { CopyPartResult } = await patient.send(
        new UploadPartCopyCommand({
          ...to,
          ...from,
          PartNumber: number,
          CopySourceRange: `bytes=${start}-${end - 1}`,
        }),
        { abortSignal },
      );
      parts[number - 1] = { PartNumber: number, ETag: CopyPartResult?.ETag };
      bytes += end - start;
      onProgress(bytes);
    }
  };
  await Promise.all(
    Array.from({ length: concurrency }, async () => work().catch((error: unknown) => stop.abort(error))),
  );
  abortSignal.throwIfAborted();
  return parts;
}

// Null: one request.
function partBytesOf(
  { bytes, etag, partBytes }: S3Copy['source'],
  { maxParts }: Pick<S3Bucket, 'maxParts'>,
): number | null {
  const parts = partBytes === null ? 1 : Math.ceil(bytes / partBytes);
  if (partBytes !== null && parts > 1 && parts <= maxParts && etag?.endsWith(`-${parts}`) === true) return partBytes;
  if (bytes <= maxPartBytes) return null;
  return Math.max(gib, Math.ceil(bytes / maxParts / gib) * gib);
}
