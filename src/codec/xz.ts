// xz through lzma-native, the only file that knows that package. Blocks of at most 12 MiB keep all threads busy
// on small dumps and need a third less memory than xz's own 24 MiB for 1 % of size; stock `xz -d -T0` decodes them in parallel.

import type { Duplex } from 'node:stream';
import lzma from 'lzma-native';

// lzma-native's names for the checks are not in its typings; 4 is LZMA_CHECK_CRC64, what the xz command writes.
const checkCrc64 = 4;

const mib = 1024 * 1024;
/** Dictionary and match finder of one encoder thread by preset 0-9, in MiB (xz(1), table of presets, "CompMem"). */
const encoderMiB = [3, 9, 17, 32, 48, 94, 94, 186, 370, 674] as const;
/** Dictionary by preset 0-9, in MiB (same table). */
const dictionaryMiB = [0.25, 1, 2, 4, 4, 8, 8, 16, 32, 64] as const;

/** Uncompressed bytes in one xz block: three dictionaries, as xz has it, but at most 12 MiB. */
export function xzBlockBytes(level: number): number {
  return Math.min(12 * mib, stockBlockBytes(level));
}

/** What the xz encoder needs at most, in bytes: per thread the coder, one block, and two output buffers. */
export function xzEncoderMemory(options: { readonly level: number; readonly threads: number }): number {
  return encoderMemory({ ...options, blockBytes: xzBlockBytes(options.level) });
}

/** What stock `xz -T<threads>` needs with its default blocks, in bytes, as `xz -vv` prints it; for comparison. */
export function stockXzMemory(options: { readonly level: number; readonly threads: number }): number {
  return encoderMemory({ ...options, blockBytes: stockBlockBytes(options.level) });
}

function stockBlockBytes(level: number): number {
  return Math.max(1, (dictionaryMiB[level] ?? 64) * 3) * mib;
}

function encoderMemory(options: {
  readonly level: number;
  readonly threads: number;
  readonly blockBytes: number;
}): number {
  return options.threads * ((encoderMiB[options.level] ?? 674) * mib + 3 * options.blockBytes);
}

/** A compressing stream at `level` 0-9 with `threads` worker threads. */
export function createXzEncoder(options: { readonly level: number; readonly threads: number }): Duplex {
  return released(
    lzma.createStream('easyEncoder', {
      preset: options.level as lzma.Preset,
      threads: options.threads,
      blockSize: xzBlockBytes(options.level),
      check: checkCrc64 as unknown as lzma.Check,
      bufsize: 256 * 1024,
    }),
  );
}

/** A decompressing stream; fails on a flipped bit, on trailing bytes that are not xz, and on an early end. */
export function createXzDecoder(): Duplex {
  return released(lzma.createStream('streamDecoder', { bufsize: 256 * 1024 }));
}

// The native coder is freed with its stream, not when the garbage collector comes around: it holds hundreds of MiB that
// the collector does not see.
function released(stream: lzma.JSLzmaStream): Duplex {
  stream.once('close', () => (stream as unknown as { cleanup(): void }).cleanup());
  return stream;
}
