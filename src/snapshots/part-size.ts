// Chooses the size of multipart parts before the first byte: R2 wants all but the last equal, and 10,000 is the most any
// S3 takes, some less, so a part size that is too small shows itself only hours later, at part 10,001.

import { AppError } from '../errors.ts';
import { maxPartBytes, maxParts as mostParts } from '../storage/s3-limits.ts';
import type { ObjectStore } from '../storage/store.ts';

const mib = 1024 * 1024;

/** What a small database gets: few requests, little memory. */
const usualPartBytes = 8 * mib;

type Limits = Pick<ObjectStore, 'maxObjectBytes' | 'maxParts'>;

/** How much larger than the database the object may become: compressed dumps are far smaller, plain ones can be larger. */
const headroom = { compressed: 1.2, none: 4 } as const;

/** The most bytes the object can be expected to have. */
export function expectedObjectBytes(databaseBytes: number, options: { readonly compressed: boolean }): number {
  return Math.ceil(databaseBytes * headroom[options.compressed ? 'compressed' : 'none']);
}

/**
 * The part size in bytes, a whole number of MiB, at which as many parts as the store takes hold the object with headroom.
 * @throws AppError `store` when the object may exceed what the store takes, before anything is dumped.
 */
export function choosePartBytes(options: {
  readonly databaseBytes: number;
  readonly compressed: boolean;
  /** What the store limits. */
  readonly store: Limits;
}): number {
  const { store } = options;
  const expected = expectedObjectBytes(options.databaseBytes, options);
  const limit = Math.min(
    store.maxObjectBytes ?? Number.POSITIVE_INFINITY,
    (store.maxParts ?? mostParts) * maxPartBytes,
  );
  if (expected > limit) {
    throw new AppError(
      'store',
      `The backup could reach ${expected} bytes, more than the ${limit} bytes this store takes in one object`,
      {
        hint: options.compressed
          ? 'Store to a directory with BACKUP_LOCAL_DIR instead.'
          : 'Set BACKUP_COMPRESSION=xz or zstd, or store to a directory with BACKUP_LOCAL_DIR.',
      },
    );
  }
  return partBytesFor(expected, store);
}

/** The part size in bytes for an object that is stored again: that which it has, as long as the store takes so many parts. */
export function partBytesAgain(
  object: { readonly bytes: number; readonly partBytes: number | null },
  store: Pick<Limits, 'maxParts'>,
): number {
  const { bytes, partBytes } = object;
  const fits = partBytes !== null && bytes <= partBytes * (store.maxParts ?? mostParts);
  return fits ? partBytes : partBytesFor(bytes, store);
}

// A whole number of MiB, for an object of at most so many bytes.
function partBytesFor(objectBytes: number, { maxParts }: Pick<Limits, 'maxParts'>): number {
  return Math.max(usualPartBytes, Math.ceil(objectBytes / (maxParts ?? mostParts) / mib) * mib);
}
