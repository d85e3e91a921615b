// xz through lzma-native, the only file that knows that package. Blocks of at most 12 MiB keep all threads busy
// on small dumps and need a third less memory than xz's own 24 MiB for 1 % of size; stock `xz -d -T0` decodes them in parallel.

import { Duplex, Readable } from 'node:stream';
import lzma from 'lzma-native';
import { divideXz, XzError, type XzBlock } from './xz-blocks.ts';
import { createEncodingStream } from './xz-encoder.ts';

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

/** A compressing stream at `level` 0-9 on `threads` threads; destroyed, it ends within a moment. */
export function createXzEncoder(options: { readonly level: number; readonly threads: number }): Duplex {
  return createEncodingStream({ ...options, blockBytes: xzBlockBytes(options.level) });
}

/**
 * A decompressing stream; fails on a flipped bit, on trailing bytes that are not xz, and on an early end. Blocks that tell their
 * size, as several threads write them, are decoded by so many threads at once.
 */
export function createXzDecoder({ threads }: { readonly threads: number }): Duplex {
  if (threads === 1) return released(lzma.createStream('streamDecoder', { bufsize: 256 * 1024 }));
  return Duplex.from(async function* decode(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const waiting: Promise<readonly Buffer[]>[] = [];
    const parts = divideXz(source);
    for await (const part of parts) {
      if (part.kind === 'undivided') {
        yield* decodeUndivided(part.bytes, parts);
        return;
      }
      const decoding = decodeBlock(part.block);
      // Its failure is told when its turn has come, if it ever does.
      decoding.catch(() => undefined);
      waiting.push(decoding);
      // One more than there are threads, so that all of them work while the oldest is taken.
      if (waiting.length > threads) yield* (await waiting.shift()) ?? [];
    }
    for (const decoding of waiting) yield* await decoding;
  });
}

async function decodeBlock({ stream, uncompressedBytes }: XzBlock): Promise<readonly Buffer[]> {
  const decoder = released(lzma.createStream('streamDecoder', { bufsize: 1024 * 1024 }));
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    decoder.end(stream);
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
    }
  } finally {
    decoder.destroy();
  }
  if (bytes === uncompressedBytes) return chunks;
  throw new XzError(`A block of the xz stream has ${bytes} bytes instead of ${uncompressedBytes}`);
}

async function* decodeUndivided(first: Buffer, parts: ReturnType<typeof divideXz>): AsyncGenerator<Buffer> {
  async function* rest(): AsyncGenerator<Buffer> {
    yield first;
    for await (const part of parts) if (part.kind === 'undivided') yield part.bytes;
  }
  const decoder = released(lzma.createStream('streamDecoder', { bufsize: 256 * 1024 }));
  const source = Readable.from(rest());
  source.once('error', (error) => decoder.destroy(error));
  source.pipe(decoder);
  yield* decoder as AsyncIterable<Buffer>;
}

// The native coder is freed with its stream, not when the garbage collector comes around: it holds hundreds of MiB that
// the collector does not see.
function released(stream: lzma.JSLzmaStream): Duplex {
  stream.once('close', () => (stream as unknown as { cleanup(): void }).cleanup());
  return stream;
}
