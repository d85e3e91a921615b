// zstd through Node's zlib. One thread: Node's multi-threaded encoder loses data (its issue 59899). Stock `zstd -d` is given
// `--long=27`, the largest window that was ever written here.

import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import type { Duplex } from 'node:stream';

const mib = 1024 * 1024;

/** The largest window that is read, as a power of two of bytes: levels above the usual one write it. */
const largestWindowLog = 27;

// 16 MiB: against 128 MiB a dump of Mastodon grows by 0.7 %, and half of the encoder's memory is saved.
function windowLogOf(level: number): number {
  return level <= 12 ? 24 : largestWindowLog;
}

/**
 * What the encoder needs at most, in bytes: the window and the tables of the level's strategy. Measured with a full window:
 * 83 MiB at level 12, 293 at 19, 841 at 22.
 */
export function zstdEncoderMemory({ level }: { readonly level: number }): number {
  if (level <= 12) return 96 * mib;
  return (level <= 19 ? 352 : 900) * mib;
}

/** The zstd that is loaded, such as `zstd 1.5.7`: Node's own. */
export function zstdVersion(): string {
  return `zstd ${process.versions['zstd'] ?? '(unknown)'}`;
}

/**
 * A compressing stream at `level` 1-22. It looks far back, or as far as zstd itself does at that level: for 16 MiB of log that takes
 * half the time, and they become no larger.
 */
export function createZstdEncoder({
  level,
  reach = 'far',
}: {
  readonly level: number;
  readonly reach?: 'near' | 'far';
}): Duplex {
  const far = { [constants.ZSTD_c_windowLog]: windowLogOf(level), [constants.ZSTD_c_enableLongDistanceMatching]: 1 };
  return createZstdCompress({
    chunkSize: 256 * 1024,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
      ...(reach === 'far' ? far : {}),
    },
  });
}

/** A decompressing stream; fails on a checksum that differs and on an early end. */
export function createZstdDecoder(): Duplex {
  return createZstdDecompress({ chunkSize: 256 * 1024, params: { [constants.ZSTD_d_windowLogMax]: largestWindowLog } });
}
