// An .xz stream taken apart into its blocks, and put together of them (The .xz File Format 1.2.1, https://tukaani.org/xz/xz-file-format.txt). What several
// threads wrote has the sizes of each block in its header, so that blocks can be found without decoding them, and decoded at
// the same time. The index at the end, with the sizes of all blocks, is held against them.

import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** A block, made into an .xz stream of its own. */
export interface XzBlock {
  readonly stream: Buffer;
  readonly uncompressedBytes: number;
}

/** What comes out of a stream: blocks; or, when their sizes are not told, everything as it came. */
export type XzPart =
  { readonly kind: 'block'; readonly block: XzBlock } | { readonly kind: 'undivided'; readonly bytes: Buffer };

/** The bytes are no whole .xz stream. */
export class XzError extends Error {
  override readonly name = 'XzError';
}

const magic = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);
const footerMagic = Buffer.from('YZ');
/** Bytes of the check by its id. */
const checkBytes = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64] as const;
/** More than this in one block, compressed or not, is not decoded in one piece: the memory for it was not planned. */
const largestBlockBytes = 32 * 1024 * 1024;
/** So much of an index is looked at together. */
const indexPieceBytes = 64 * 1024;

/** Divides `source`. Throws XzError for what is no .xz stream, ends early, or goes on after its end. */
export async function* divideXz(source: AsyncIterable<Buffer>): AsyncGenerator<XzPart> {
  const input = createInput(source);
  const header = await input.take(12);
  if (!header.subarray(0, 6).equals(magic)) throw new XzError('The bytes are no xz stream');
  const flags = header.subarray(6, 8);
  if (header.readUInt32LE(8) !== crc32(flags)) throw new XzError('The header of the xz stream is damaged');
  const check = checkBytes[(flags[1] ?? 0) & 0x0f] ?? 0;
  const index = createIndexCheck();
  for (;;) {
    const first = await input.take(1);
    if (first[0] === 0) break;
    const rest = await input.take(((first[0] ?? 0) + 1) * 4 - 1);
    const blockHeader = Buffer.concat([first, rest]);
    const sizes = readBlockSizes(blockHeader);
    if (sizes === undefined || Math.max(sizes.compressed, sizes.uncompressed) > largestBlockBytes) {
      if (index.blocks() > 0) throw new XzError(`Block ${index.blocks() + 1} of the xz stream does not tell its size`);
      yield { kind: 'undivided', bytes: Buffer.concat([header, blockHeader]) };
      for await (const bytes of input.rest()) yield { kind: 'undivided', bytes };
      return;
    }
    const { compressed, uncompressed } = sizes;
    const unpadded = blockHeader.length + compressed + check;
    const body = await input.take(padded(compressed) + check);
    index.add([unpadded, uncompressed]);
    const own = encodeIndex([[unpadded, uncompressed]]);
    const stream = Buffer.concat([header, blockHeader, body, own, encodeFooter(own.length, flags)]);
    yield { kind: 'block', block: { stream, uncompressedBytes: uncompressed } };
  }
  await index.compare(input, flags);
  if (!(await input.ended())) throw new XzError('Something follows the end of the xz stream');
}

/** Knows the index that must follow the blocks, without holding it: there may be very many of them. */
function createIndexCheck(): {
  blocks(): number;
  add(record: readonly [number, number]): void;
  compare(input: Input, flags: Buffer): Promise<void>;
} {
  const expected = createHash('sha256');
  let blocks = 0;
  let bytes = 0;
  return {
    blocks: () => blocks,
    add(record) {
      const encoded = Buffer.from(record.flatMap(encodeNumber));
      expected.update(encoded);
      blocks += 1;
      bytes += encoded.length;
    },
    async compare(input, flags) {
      const differs = (): XzError => new XzError('The index of the xz stream is not that of its blocks');
      const count = Buffer.from(encodeNumber(blocks));
      const whole = padded(1 + count.length + bytes);
      if (!(await input.take(count.length)).equals(count)) throw differs();
      let check = crc32(count, crc32(Buffer.from([0])));
      const found = createHash('sha256');
      for (let left = bytes; left > 0;) {
        const piece = await input.take(Math.min(left, indexPieceBytes));
        found.update(piece);
        check = crc32(piece, check);
        left -= piece.length;
      }
      if (!found.digest().equals(expected.digest())) throw differs();
      const padding = Buffer.alloc(whole - 1 - count.length - bytes);
      const end = Buffer.concat([padding, littleEndian(crc32(padding, check)), encodeFooter(whole + 4, flags)]);
      if (!(await input.take(end.length)).equals(end)) throw differs();
    },
  };
}

/** The flags of streams that are made here: CRC64, as the xz command writes it. */
const ownFlags = Buffer.from([0, 4]);
const headerBytes = 12;
/** Of LZMA2, the one filter that is used: its id, the size of its properties, and they. */
const filterBytes = 3;

/** A block of a stream: its header with both sizes, its bytes and its check. */
export interface SizedBlock {
  /** In order; not put together, for they are large. */
  readonly pieces: readonly Buffer[];
  /** Without the padding before the check, as the index has it. */
  readonly unpaddedBytes: number;
  readonly uncompressedBytes: number;
}

/**
 * The one block of a stream, as liblzma makes it with a single thread, with both of its sizes in its header: only such a block is
 * found by whoever decodes several at once. Throws XzError for another stream.
 */
export function resizeBlock(stream: Buffer, { uncompressedBytes }: { readonly uncompressedBytes: number }): SizedBlock {
  if (!stream.subarray(6, 8).equals(ownFlags)) throw new XzError('The stream of the block has another check');
  const oldHeaderBytes = ((stream[headerBytes] ?? 0) + 1) * 4;
  const oldHeader = stream.subarray(headerBytes, headerBytes + oldHeaderBytes);
  // One filter, LZMA2, and no sizes.
  if (oldHeader[1] !== 0 || oldHeader[2] !== 0x21) throw new XzError('The stream of the block has another form');
  const indexBytes = (stream.readUInt32LE(stream.length - 8) + 1) * 4;
  const body = stream.subarray(headerBytes + oldHeaderBytes, stream.length - headerBytes - indexBytes);
  const index = stream.subarray(stream.length - headerBytes - indexBytes);
  const unpadded = decodeNumber(index, 2);
  const inside = decodeNumber(index, unpadded.next);
  if (index[1] !== 1 || inside.value !== uncompressedBytes) throw new XzError('The stream is not that of the block');
  const crc64Bytes = 8;
  const compressed = unpadded.value - oldHeaderBytes - crc64Bytes;
  const fields = [
    0,
    0xc0,
    ...encodeNumber(compressed),
    ...encodeNumber(uncompressedBytes),
    ...oldHeader.subarray(2, 2 + filterBytes),
  ];
  const header = Buffer.alloc(padded(fields.length) + 4);
  header.set(fields);
  header.writeUInt8(header.length / 4 - 1, 0);
  header.writeUInt32LE(crc32(header.subarray(0, -4)), header.length - 4);
  const unpaddedBytes = header.length + compressed + crc64Bytes;
  return { pieces: [header, body], unpaddedBytes, uncompressedBytes };
}

/** Puts a stream together of blocks in their order. */
export function joinXz(): { add(block: SizedBlock): readonly Buffer[]; end(): readonly Buffer[] } {
  const records: (readonly [number, number])[] = [];
  let begun = false;
  const beginning = (): readonly Buffer[] => {
    if (begun) return [];
    begun = true;
    return [Buffer.concat([magic, ownFlags, littleEndian(crc32(ownFlags))])];
  };
  return {
    add({ pieces, unpaddedBytes, uncompressedBytes }) {
      records.push([unpaddedBytes, uncompressedBytes]);
      return [...beginning(), ...pieces];
    },
    end() {
      const index = encodeIndex(records);
      return [...beginning(), Buffer.concat([index, encodeFooter(index.length, ownFlags)])];
    },
  };
}

function readBlockSizes(header: Buffer): { readonly compressed: number; readonly uncompressed: number } | undefined {
  if (header.readUInt32LE(header.length - 4) !== crc32(header.subarray(0, -4)))
    throw new XzError('The header of a block of the xz stream is damaged');
  const flags = header[1] ?? 0;
  if ((flags & 0xc0) !== 0xc0) return undefined;
  const compressed = decodeNumber(header, 2);
  const uncompressed = decodeNumber(header, compressed.next);
  return { compressed: compressed.value, uncompressed: uncompressed.value };
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

function encodeIndex(records: readonly (readonly [number, number])[]): Buffer {
  const numbers = [records.length, ...records.flat()].map((value) => Buffer.from(encodeNumber(value)));
  const content = Buffer.concat([Buffer.from([0]), ...numbers]);
  const whole = Buffer.concat([content, Buffer.alloc(padded(content.length) - content.length)]);
  return Buffer.concat([whole, littleEndian(crc32(whole))]);
}

function encodeFooter(indexBytes: number, flags: Buffer): Buffer {
  const body = Buffer.concat([littleEndian(indexBytes / 4 - 1), flags]);
  return Buffer.concat([littleEndian(crc32(body)), body, footerMagic]);
}

function littleEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

// Seven bits a byte, the least significant first. Beyond 2^53 nothing is that is decoded here.
function encodeNumber(value: number): readonly number[] {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
  return [...bytes, left];
}

function decodeNumber(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  let value = 0;
  for (let index = 0; index < 8; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if ((byte & 0x80) === 0) return { value, next: at + index + 1 };
  }
  throw new XzError('A number in the xz stream is damaged');
}

interface Input {
  /** Exactly so many bytes. */
  take(bytes: number): Promise<Buffer>;
  /** Whatever is left. */
  rest(): AsyncGenerator<Buffer>;
  ended(): Promise<boolean>;
}

function createInput(source: AsyncIterable<Buffer>): Input {
  const iterator = source[Symbol.asyncIterator]();
  let chunks: Buffer[] = [];
  let available = 0;
  // Answers whether there are so many.
  const have = async (bytes: number): Promise<boolean> => {
    for (;;) {
      if (available >= bytes) return true;
      const next = await iterator.next();
      if (next.done === true) return false;
      chunks.push(next.value);
      available += next.value.length;
    }
  };
  return {
    async take(bytes) {
      if (!(await have(bytes))) throw new XzError('The xz stream ends early');
      const all = chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks);
      chunks = [all.subarray(bytes)];
      available -= bytes;
      return all.subarray(0, bytes);
    },
    async *rest() {
      yield* chunks;
      chunks = [];
      for (;;) {
        const next = await iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    },
    ended: async () => !(await have(1)),
  };
}
