// Every page of every listing of a bucket, each once. A listing that goes in circles would never end, and one that is none at all
// would say that there is nothing.

import {
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListMultipartUploadsCommandInput,
  type ListMultipartUploadsCommandOutput,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { AppError } from '../errors.ts';
import { plural } from '../text/table.ts';
import { ForeignAnswer } from './s3-answers.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { etagOf } from './s3-etag.ts';
import { isNotImplemented } from './s3-errors.ts';
import type { ObjectKey, StoredObject, UnfinishedUpload } from './store.ts';

interface Asking {
  readonly signal: AbortSignal;
}

/** All objects below a prefix, in key order. Rejects when a page is none, comes twice or has less than it says. */
export async function* list(
  place: S3Bucket,
  prefix: string,
  { signal, pageSize }: Asking & { readonly pageSize: number },
): AsyncGenerator<StoredObject> {
  const action = prefix === '' ? 'Objects could not be listed' : `'${prefix}' could not be listed`;
  const turn = createTurnstile(place, action);
  let token: string | undefined;
  do {
    const query = { Bucket: place.bucket, Prefix: prefix, MaxKeys: pageSize, ContinuationToken: token };
    const page = await place.attempt(action, {
      signal,
      right: 's3:ListBucket',
      run: async () => {
        const answer = await place.client.send(new ListObjectsV2Command(query), { abortSignal: signal });
        assertListing(answer);
        return answer;
      },
    });
    const { Contents = [], KeyCount, IsTruncated, NextContinuationToken } = page;
    if (KeyCount !== undefined && KeyCount !== Contents.length)
      throw turn.failure(`a page says that it has ${plural(KeyCount, 'object')}, and has ${Contents.length}`);
    turn.pass({ first: Contents[0]?.Key, next: NextContinuationToken, isTruncated: IsTruncated === true });
    for (const { Key, Size, LastModified, ETag } of Contents) {
      if (Key === undefined) continue;
      const modifiedAt = LastModified ?? new Date(0);
      yield { key: Key as ObjectKey, bytes: Size ?? 0, modifiedAt, etag: etagOf({ ETag }) };
    }
    token = IsTruncated === true ? NextContinuationToken : undefined;
  } while (token !== undefined);
}

/** All unfinished uploads below a prefix; none where the server cannot list them. Rejects as `list`. */
export async function* listUnfinished(
  place: S3Bucket,
  prefix: string,
  { signal }: Asking,
): AsyncGenerator<UnfinishedUpload> {
  const action = 'Unfinished uploads could not be listed';
  const turn = createTurnstile(place, action);
  let marker: Pick<ListMultipartUploadsCommandInput, 'KeyMarker' | 'UploadIdMarker'> = {};
  for (;;) {
    const command = new ListMultipartUploadsCommand({ Bucket: place.bucket, Prefix: prefix, ...marker });
    const page = await place.attempt(action, {
      signal,
      right: 's3:ListBucketMultipartUploads',
      run: async () =>
        place.client.send(command, { abortSignal: signal }).then(assertUploads, (error: unknown) => {
          if (!isNotImplemented(error)) throw error;
          return undefined;
        }),
    });
    for (const { Key, UploadId, Initiated } of page?.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || !Key.startsWith(prefix)) continue;
      // Without a date it counts as young, and is left alone.
      yield { key: Key as ObjectKey, uploadId: UploadId, startedAt: Initiated ?? new Date(8.64e15) };
    }
    if (page?.IsTruncated !== true) return;
    const { NextKeyMarker, NextUploadIdMarker } = page;
    turn.pass({
      first: undefined,
      next: NextKeyMarker === undefined ? undefined : `${NextKeyMarker}\n${NextUploadIdMarker ?? ''}`,
      isTruncated: true,
    });
    marker = { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker };
  }
}

/** Throws ForeignAnswer for what is no listing: every store says one of these of its own. */
export function assertListing({ $metadata, Name, IsTruncated, KeyCount, MaxKeys }: ListObjectsV2CommandOutput): void {
  if ([Name, IsTruncated, KeyCount, MaxKeys].some((said) => said !== undefined)) return;
  throw new ForeignAnswer({ status: $metadata.httpStatusCode ?? null, kind: 'unknown' });
}

function assertUploads(page: ListMultipartUploadsCommandOutput): ListMultipartUploadsCommandOutput {
  const { $metadata, Bucket, IsTruncated, MaxUploads, KeyMarker } = page;
  if ([Bucket, IsTruncated, MaxUploads, KeyMarker].some((said) => said !== undefined)) return page;
  throw new ForeignAnswer({ status: $metadata.httpStatusCode ?? null, kind: 'unknown' });
}

interface Page {
  /** Its first key; undefined: it has none. */
  readonly first: string | undefined;
  /** What the next one is asked for with. */
  readonly next: string | undefined;
  readonly isTruncated: boolean;
}

// Lets each page by once.
function createTurnstile(
  place: S3Bucket,
  action: string,
): { readonly pass: (page: Page) => void; readonly failure: (text: string) => AppError } {
  const seen = new Set<string>();
  const failure = (text: string): AppError =>
    new AppError('store', `${action} in ${place.description}: ${text}`, {
      reason: 'misconfigured',
      hint: 'Look at what stands between here and the store: a cache or a proxy must not answer listings for it.',
    });
  const once = (mark: string): void => {
    if (seen.has(mark)) throw failure('the same page comes again');
    seen.add(mark);
  };
  return {
    failure,
    pass({ first, next, isTruncated }) {
      if (first !== undefined) once(`first ${first}`);
      if (!isTruncated) return;
      if (next === undefined) throw failure('there are more pages, and it does not say which');
      once(`next ${next}`);
    },
  };
}
