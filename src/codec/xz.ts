// xz through lzma-native. Blocks of at most 12 MiB, and from level 5 on a dictionary that a processor's cache holds more of than of
// xz's own 8 MiB, are faster and need less memory for 1 to 3 % of size; stock `xz -d -T0` decodes them in parallel.

import { Duplex, Readable } from 'node:stream';
import lzma from 'lzma-native';
import { createBlockStream } from './block-stream.ts';
import { decodeBlock, type BlockAtWork } from './xz-block-decoder.ts';
import { blockEncoderMemory, encodeBlock, lzmaOptions } from './xz-block-encoder.ts';
import { divideXz, joinXz, XzError, type XzPart } from './xz-blocks.ts';

const mib = 1024 * 1024;
/** Dictionary by preset 0-9 of stock xz, in MiB (xz(1), table of presets). */
const stockDictionaryMiB = [0.25, 1, 2, 4, 4, 8, 8, 16, 32, 64] as const;

/**
 * What one decoder may need, in bytes: level 9 asks for its dictionary of 64 MiB and one more (xz(1), "DecMem"). A stream may
 * ask for 4 GiB.
 */
const decoderMemory = 72 * mib;
/**
 * What is given to a decoder at a time, in bytes: it hands out all that comes of it, whoever waits for the rest, and a byte can
 * become 7,000 of them. Half as much takes a third more processor time, twice as much none less.
 */
const pieceBytes = 4 * 1024;
/** The same where the piece before became more than so many times as large. */
const smallPieceBytes = 512;
const swelling = 256;

/** The liblzma that is loaded, such as `liblzma 5.8.1`. */
export function liblzmaVersion(): string {
  return `liblzma ${lzma.versionString()}`;
}

/** Uncompressed bytes in one xz block: three dictionaries of the preset, as xz has it, but at most 8 MiB, and 12 MiB from level 5 on. */
export function xzBlockBytes(level: number): number {
  return Math.min((level <= 4 ? 8 : 12) * mib, stockBlockBytes(level));
}

/**
 * What the xz encoder needs at most, in bytes: per thread the coder, one block and what becomes of it; besides, one block that
 * waits, one that is held, one that is filled, and one that is put together.
 */
export function xzEncoderMemory({ level, threads }: { readonly level: number; readonly threads: number }): number {
  const blockBytes = xzBlockBytes(level);
  return threads * (blockEncoderMemory(lzmaOptions(level)) + 2 * blockBytes) + 4 * blockBytes;
}

function stockBlockBytes(level: number): number {
  return Math.max(1, (stockDictionaryMiB[level] ?? 64) * 3) * mib;
}

/** A compressing stream at `level` 0-9 on `threads` threads; destroyed, it ends within a moment. */
export function createXzEncoder({ level, threads }: { readonly level: number; readonly threads: number }): Duplex {
  return createBlockStream({
    format: {
      encode: async (content, stop) => encodeBlock(content, { options: lzmaOptions(level), stop }),
      joining: joinXz(),
    },
    threads,
    blockBytes: xzBlockBytes(level),
  });
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
    const waiting: BlockAtWork[] = [];
    const parts = divideXz(source);
    try {
      for await (const part of parts) {
        if (part.kind === 'undivided') {
          yield* decodeUndivided(bytesOf(part, parts));
          return;
        }
        waiting.push(decodeBlock(part.block, { memoryLimit: decoderMemory }));
        // One more than there are threads, so that all of them work while the oldest is taken.
        if (waiting.length > threads) yield* takeOldest(waiting);
      }
      while (waiting.length > 0) yield* takeOldest(waiting);
    } finally {
      for (const block of waiting) block.stop();
    }
  });
}

async function* takeOldest(waiting: BlockAtWork[]): AsyncGenerator<Buffer> {
  const [oldest] = waiting;
  try {
    if (oldest !== undefined) yield* oldest.chunks();
  } catch (error) {
    throw inWords(error);
  }
  waiting.shift();
}

async function* bytesOf(first: XzPart, parts: ReturnType<typeof divideXz>): AsyncGenerator<Buffer> {
  if (first.kind === 'undivided') yield first.bytes;
  for await (const part of parts) if (part.kind === 'undivided') yield part.bytes;
}

async function* decodeUndivided(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let decodedBytes = 0;
  async function* pieces(): AsyncGenerator<Buffer> {
    let size = pieceBytes;
    for await (const chunk of bytes)
      for (let at = 0; at < chunk.length;) {
        const before = decodedBytes;
        const piece = chunk.subarray(at, at + size);
        at += piece.length;
        yield piece;
        size = decodedBytes - before > piece.length * swelling ? smallPieceBytes : pieceBytes;
      }
  }
  const decoder = createDecoder({ bufsize: 256 * 1024 });
  const source = Readable.from(pieces());
  source.once('error', (error) => decoder.destroy(error));
  source.pipe(decoder);
  try {
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      decodedBytes += chunk.length;
      yield chunk;
    }
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
