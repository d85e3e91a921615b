// Chooses the size of multipart parts before the first byte: R2 wants all but the last equal, and 10,000 is the most any
// S3 takes, so a part size that is too small shows itself only hours later, at part 10,001.

import { AppError } from '../errors.ts';
import { maxPartBytes, maxParts } from '../storage/s3-limits.ts';

const mib = 1024 * 1024;

/** What a small database gets: few requests, little memory. */
const usualPartBytes = 8 * mib;

/** How much larger than the database the object may become: compressed dumps are far smaller, plain ones can be larger. */
const headroom = { compressed: 1.2, none: 4 } as const;

/** The most bytes the object can be expected to have. */
export function expectedObjectBytes(databaseBytes: number, options: { readonly compressed: boolean }): number {
  return Math.ceil(databaseBytes * headroom[options.compressed ? 'compressed' : 'none']);
}

/**
 * The part size in bytes, a whole number of MiB, at which `maxParts` parts hold the object with headroom.
 * @throws AppError `store` when the object may exceed what the store takes, before anything is dumped.
 */
export function choosePartBytes(options: {
  readonly databaseBytes: number;
  readonly compressed: boolean;
  /** The store's limit for one object; null: none. */
  readonly maxObjectBytes: number | null;
}): number {
  const expected = expectedObjectBytes(options.databaseBytes, options);
  const limit = Math.min(options.maxObjectBytes ?? Number.POSITIVE_INFINITY, maxParts * maxPartBytes);
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
  return partBytesFor(expected);
}

/** The part size in bytes, a whole number of MiB, for an object of at most `objectBytes`. */
export function partBytesFor(objectBytes: number): number {
  return Math.max(usualPartBytes, Math.ceil(objectBytes / maxParts / mib) * mib);
}
