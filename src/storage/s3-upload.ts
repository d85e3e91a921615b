// Multipart uploads through lib-storage, the only file that knows it. Left alone it completes an upload when its body
// merely ends, uploads all the rest after one part has failed, and cannot be cancelled while a server hangs; so the body
// is failed on the first reason, and requests in flight are aborted with it.

import { Readable, Transform } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  HeadObjectCommand,
  type S3Client,
  type UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import type { ObjectKey, PutReceipt } from './store.ts';

/** Bytes handed to the socket at once; progress is seen in steps of this. */
const sliceBytes = 128 * 1024;
const abortDeadlineMs = 10_000;

type Command = Parameters<S3Client['send']>[0];

/**
 * Uploads `body`. Rejects with the body's own error when that fails, with the signal's reason when it aborts, else with the
 * SDK's error; `AbortMultipartUpload` has been sent by then.
 */
export async function upload(options: {
  /** A client of this upload's own. */
  readonly client: S3Client;
  /** A client that waits longer for an answer. */
  readonly patient: S3Client;
  readonly bucket: string;
  readonly key: ObjectKey;
  readonly body: Readable;
  readonly partBytes: number;
  readonly concurrency: number;
  readonly signal: AbortSignal;
  readonly onProgress: (sentBytes: number) => void;
}): Promise<PutReceipt> {
  const { body, signal } = options;
  const requests = new AbortController();
  let bytes = 0;
  // lib-storage reads a stream of its own, so that failing it does not depend on where the body stands.
  const guarded = new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, callback) {
      bytes += chunk.length;
      callback(null, chunk);
    },
  });
  guarded.on('error', () => undefined);
  let firstFailure: { readonly reason: unknown } | undefined;
  const fail = (reason: unknown): void => {
    if (firstFailure !== undefined) return;
    firstFailure = { reason };
    requests.abort(reason);
    // The reason is kept above; lib-storage only needs to see that the body fails.
    guarded.destroy(new Error('The upload was given up'));
  };
  const onAbort = (): void => fail(signal.reason);
  const onClose = (): void => {
    if (!body.readableEnded) fail(body.errored ?? new Error('The body was closed before its end'));
  };
  body.once('error', fail);
  body.once('close', onClose);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  if (body.destroyed) onClose();
  body.pipe(guarded);

  meterBodies(options.client, options.onProgress);
  const send = async (command: Command): Promise<unknown> => {
    if (command instanceof AbortMultipartUploadCommand) {
      return options.client.send(command, { abortSignal: AbortSignal.timeout(abortDeadlineMs) });
    }
    try {
      const client = command instanceof CompleteMultipartUploadCommand ? options.patient : options.client;
      return await client.send(command as UploadPartCommand, { abortSignal: requests.signal });
    } catch (error) {
      fail(error);
      throw error;
    }
  };
  try {
    const result = await new Upload({
      client: Object.create(options.client, { send: { value: send } }) as S3Client,
      params: { Bucket: options.bucket, Key: options.key, Body: guarded },
      partSize: options.partBytes,
      queueSize: options.concurrency,
      leavePartsOnError: false,
    }).done();
    return { bytes, etag: etagOf(result) };
  } catch (error) {
    fail(error);
    const stored = body.readableEnded && !signal.aborted ? await lookUp(options) : undefined;
    // The last answer may have been lost after the store had completed the upload.
    if (stored !== undefined && stored.bytes === bytes) return stored;
    throw firstFailure?.reason;
  } finally {
    signal.removeEventListener('abort', onAbort);
    body.off('close', onClose);
    body.unpipe(guarded);
    body.destroy();
  }
}

async function lookUp({
  client,
  bucket,
  key,
}: {
  readonly client: S3Client;
  readonly bucket: string;
  readonly key: string;
}): Promise<PutReceipt | undefined> {
  try {
    const found = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), {
      abortSignal: AbortSignal.timeout(abortDeadlineMs),
    });
    return { bytes: found.ContentLength ?? -1, etag: etagOf(found) };
  } catch {
    return undefined;
  }
}

/**
 * The ETag of an answer, without quotes; null where there is none, or where it is no MD5 though it has the form of one: of
 * objects that are encrypted with keys of KMS or of the customer (S3 "Checking object integrity").
 */
export function etagOf(answer: {
  readonly ETag?: string | undefined;
  readonly ServerSideEncryption?: string | undefined;
  readonly SSECustomerAlgorithm?: string | undefined;
}): string | null {
  const opaque =
    answer.ServerSideEncryption?.startsWith('aws:kms') === true || answer.SSECustomerAlgorithm !== undefined;
  return opaque ? null : (answer.ETag?.replaceAll('"', '') ?? null);
}

// Sends every body in slices that are counted, anew at every attempt, and reports the most bytes any attempt has sent of
// each part: what is sent again by a retry is no progress.
function meterBodies(client: S3Client, onProgress: (sentBytes: number) => void): void {
  const sent = new Map<string, number>();
  let total = 0;
  client.middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as { readonly body?: unknown; readonly query?: Record<string, string> };
      if (!Buffer.isBuffer(request.body)) return next(args);
      const part = request.query?.['partNumber'] ?? '';
      const note = (bytes: number): void => {
        const before = sent.get(part) ?? 0;
        if (bytes <= before) return;
        sent.set(part, bytes);
        total += bytes - before;
        onProgress(total);
      };
      const body = Readable.from(slices(request.body, note), { objectMode: false, highWaterMark: sliceBytes });
      const metered = Object.assign(Object.create(Object.getPrototypeOf(request) as object) as object, request, {
        body,
      });
      return next({ ...args, request: metered });
    },
    // This step runs inside the retries and after signing: what is sent is what was signed.
    { step: 'deserialize', name: 'meterBodies', priority: 'low' },
  );
}

function* slices(body: Buffer, note: (bytes: number) => void): Generator<Buffer> {
  for (let at = 0; at < body.length; at += sliceBytes) {
    const slice = body.subarray(at, at + sliceBytes);
    yield slice;
    note(at + slice.length);
  }
}
