// zstd through Node's zlib, with a 128 MiB window. One thread: Node's multi-threaded encoder loses data (its issue
// 59899). Stock `zstd -d` needs `--long=27` for the window.

import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import type { Duplex } from 'node:stream';

const windowLog = 27;

const mib = 1024 * 1024;

/**
 * What the encoder needs at most, in bytes: the window and the tables of the level's strategy. Measured with a full window:
 * 205 MiB at level 12, 293 at 19, 841 at 22.
 */
export function zstdEncoderMemory({ level }: { readonly level: number }): number {
  if (level <= 12) return 256 * mib;
  return (level <= 19 ? 352 : 900) * mib;
}

/** The zstd that is loaded, such as `zstd 1.5.7`: Node's own. */
export function zstdVersion(): string {
  return `zstd ${process.versions['zstd'] ?? '(unknown)'}`;
}

/** A compressing stream at `level` 1-22. */
export function createZstdEncoder(options: { readonly level: number }): Duplex {
  return createZstdCompress({
    chunkSize: 256 * 1024,
    params: {
      [constants.ZSTD_c_compressionLevel]: options.level,
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_enableLongDistanceMatching]: 1,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
}

/** A decompressing stream; fails on a checksum that differs and on an early end. */
export function createZstdDecoder(): Duplex {
  return createZstdDecompress({ chunkSize: 256 * 1024, params: { [constants.ZSTD_d_windowLogMax]: windowLog } });
}
