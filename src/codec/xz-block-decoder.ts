// A block of an xz stream, decompressed on one of Node's own threads while others are, and handed out as it comes.

import { plural } from '../text/table.ts';
import { openLzmaCoder } from './lzma-coder.ts';
import { XzError, type XzBlock } from './xz-blocks.ts';

/** What the decompressor is given at a time, in bytes: a block's beginning is not to wait for its end. */
const pieceBytes = 64 * 1024;

/** A block at work, whether anybody takes what comes of it or not: it is known how large that may become. */
export interface BlockAtWork {
  /** What comes of it, once. Throws liblzma's error, and XzError where its size is another. */
  chunks(): AsyncGenerator<Buffer>;
  /** Ends it with the piece that it is at. */
  stop(): void;
}

/** Begins to decompress a block with at most `memoryLimit` bytes for the coder. */
export function decodeBlock(
  { stream, uncompressedBytes }: XzBlock,
  { memoryLimit }: { readonly memoryLimit: number },
): BlockAtWork {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let stopped = false;
  let ended = false;
  let tell = (): void => undefined;
  const coder = openLzmaCoder({
    open: (native) => native.streamDecoder_(memoryLimit, 0),
    take(output) {
      bytes += output.length;
      chunks.push(output);
      tell();
    },
  });
  const work = async (): Promise<void> => {
    try {
      for (let at = 0; at < stream.length && !coder.ended(); at += pieceBytes) {
        await coder.code(stream.subarray(at, at + pieceBytes));
        if (stopped) return;
      }
      if (bytes !== uncompressedBytes || !coder.ended())
        throw new XzError(`A block of the xz stream has ${plural(bytes, 'byte')} instead of ${uncompressedBytes}`);
    } finally {
      coder.free();
      ended = true;
      tell();
    }
  };
  const working = work();
  // Whoever takes it is told of a failure, when its turn has come.
  working.catch(() => undefined);
  return {
    async *chunks() {
      for (;;) {
        for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) yield chunk;
        if (ended) break;
        await new Promise<void>((resolve) => {
          tell = resolve;
        });
      }
      await working;
    },
    stop() {
      stopped = true;
      chunks.length = 0;
    },
  };
}
