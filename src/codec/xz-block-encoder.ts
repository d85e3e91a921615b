// A block of an xz stream, compressed on one of Node's own threads, piece by piece. liblzma's threads cannot be told to stop
// before they have done what they have, which takes half a minute at the end of a dump, and keeps the event loop from its work when
// their memory is freed; between two pieces nothing has to be waited for. (A worker of Node's that is ended inside this package
// takes the whole process with it.)

import lzma from 'lzma-native';
import { openLzmaCoder } from './lzma-coder.ts';
import { resizeBlock, type SizedBlock } from './xz-blocks.ts';

/** LZMA_CHECK_CRC64, what the xz command writes. lzma-native's names for the checks are not in its typings. */
const checkCrc64 = 4;
/** LZMA_MODE_NORMAL, LZMA_MF_BT4 and the filter (lzma/lzma12.h): not in its typings either. */
const modeNormal = 2;
const matchFinderBt4 = 0x14;
const filterLzma2 = 'LZMA_FILTER_LZMA2';
/** What the compressor is given at a time, in bytes: some 50 ms of work at the highest level. */
const pieceBytes = 64 * 1024;

/** How LZMA2 looks for what comes again, in liblzma's words (lzma/lzma12.h, lzma_options_lzma); a preset sets all of it. */
export type LzmaOptions =
  | { readonly preset: number }
  | { readonly dictSize: number; readonly mode: number; readonly mf: number; readonly niceLen: number };

/**
 * What liblzma is told at a level 0-9: up to 4 its own presets, then those of the same number with another dictionary, which is
 * never larger than a block, for that is of no use.
 */
export function lzmaOptions(level: number): LzmaOptions {
  if (level <= 4) return { preset: level };
  const dictSize = (level <= 6 ? 3 : 12) * 1024 * 1024;
  return { dictSize, mode: modeNormal, mf: matchFinderBt4, niceLen: level === 5 ? 32 : 64 };
}

interface MemoryUsage {
  readonly rawEncoderMemusage: (filters: readonly { readonly id: string; readonly options: LzmaOptions }[]) => number;
}

/** What the coder of a block needs, in bytes, as liblzma reckons it (lzma/filter.h, lzma_raw_encoder_memusage). */
export function blockEncoderMemory(options: LzmaOptions): number {
  const { rawEncoderMemusage: memory } = lzma as unknown as MemoryUsage;
  return memory([{ id: filterLzma2, options }]);
}

/** Compresses a block. Rejects when that fails, and with the reason of `stop` when that has aborted. */
export async function encodeBlock(
  content: Uint8Array,
  { options, stop }: { readonly options: LzmaOptions; readonly stop: AbortSignal },
): Promise<SizedBlock> {
  stop.throwIfAborted();
  const chunks: Buffer[] = [];
  const coder = openLzmaCoder({
    open: (native) => native.streamEncoder_([{ id: filterLzma2, options }], checkCrc64),
    take: (output) => void chunks.push(output),
  });
  try {
    for (let at = 0; at < content.length; at += pieceBytes) {
      await coder.code(content.subarray(at, at + pieceBytes));
      stop.throwIfAborted();
    }
    await coder.code(null);
    stop.throwIfAborted();
  } finally {
    coder.free();
  }
  const stream = Buffer.concat(chunks);
  chunks.length = 0;
  return resizeBlock(stream, { uncompressedBytes: content.length });
}
