// A zstd stream taken apart into its frames (RFC 8878, 3.1), each of which is given to a decoder of its own: Node's ended after the
// first and lost the others without a word until its version 26.10 (its issue 64741).

import { createByteInput, type ByteInput } from './byte-input.ts';

/** The bytes are no whole row of zstd frames. */
export class ZstdError extends Error {
  override readonly name = 'ZstdError';
}

const magic = 0xfd2fb528;
/** Of frames that have no content, without the last four bits. */
const skippableMagic = 0x184d2a5;
const checksumBytes = 4;
/** Bytes of the dictionary's number, and of the content's size, by their flags. */
const dictionaryBytes = [0, 1, 2, 4] as const;
const sizeBytes = [0, 2, 4, 8] as const;
const rawBlock = 0;
const repeatedByte = 1;
const compressedBlock = 2;
/** So many bytes are handed on together, as far as there are so many. */
const pieceBytes = 64 * 1024;

/** The frames of `source`, one to be read to its end before the next. Throws ZstdError for what is none, and for an early end. */
export async function* divideZstd(source: AsyncIterable<Buffer>): AsyncGenerator<AsyncGenerator<Buffer>> {
  const input = createByteInput(source, () => new ZstdError('The zstd stream ends early'));
  do {
    const start = await input.take(4);
    const number = start.readUInt32LE();
    if (number === magic) yield readFrame(input, start);
    else if (number >>> 4 === skippableMagic) await skipContent(input);
    else throw new ZstdError('The bytes are no zstd stream');
  } while (!(await input.ended()));
}

async function* readFrame(input: ByteInput, start: Buffer): AsyncGenerator<Buffer> {
  const descriptor = await input.take(1);
  const flags = descriptor[0] ?? 0;
  const isSingleSegment = (flags & 0x20) !== 0;
  const windowBytes = isSingleSegment ? 0 : 1;
  const contentSize = sizeBytes[(flags >> 6) as 0 | 1 | 2 | 3];
  const restOfHeader =
    windowBytes +
    dictionaryBytes[(flags & 3) as 0 | 1 | 2 | 3] +
    (isSingleSegment && contentSize === 0 ? 1 : contentSize);
  let together = [start, descriptor, await input.take(restOfHeader)];
  let bytes = 0;
  for (let isLast = false; !isLast;) {
    const header = await input.take(3);
    const value = header.readUIntLE(0, 3);
    isLast = (value & 1) === 1;
    const block = await input.take(blockBytes(value));
    together.push(header, block);
    bytes += block.length;
    if (isLast || bytes < pieceBytes) continue;
    yield Buffer.concat(together);
    together = [];
    bytes = 0;
  }
  if ((flags & 4) !== 0) together.push(await input.take(checksumBytes));
  yield Buffer.concat(together);
}

function blockBytes(header: number): number {
  const size = header >> 3;
  switch ((header >> 1) & 3) {
    case rawBlock:
    case compressedBlock:
      return size;
    case repeatedByte:
      return 1;
    default:
      throw new ZstdError('A block of the zstd stream is of no known kind');
  }
}

async function skipContent(input: ByteInput): Promise<void> {
  const bytes = (await input.take(4)).readUInt32LE();
  for (let left = bytes; left > 0; left -= pieceBytes) await input.take(Math.min(left, pieceBytes));
}
