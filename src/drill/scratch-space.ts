// Whether a drill may use the scratch volume: it must leave a fifth of it free with a fifth more than predicted, and it ends
// when less than a tenth is left. A drill that fills the disk of a live Mastodon would be the outage it is meant to prevent.

import { readSpace, type Space } from '../disk/directory.ts';
import { makeScratchDirectory } from '../state/scratch-directory.ts';
import { formatBytes } from '../text/format.ts';

const headroom = 1.2;
const freeShareAfter = 0.2;
const freeShareToStop = 0.1;

/** The space where `directory` is; it is created. */
export async function spaceOfScratch(directory: string): Promise<Space> {
  await makeScratchDirectory(directory);
  return readSpace(directory);
}

/** What a restored database takes: as much as the source did, of which bloat is the part that does not come back. */
export function predictBytes(databaseBytes: number): number {
  // An empty cluster and its write-ahead log.
  const cluster = 144 * 1024 * 1024;
  return databaseBytes + cluster;
}

/** Why there is too little space, with the figures; null: there is enough. */
export function tooLittle(space: Space, predictedBytes: number): string | null {
  const left = space.freeBytes - headroom * predictedBytes;
  if (left >= freeShareAfter * space.totalBytes) return null;
  return `${formatBytes(predictedBytes)} are predicted; of ${formatBytes(space.totalBytes)} in the scratch volume ${formatBytes(space.freeBytes)} are free, and after ${headroom} times that less than ${freeShareAfter * 100} % would be`;
}

/** Whether a drill that runs must stop. */
export function isNearlyFull({ totalBytes, freeBytes }: Space): boolean {
  return freeBytes < freeShareToStop * totalBytes;
}
