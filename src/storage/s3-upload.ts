// Multipart uploads through lib-storage, the only file that knows it. Left alone it completes an upload when its body
// merely ends, uploads all the rest after one part has failed, and cannot be cancelled while a server hangs; so the body
// is failed on the first reason, and requests in flight are aborted with it.

import { Readable, Transform } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { contentTypeOf } from './content-type.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { etagOf } from './s3-etag.ts';
import type { Retention } from './s3-protection.ts';
import type { ObjectKey, PutReceipt } from './store.ts';

/** Bytes handed to the socket at once; progress is seen in steps of this. */
const sliceBytes = 128 * 1024;
const abortDeadlineMs = 10_000;
/** How long the answer that names an upload is still waited for when the upload is given up, in milliseconds. */
const namingGraceMs = 5_000;

type Command = Parameters<S3Client['send']>[0];

/**
 * Uploads `body`. Rejects with the body's own error when that fails, with the signal's reason when it aborts, else with the
 * SDK's error; `AbortMultipartUpload` has been sent by then.
 */
export async function upload(
  place: S3Bucket,
  options: {
    readonly key: ObjectKey;
    readonly body: Readable;
    readonly partBytes: number;
    /** How long one attempt at a part may take, in milliseconds. */
    readonly partTimeoutMs: number;
    readonly signal: AbortSignal;
    /** How it is locked. */
    readonly retention: Retention;
    readonly onProgress: (sentBytes: number) => void;
  },
): Promise<PutReceipt> {
  const { key, body, signal } = options;
  const { client, patient, bucket } = place;
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

  const note = createSentMeter(options.onProgress);
  const send = async (command: Command): Promise<unknown> => {
    if (command instanceof AbortMultipartUploadCommand) {
      return client.send(command, { abortSignal: AbortSignal.timeout(abortDeadlineMs) });
    }
    try {
      const abortSignal = requests.signal;
      if (command instanceof CreateMultipartUploadCommand) return await named(client, { command, abortSignal });
      if (command instanceof CompleteMultipartUploadCommand) return await patient.send(command, { abortSignal });
      // All of them look alike to the compiler as soon as they are sent.
      const asked = command as UploadPartCommand;
      if (!(command instanceof UploadPartCommand || command instanceof PutObjectCommand))
        return await client.send(asked, { abortSignal });
      meterBody(asked, note);
      return await client.send(asked, { abortSignal, requestTimeout: options.partTimeoutMs });
    } catch (error) {
      fail(error);
      throw error;
    }
  };
  try {
    const result = await new Upload({
      client: Object.create(client, { send: { value: send } }) as S3Client,
      params: {
        Bucket: bucket,
        Key: key,
        Body: guarded,
        ContentType: contentTypeOf(key),
        ...options.retention,
      },
      partSize: options.partBytes,
      queueSize: place.concurrency,
      leavePartsOnError: false,
    }).done();
    return { bytes, etag: etagOf(result) };
  } catch (error) {
    fail(error);
    const stored = body.readableEnded && !signal.aborted ? await lookUp(place, key) : undefined;
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

// Who does not hear the name of an upload cannot abort it, and a bucket keeps its parts for ever.
async function named(
  client: S3Client,
  { command, abortSignal }: { readonly command: CreateMultipartUploadCommand; readonly abortSignal: AbortSignal },
): Promise<unknown> {
  abortSignal.throwIfAborted();
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const wait = (): void => {
    timer = setTimeout(() => late.abort(abortSignal.reason), namingGraceMs);
  };
  abortSignal.addEventListener('abort', wait, { once: true });
  try {
    return await client.send(command, { abortSignal: late.signal });
  } finally {
    abortSignal.removeEventListener('abort', wait);
    clearTimeout(timer);
  }
}

async function lookUp({ client, bucket }: S3Bucket, key: ObjectKey): Promise<PutReceipt | undefined> {
  try {
    const found = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), {
      abortSignal: AbortSignal.timeout(abortDeadlineMs),
    });
    return { bytes: found.ContentLength ?? -1, etag: etagOf(found) };
  } catch {
    return undefined;
  }
}

type NoteSent = (part: string, sentBytes: number) => void;

// Reports the most bytes that any attempt has sent of each part: what is sent again by a retry is no progress.
function createSentMeter(onProgress: (sentBytes: number) => void): NoteSent {
  const sent = new Map<string, number>();
  let total = 0;
  return (part, bytes) => {
    const before = sent.get(part) ?? 0;
    if (bytes <= before) return;
    sent.set(part, bytes);
    total += bytes - before;
    onProgress(total);
  };
}

// Sends the body in slices that are counted, anew at every attempt.
function meterBody(command: UploadPartCommand, note: NoteSent): void {
  command.middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as { readonly body?: unknown; readonly query?: Record<string, string> };
      if (!Buffer.isBuffer(request.body)) return next(args);
      const part = request.query?.['partNumber'] ?? '';
      const counted = slices(request.body, (bytes) => note(part, bytes));
      const body = Readable.from(counted, { objectMode: false, highWaterMark: sliceBytes });
      const metered = Object.assign(Object.create(Object.getPrototypeOf(request) as object) as object, request, {
        body,
      });
      return next({ ...args, request: metered });
    },
    // This step runs inside the retries and after signing: what is sent is what was signed.
    { step: 'deserialize', name: 'meterBody', priority: 'low' },
  );
}

function* slices(body: Buffer, note: (bytes: number) => void): Generator<Buffer> {
  for (let at = 0; at < body.length; at += sliceBytes) {
    const slice = body.subarray(at, at + sliceBytes);
    yield slice;
    note(at + slice.length);
  }
}
