// What a bucket does with what is deleted: whether it keeps older versions, and whether nobody may delete before a time is over. Without
// a word about it, retention on a versioned bucket looks as if it freed something.

import {
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  HeadObjectCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3';
import type { S3Bucket } from './s3-bucket.ts';
import { isNotFound, isNotImplemented } from './s3-errors.ts';
import type { BucketProtection } from './store.ts';

const dayMs = 86_400_000;

/** How an object is locked; empty: it is not. */
export interface Retention {
  readonly ObjectLockMode?: 'COMPLIANCE';
  readonly ObjectLockRetainUntilDate?: Date;
}

/**
 * How what is stored is locked: COMPLIANCE, which nobody can shorten or take away, whoever has got hold of which key. GOVERNANCE gives
 * way to everyone whose token has one right more, and the tokens of many consoles have it.
 */
export function retentionOf(days: number | null, now: number = Date.now()): Retention {
  if (days === null) return {};
  // To the second: that is as exact as every store takes it.
  const until = new Date(Math.ceil((now + days * dayMs) / 1_000) * 1_000);
  return { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: until };
}

/** Until when nobody may delete an object, by the answer to HEAD; null: it is not locked, or we may not know. */
export function lockOf(found: {
  readonly ObjectLockRetainUntilDate?: Date | undefined;
  readonly ObjectLockLegalHoldStatus?: string | undefined;
}): Date | null {
  // A legal hold has no end of its own.
  if (found.ObjectLockLegalHoldStatus === 'ON') return new Date(8.64e15);
  return found.ObjectLockRetainUntilDate ?? null;
}

/**
 * Sees to it that an object that was put in parts is locked. Ceph 16 takes the retention of an upload and forgets it; what is not locked
 * then is locked now. Rejects with the SDK's error.
 */
export async function assureRetention(
  { client, bucket }: Pick<S3Bucket, 'client' | 'bucket'>,
  { key, retention, signal }: { readonly key: string; readonly retention: Retention; readonly signal: AbortSignal },
): Promise<void> {
  const { ObjectLockMode: Mode, ObjectLockRetainUntilDate: RetainUntilDate } = retention;
  if (RetainUntilDate === undefined) return;
  const found = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal });
  const until = lockOf(found);
  if (until !== null && until >= RetainUntilDate) return;
  const command = new PutObjectRetentionCommand({ Bucket: bucket, Key: key, Retention: { Mode, RetainUntilDate } });
  await client.send(command, { abortSignal: signal });
}

/** What the bucket does; each null: this token may not look. */
export async function readProtection(place: S3Bucket, signal: AbortSignal): Promise<BucketProtection> {
  const { client, bucket } = place;
  // Together: one that fails behind the other would be heard by nobody, and end the process.
  const [versioning, lock] = await Promise.all([
    ask(signal, async () => {
      const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket: bucket }), { abortSignal: signal });
      return Status === undefined ? 'off' : 'on';
    }),
    ask(signal, async () => {
      const command = new GetObjectLockConfigurationCommand({ Bucket: bucket });
      const { ObjectLockConfiguration } = await client.send(command, { abortSignal: signal });
      return ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled' ? 'on' : 'off';
    }),
  ]);
  return { versioning, lock };
}

// "There is none" comes as 404, and as 405 or 501 of who knows no such thing.
async function ask(signal: AbortSignal, look: () => Promise<'on' | 'off'>): Promise<'on' | 'off' | null> {
  try {
    return await look();
  } catch (error) {
    signal.throwIfAborted();
    return isNotFound(error) || isNotImplemented(error) ? 'off' : null;
  }
}
