// R2 or any S3 as a store. Every page of every listing is read, "not found" is believed only when the server says it, and
// no key is ever overwritten.

import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { S3Settings } from '../config/settings.ts';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createBodyCheck } from './body-check.ts';
import { createS3Client } from './s3-client.ts';
import { copyObject } from './s3-copy.ts';
import { isNotFound, isNotImplemented, isPreconditionFailed, s3Error } from './s3-errors.ts';
import { readRules, replaceRules, toLifecycleRule } from './s3-lifecycle.ts';
import { maxObjectBytes } from './s3-limits.ts';
import { etagOf, upload } from './s3-upload.ts';
import type { GetOptions, ObjectKey, RemovableStore, StoredObject } from './store.ts';

/** Slowest upload that is not taken for a hang, in bytes a second; with it a part's deadline grows with its size. */
const slowestBytesPerSecond = 64 * 1024;

/** How a store treats a network that does not answer; tests shorten it. */
export interface S3Patience {
  /** Attempts of a request, with jittered waits of up to 20 s between them. */
  readonly maxAttempts: number;
  /** Silence on a socket after which the attempt has failed, in milliseconds. */
  readonly socketTimeoutMs: number;
  /** Silence after which a request that the server works on has failed, in milliseconds. */
  readonly patientTimeoutMs: number;
}

/** What a run uses when nothing else is said. */
export const defaultPatience: S3Patience = { maxAttempts: 8, socketTimeoutMs: 60_000, patientTimeoutMs: 600_000 };

/** A store in a bucket. */
export function createS3Store(
  settings: S3Settings,
  {
    log,
    patience = defaultPatience,
    pageSize = 1000,
  }: { readonly log: Log; readonly patience?: S3Patience; readonly pageSize?: number },
): RemovableStore {
  const { bucket } = settings;
  const place = `bucket '${bucket}' at ${settings.endpoint ?? `AWS ${settings.region}`}`;
  const common = { ...settings, maxAttempts: patience.maxAttempts };
  const client = createS3Client({
    ...common,
    socketTimeoutMs: patience.socketTimeoutMs,
    requestTimeoutMs: patience.patientTimeoutMs,
  });
  const patient = createS3Client({
    ...common,
    socketTimeoutMs: patience.patientTimeoutMs,
    requestTimeoutMs: patience.patientTimeoutMs,
  });

  async function attempt<Result>(
    action: string,
    options: { readonly signal: AbortSignal; readonly run: () => Promise<Result> },
  ): Promise<Result> {
    try {
      return await options.run();
    } catch (error) {
      options.signal.throwIfAborted();
      throw s3Error(error, `${action} in ${place}`);
    }
  }

  async function head(key: ObjectKey, { signal }: { readonly signal: AbortSignal }): Promise<StoredObject | null> {
    return attempt(`'${key}' could not be looked up`, {
      signal,
      run: async () => {
        try {
          const found = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal });
          return {
            key,
            bytes: found.ContentLength ?? 0,
            modifiedAt: found.LastModified ?? new Date(0),
            etag: etagOf(found),
          };
        } catch (error) {
          // The answer to HEAD has no body: a missing bucket looks like a missing object, and every refusal looks alike,
          // until the store is asked for something it has to answer in words.
          await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: key, MaxKeys: 1 }), {
            abortSignal: signal,
          });
          if (!isNotFound(error)) throw error;
          return null;
        }
      },
    });
  }

  async function read(key: ObjectKey, { signal, offset = 0, ifMatch }: GetOptions): Promise<Readable> {
    const action = `'${key}' could not be read`;
    return attempt(action, {
      signal,
      run: async () => {
        const command = new GetObjectCommand({
          Bucket: bucket,
          Key: key,
          ...(offset === 0 ? {} : { Range: `bytes=${offset}-` }),
          ...(ifMatch === undefined ? {} : { IfMatch: `"${ifMatch}"` }),
        });
        const { Body, ContentLength } = await client.send(command, { abortSignal: signal });
        const body = Body as Readable;
        const checked = createBodyCheck({
          bytes: ContentLength ?? 0,
          idleMs: patience.socketTimeoutMs,
          action: `${action} in ${place}`,
        });
        const abort = (): void => void checked.destroy(signal.reason as Error);
        signal.addEventListener('abort', abort, { once: true });
        body.once('error', (error) => checked.destroy(s3Error(error, `${action} in ${place}`)));
        checked.once('close', () => {
          signal.removeEventListener('abort', abort);
          body.destroy();
        });
        return body.pipe(checked);
      },
    });
  }

  return {
    name: 's3',
    description: place,
    maxObjectBytes,
    readingCosts: settings.profile === 'aws',
    head,
    get: read,
    async put(key, body, options) {
      const action = `'${key}' could not be stored`;
      // Nobody listens to the body until the upload begins.
      body.on('error', () => undefined);
      if ((await head(key, options)) !== null) {
        const error = new AppError('store', `${action} in ${place}: the key exists already`, {
          hint: 'Run the backup again.',
        });
        body.destroy(error);
        throw error;
      }
      const partDeadlineMs = patience.socketTimeoutMs + (options.partBytes / slowestBytesPerSecond) * 1_000;
      const partClient = createS3Client({
        ...common,
        socketTimeoutMs: patience.socketTimeoutMs,
        requestTimeoutMs: partDeadlineMs,
      });
      try {
        return await upload({
          client: partClient,
          patient,
          bucket,
          key,
          body,
          partBytes: options.partBytes,
          concurrency: settings.concurrency,
          signal: options.signal,
          onProgress: options.onProgress ?? (() => undefined),
        });
      } catch (error) {
        options.signal.throwIfAborted();
        throw s3Error(error, `${action} in ${place}`);
      } finally {
        partClient.destroy();
      }
    },
    async copy(from, { to, source, signal, onProgress = () => undefined }) {
      const action = `'${from}' could not be copied to '${to}'`;
      return attempt(action, {
        signal,
        run: async () => {
          if ((await head(to, { signal })) !== null)
            throw new AppError('store', `${action} in ${place}: the key exists already`, { hint: 'Try again.' });
          const { concurrency } = settings;
          const etag = await copyObject({ client: patient, bucket, from, to, source, concurrency, signal, onProgress });
          return { bytes: source.bytes, etag };
        },
      });
    },
    async putDocument(key, content, { signal }) {
      await attempt(`'${key}' could not be stored`, {
        signal,
        run: async () => {
          const input = { Bucket: bucket, Key: key, Body: content, ContentType: 'application/json' };
          const comparePresent = async (): Promise<void> => {
            const stored = await collect(await read(key, { signal }));
            if (Buffer.compare(stored, content) === 0) return;
            throw new AppError('store', `'${key}' exists already in ${place} with other content`);
          };
          // Asked first: some stores take the condition below and do not look at it.
          if ((await head(key, { signal })) !== null) {
            await comparePresent();
            return;
          }
          try {
            await client.send(new PutObjectCommand({ ...input, IfNoneMatch: '*' }), { abortSignal: signal });
          } catch (error) {
            // A failed condition is also the answer to a retry whose first attempt had landed.
            if (isPreconditionFailed(error)) await comparePresent();
            else if (isNotImplemented(error)) await client.send(new PutObjectCommand(input), { abortSignal: signal });
            else throw error;
          }
        },
      });
    },
    async *list(prefix, { signal }) {
      let token: string | undefined;
      do {
        const page = await attempt('Objects could not be listed', {
          signal,
          run: async () =>
            client.send(
              new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: pageSize, ContinuationToken: token }),
              {
                abortSignal: signal,
              },
            ),
        });
        for (const { Key, Size, LastModified, ETag } of page.Contents ?? []) {
          if (Key === undefined) continue;
          yield {
            key: Key as ObjectKey,
            bytes: Size ?? 0,
            modifiedAt: LastModified ?? new Date(0),
            etag: ETag?.replaceAll('"', '') ?? null,
          };
        }
        token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
    },
    async *listUnfinished(prefix, { signal }) {
      let marker: { readonly KeyMarker?: string; readonly UploadIdMarker?: string } | undefined = {};
      while (marker !== undefined) {
        const query: object = marker;
        const page = await attempt('Unfinished uploads could not be listed', {
          signal,
          run: async () => {
            try {
              return await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, ...query }), {
                abortSignal: signal,
              });
            } catch (error) {
              if (!isNotImplemented(error)) throw error;
              log.debug({ store: place }, 'The store cannot list unfinished uploads');
              return undefined;
            }
          },
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
    },
    async now({ signal }) {
      return attempt("The store's clock could not be read", {
        signal,
        run: async () => {
          const command = new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 });
          let date: string | undefined;
          command.middlewareStack.add(
            (next) => async (args) => {
              const result = await next(args);
              date = (result.response as { headers?: Record<string, string> }).headers?.['date'];
              return result;
            },
            { step: 'deserialize', name: 'readDate', priority: 'low' },
          );
          await client.send(command, { abortSignal: signal });
          const now = new Date(date ?? Number.NaN);
          return Number.isNaN(now.getTime()) ? null : now;
        },
      });
    },
    async lifecycleRules({ signal }) {
      try {
        return (await readRules({ client, bucket, signal })).map(toLifecycleRule);
      } catch {
        signal.throwIfAborted();
        // A token for objects alone may not ask.
        return null;
      }
    },
    async replaceLifecycleRules(rules, { idPrefix, signal }) {
      await attempt('The bucket rules could not be changed', {
        signal,
        run: async () => replaceRules({ client, bucket, signal }, { rules, idPrefix }),
      });
    },
    async remove(key, { signal }) {
      await attempt(`'${key}' could not be deleted`, {
        signal,
        run: async () => client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal }),
      });
    },
    async discard({ key, uploadId }, { signal }) {
      await attempt(`The unfinished upload of '${key}' could not be aborted`, {
        signal,
        run: async () => {
          const command = new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId });
          await client.send(command, { abortSignal: signal }).catch((error: unknown) => {
            if (!isNotFound(error)) throw error;
          });
        },
      });
    },
    async close() {
      client.destroy();
      patient.destroy();
    },
  };
}

async function collect(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
