// A bucket and the two ways to ask it: with the usual patience, and with the longer one for what a store works on before it
// answers. All requests go through these two clients, so that no upload opens sockets of its own, and every failure is told
// with the action and the place.

import type { S3Client } from '@aws-sdk/client-s3';
import type { S3Settings } from '../config/bucket.ts';
import type { AppError } from '../errors.ts';
import { createS3Client } from './s3-client.ts';
import { isOfProxy } from './s3-proxy.ts';
import { s3Error } from './s3-errors.ts';
import { maxPartsAt } from './s3-limits.ts';

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

/** A bucket that can be asked. */
export interface S3Bucket {
  readonly bucket: string;
  /** For people: the bucket and its endpoint. */
  readonly description: string;
  /** Parts in flight. */
  readonly concurrency: number;
  /** The most parts of one upload. */
  readonly maxParts: number;
  /** For how many days what is retained is locked; null: it is not. */
  readonly objectLockDays: number | null;
  readonly patience: S3Patience;
  /** For what is answered at once. */
  readonly client: S3Client;
  /** For what the store answers only when it has done it. */
  readonly patient: S3Client;
  /** Asks; a failure is told as the failed `action`, or as the reason of `signal`. */
  attempt<Result>(
    action: string,
    options: {
      readonly signal: AbortSignal;
      /** What the token needs for it, such as `s3:ListBucket`; left out: what all of this program needs. */
      readonly right?: string;
      readonly run: () => Promise<Result>;
    },
  ): Promise<Result>;
  /** The failure of `action` as people are told it. */
  failure(error: unknown, action: string, right?: string): AppError;
  /** Ends all sockets. */
  close(): void;
}

/** Opens a bucket; nothing is sent before something is asked. */
export function openBucket(settings: S3Settings, patience: S3Patience): S3Bucket {
  const { bucket, concurrency, objectLockDays = null } = settings;
  const description = `bucket '${bucket}' at ${settings.endpoint ?? `AWS ${settings.region}`}`;
  const clientWith = (socketTimeoutMs: number): S3Client =>
    createS3Client({
      ...settings,
      maxAttempts: patience.maxAttempts,
      socketTimeoutMs,
      requestTimeoutMs: patience.patientTimeoutMs,
    });
  const client = clientWith(patience.socketTimeoutMs);
  const patient = clientWith(patience.patientTimeoutMs);
  const failure = (error: unknown, action: string, right?: string): AppError =>
    s3Error(error, {
      action: `${action} in ${description}`,
      ...(right === undefined ? {} : { right }),
      isOfProxy: isOfProxy(error, settings),
    });
  return {
    bucket,
    description,
    concurrency,
    maxParts: maxPartsAt(settings.endpoint),
    objectLockDays,
    patience,
    client,
    patient,
    failure,
    async attempt(action, { signal, right, run }) {
      try {
        return await run();
      } catch (error) {
        signal.throwIfAborted();
        throw failure(error, action, right);
      }
    },
    close() {
      client.destroy();
      patient.destroy();
    },
  };
}
