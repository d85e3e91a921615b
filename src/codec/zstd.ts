// zstd through Node's zlib. Its own threads lose data there (Node's issue 59899): several frames are made side by side instead, which
// stock `zstd -d` reads as one. It is given `--long=27`, the largest window that was ever written here.

import { constants, createZstdCompress, createZstdDecompress, zstdCompressSync, type ZstdOptions } from 'node:zlib';
import { Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createBlockStream } from './block-stream.ts';
import { divideZstd, type FramePiece } from './zstd-frames.ts';

const mib = 1024 * 1024;

/** The largest window that is read, as a power of two of bytes: the highest levels write it. */
const largestWindowLog = 27;
/**
 * What the compressor is given at a time, in bytes: it can be stopped between two. As much as it takes before it asks to wait: what waits in
 * it at the end makes an empty frame (Node's issue 66078).
 */
const pieceBytes = 64 * 1024;
const outputBytes = 256 * 1024;
/** Uncompressed bytes in a frame of the levels that have several. */
const frameBytes = 8 * mib;
const frameWindowLog = 23;

/**
 * Levels 10 to 15 have parameters of their own. zstd's look into tables of tens of MiB, which is where the time is spent on a processor
 * with a smaller cache; the parser that it keeps for 16 and above finds more with tables of 1 and 2 MiB, in as much time.
 */
function isInFrames(level: number): boolean {
  return level >= 10 && level <= 15;
}

/** How many threads compress at `level` when there may be so many and it looks far back. */
export function zstdThreads({ level, threads }: { readonly level: number; readonly threads: number }): number {
  return isInFrames(level) ? threads : 1;
}

/**
 * What the encoder needs at most, in bytes. At the levels of several frames each thread has a window and tables, some 12 MiB, and its
 * block, which swells by nothing that counts; two more blocks are being filled and held, and one is handed on. At the others it is the window and
 * the tables of the level's strategy, measured with a full window: 83 MiB with those that zstd has for 12, 293 at 19, 841 at 22.
 */
export function zstdEncoderMemory({ level, threads }: { readonly level: number; readonly threads: number }): number {
  if (isInFrames(level)) return threads * (12 * mib + 2 * frameBytes) + 3 * frameBytes;
  if (level < 10) return 96 * mib;
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
  threads,
  reach = 'far',
}: {
  readonly level: number;
  readonly threads: number;
  readonly reach?: 'near' | 'far';
}): Duplex {
  if (reach === 'near') return createZstdCompress(zstdOptions(level));
  if (!isInFrames(level))
    return createZstdCompress(
      // 16 MiB: against 128 MiB a dump of Mastodon grows by 0.7 %, and half of the encoder's memory is saved.
      zstdOptions(level, {
        [constants.ZSTD_c_windowLog]: level < 10 ? 24 : largestWindowLog,
        [constants.ZSTD_c_enableLongDistanceMatching]: 1,
      }),
    );
  return createBlockStream({
    format: { encode: async (content, stop) => encodeFrame(content, { level, stop }), joining: joinFrames() },
    threads,
    blockBytes: frameBytes,
  });
}

/**
 * A decompressing stream; fails on a checksum that differs, on an end within a frame, and on what follows the last and is none. That
 * whole frames are missing is known by the bytes and the hash in the manifest.
 */
export function createZstdDecoder(): Duplex {
  return Duplex.from(async function* decode(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const pieces = divideZstd(source);
    for (;;) {
      const first = await pieces.next();
      if (first.done === true) return;
      yield* decodeFrame(frameFrom(first.value, pieces));
    }
  });
}

async function* frameFrom(first: FramePiece, pieces: AsyncGenerator<FramePiece>): AsyncGenerator<Buffer> {
  let piece = first;
  for (;;) {
    yield piece.bytes;
    if (piece.isLast) return;
    const next = await pieces.next();
    if (next.done === true) return;
    piece = next.value;
  }
}

async function* decodeFrame(frame: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const params = { [constants.ZSTD_d_windowLogMax]: largestWindowLog };
  const decoder = createZstdDecompress({ chunkSize: outputBytes, params });
  const source = Readable.from(frame, { highWaterMark: 1 });
  source.once('error', (error) => decoder.destroy(error));
  source.pipe(decoder);
  try {
    yield* decoder as AsyncIterable<Buffer>;
  } finally {
    source.destroy();
  }
}

function zstdOptions(level: number, parameters: Readonly<Record<number, number>> = {}): ZstdOptions {
  return {
    chunkSize: outputBytes,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1, ...parameters },
  };
}

async function encodeFrame(
  content: Uint8Array,
  { level, stop }: { readonly level: number; readonly stop: AbortSignal },
): Promise<Buffer> {
  stop.throwIfAborted();
  const options = zstdOptions(level, {
    [constants.ZSTD_c_strategy]: constants.ZSTD_btopt,
    [constants.ZSTD_c_windowLog]: frameWindowLog,
    [constants.ZSTD_c_hashLog]: 18,
    [constants.ZSTD_c_chainLog]: 19,
    // 3 at the usual level, 12: each more finds more in more time.
    [constants.ZSTD_c_searchLog]: level - 9,
  });
  const chunks: Buffer[] = [];
  const end = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      chunks.push(chunk);
      callback();
    },
  });
  const encoder = createZstdCompress({ ...options, pledgedSrcSize: content.length });
  try {
    await pipeline(Readable.from(piecesOf(content)), encoder, end, { signal: stop });
  } catch (error) {
    stop.throwIfAborted();
    throw error;
  }
  return Buffer.concat(chunks);
}

function* piecesOf(content: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < content.length; at += pieceBytes) yield content.subarray(at, at + pieceBytes);
}

function joinFrames(): { add(frame: Buffer): readonly Buffer[]; end(): readonly Buffer[] } {
  let frames = 0;
  return {
    add(frame) {
      frames += 1;
      return [frame];
    },
    // Nothing is a frame as well: no bytes at all are no end of anything.
    end: () => (frames === 0 ? [zstdCompressSync(Buffer.alloc(0))] : []),
  };
}
