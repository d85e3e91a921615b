// xz through lzma-native, the only file that knows that package. Blocks of at most 8 MiB keep all threads busy
// on small dumps, are faster and need less memory than xz's own 24 MiB for 0.5 % of size; stock `xz -d -T0` decodes them in parallel.

import { Duplex, Readable } from 'node:stream';
import lzma from 'lzma-native';
import { plural } from '../text/table.ts';
import { divideXz, XzError, type XzBlock, type XzPart } from './xz-blocks.ts';
import { createEncodingStream } from './xz-encoder.ts';

const mib = 1024 * 1024;
/** Dictionary and match finder of one encoder thread by preset 0-9, in MiB (xz(1), table of presets, "CompMem"). */
const encoderMiB = [3, 9, 17, 32, 48, 94, 94, 186, 370, 674] as const;
/** Dictionary by preset 0-9, in MiB (same table). */
const dictionaryMiB = [0.25, 1, 2, 4, 4, 8, 8, 16, 32, 64] as const;

/**
 * What one decoder may need, in bytes: level 9 asks for its dictionary of 64 MiB and one more (xz(1), "DecMem"). A stream may
 * ask for 4 GiB.
 */
const decoderMemory = 72 * mib;
/**
 * What is given to a decoder at a time, in bytes: it hands out all that comes of it, whoever waits for the rest, and a byte can
 * become 7,000 of them.
 */
const pieceBytes = 1024;

/** The liblzma that is loaded, such as `liblzma 5.8.1`. */
export function liblzmaVersion(): string {
  return `liblzma ${lzma.versionString()}`;
}

/** Uncompressed bytes in one xz block: three dictionaries, as xz has it, but at most 8 MiB. */
export function xzBlockBytes(level: number): number {
  return Math.min(8 * mib, stockBlockBytes(level));
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
  return Duplex.from(async function* decode(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    if (threads === 1) {
      yield* decodeUndivided(source);
      return;
    }
    const waiting: Promise<readonly Buffer[]>[] = [];
    const parts = divideXz(source);
    for await (const part of parts) {
      if (part.kind === 'undivided') {
        yield* decodeUndivided(bytesOf(part, parts));
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
  const decoder = createDecoder({ bufsize: mib });
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    decoder.end(stream);
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
    }
  } catch (error) {
    throw inWords(error);
  } finally {
    decoder.destroy();
  }
  if (bytes === uncompressedBytes) return chunks;
  throw new XzError(`A block of the xz stream has ${plural(bytes, 'byte')} instead of ${uncompressedBytes}`);
}

async function* bytesOf(first: XzPart, parts: ReturnType<typeof divideXz>): AsyncGenerator<Buffer> {
  if (first.kind === 'undivided') yield first.bytes;
  for await (const part of parts) if (part.kind === 'undivided') yield part.bytes;
}

async function* decodeUndivided(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  async function* pieces(): AsyncGenerator<Buffer> {
    for await (const chunk of bytes)
      for (let at = 0; at < chunk.length; at += pieceBytes) yield chunk.subarray(at, at + pieceBytes);
  }
  const decoder = createDecoder({ bufsize: 256 * 1024 });
  const source = Readable.from(pieces());
  source.once('error', (error) => decoder.destroy(error));
  source.pipe(decoder);
  try {
    yield* decoder as AsyncIterable<Buffer>;
  } catch (error) {
    throw inWords(error);
  } finally {
    source.destroy();
  }
}

function createDecoder({ bufsize }: { readonly bufsize: number }): Duplex {
  // It would take together whatever waits for it.
  const options = { bufsize, memlimit: decoderMemory, writableHighWaterMark: 1 };
  return released(lzma.createStream('streamDecoder', options));
}

// The library has no error of its own for it; its words are read here and nowhere else.
function inWords(error: unknown): unknown {
  if ((error as { readonly name?: string }).name !== 'LZMA_MEMLIMIT_ERROR') return error;
  return new XzError(`The xz stream asks for more than ${decoderMemory / mib} MiB of memory to be decoded`);
}

// The native coder is freed with its stream, not when the garbage collector comes around: it holds hundreds of MiB that
// the collector does not see.
function released(stream: lzma.JSLzmaStream): Duplex {
  stream.once('close', () => (stream as unknown as { cleanup(): void }).cleanup());
  return stream;
}
