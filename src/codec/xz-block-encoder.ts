// A block of an xz stream, compressed on one of Node's own threads, piece by piece. liblzma's threads cannot be told to stop
// before they have done what they have, which takes half a minute at the end of a dump, and keeps the event loop from its work when
// their memory is freed; between two pieces nothing has to be waited for. (A worker of Node's that is ended inside this package
// takes the whole process with it.)

import lzma from 'lzma-native';
import { resizeBlock, type SizedBlock } from './xz-blocks.ts';

/** LZMA_CHECK_CRC64, what the xz command writes. lzma-native's names for the checks are not in its typings. */
const checkCrc64 = 4;
/** LZMA_MODE_NORMAL, LZMA_MF_BT4 and the filter (lzma/lzma12.h): not in its typings either. */
export const modeNormal = 2;
export const matchFinderBt4 = 0x14;
const filterLzma2 = 'LZMA_FILTER_LZMA2';
/** What the compressor is given at a time, in bytes: some 50 ms of work at the highest level. */
const pieceBytes = 64 * 1024;
const outputBytes = 256 * 1024;

/** How LZMA2 looks for what comes again, in liblzma's words (lzma/lzma12.h, lzma_options_lzma); a preset sets all of it. */
export type LzmaOptions =
  | { readonly preset: number }
  | { readonly dictSize: number; readonly mode: number; readonly mf: number; readonly niceLen: number };

/** lzma-native's stream without its wrapper, which would put pieces together again. */
interface NativeStream {
  /** Called with what came out; with a number when a piece is done; with null and perhaps an error at the end. */
  bufferHandler: (output: Buffer | null | undefined, processed: unknown, error: unknown) => void;
  setBufsize(bytes: number): void;
  streamEncoder_(filters: readonly { readonly id: string; readonly options: LzmaOptions }[], check: number): void;
  code(piece: Uint8Array | null, isAsynchronous: boolean): void;
  resetUnderlying(): void;
}

const { Stream } = lzma as unknown as { readonly Stream: new () => NativeStream };

/** Compresses a block. Rejects when that fails, and with the reason of `stop` when that has aborted. */
export async function encodeBlock(
  content: Uint8Array,
  { options, stop }: { readonly options: LzmaOptions; readonly stop: AbortSignal },
): Promise<SizedBlock> {
  stop.throwIfAborted();
  const native = new Stream();
  const chunks: Buffer[] = [];
  let failure: Error | undefined;
  let done = (): void => undefined;
  native.bufferHandler = (output, processed, error) => {
    if (error instanceof Error) failure = error;
    else if (typeof processed === 'number') done();
    else if (output !== null && output !== undefined) chunks.push(output);
    if (failure !== undefined) done();
  };
  const code = async (piece: Uint8Array | null): Promise<void> => {
    await new Promise<void>((resolve) => {
      done = resolve;
      native.code(piece, true);
    });
    if (failure !== undefined) throw failure;
    stop.throwIfAborted();
  };
  native.setBufsize(outputBytes);
  native.streamEncoder_([{ id: filterLzma2, options }], checkCrc64);
  try {
    for (let at = 0; at < content.length; at += pieceBytes) await code(content.subarray(at, at + pieceBytes));
    await code(null);
  } finally {
    // Hundreds of MiB that the garbage collector does not see. Nothing of it is at work.
    native.resetUnderlying();
  }
  return resizeBlock(Buffer.concat(chunks), { uncompressedBytes: content.length });
}
