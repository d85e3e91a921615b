// Where a frame of zstd ends, for frames of every form and in whatever pieces they come.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { it } from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { createZstdDecoder } from '../../src/codec/zstd.ts';
import { divideZstd, ZstdError } from '../../src/codec/zstd-frames.ts';

const contents = [
  Buffer.alloc(0),
  Buffer.from('a'),
  Buffer.alloc(255, 'ab'),
  Buffer.alloc(256, 'abc'),
  // Of one byte alone, of noise, and of both.
  Buffer.alloc(300_000),
  randomBytes(140_000),
  Buffer.concat([randomBytes(1_000), Buffer.alloc(70_000, 'text ')]),
];
const frames = contents.flatMap((content) =>
  [0, 1].flatMap((checksum) =>
    [0, 1].map((size) => ({
      content,
      frame: zstdCompressSync(content, {
        params: { [constants.ZSTD_c_checksumFlag]: checksum, [constants.ZSTD_c_contentSizeFlag]: size },
        ...(size === 1 ? { pledgedSrcSize: content.length } : {}),
      }),
    })),
  ),
);
const [longest = assert.fail()] = frames.toSorted((one, other) => other.frame.length - one.frame.length);
const skippable = (bytes: number): Buffer => {
  const frame = Buffer.alloc(8 + bytes, 'x');
  frame.writeUInt32LE(0x184d2a53);
  frame.writeUInt32LE(bytes, 4);
  return frame;
};
type Row = readonly { readonly content: Buffer | null; readonly frame: Buffer }[];
const rowOf = (of: typeof frames): fc.Arbitrary<Row> =>
  fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...of) },
      { weight: 1, arbitrary: fc.nat(300).map((bytes) => ({ content: null, frame: skippable(bytes) })) },
    ),
    { minLength: 1, maxLength: 6 },
  );
const fewBytes = fc.integer({ min: 1, max: 9 });
const manyBytes = fc.integer({ min: 1_000, max: 100_000 });
// A frame of noise in pieces of a few bytes takes longer than all the others: that is done once.
const rowInPieces = fc.oneof(
  fc
    .tuple(rowOf(frames), fc.array(fc.oneof(fewBytes, manyBytes)), manyBytes)
    .map(([row, sizes, last]) => [row, [...sizes, last]] as const),
  fc.tuple(rowOf(frames.filter(({ frame }) => frame.length < 10_000)), fc.array(fewBytes, { minLength: 1 })),
);

async function* inPieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function divide(bytes: Buffer, sizes: readonly number[]): Promise<readonly Buffer[]> {
  const found: Buffer[] = [];
  let pieces: Buffer[] = [];
  for await (const piece of divideZstd(inPieces(bytes, sizes))) {
    pieces.push(piece.bytes);
    if (!piece.isLast) continue;
    found.push(Buffer.concat(pieces));
    pieces = [];
  }
  assert.equal(pieces.length, 0, 'a frame without an end');
  return found;
}

it('frames are found whole, in whatever pieces they come, and what has no content is left out', async () => {
  await fc.assert(
    fc.asyncProperty(rowInPieces, async ([row, sizes]) => {
      const bytes = Buffer.concat(row.map(({ frame }) => frame));
      const wanted = row.filter(({ content }) => content !== null);
      const found = await divide(bytes, sizes);
      assert.equal(found.length, wanted.length);
      for (const [index, { frame }] of wanted.entries()) assert.ok(found[index]?.equals(frame));
      const decoded: Buffer[] = [];
      const decoder = createZstdDecoder();
      const feed = async (): Promise<void> => {
        for await (const piece of inPieces(bytes, sizes))
          if (!decoder.write(piece)) await new Promise((resolve) => decoder.once('drain', resolve));
        decoder.end();
      };
      await Promise.all([
        feed(),
        (async () => {
          for await (const chunk of decoder) decoded.push(chunk as Buffer);
        })(),
      ]);
      assert.ok(Buffer.concat(decoded).equals(Buffer.concat(wanted.map(({ content }) => content ?? Buffer.alloc(0)))));
    }),
    { numRuns: 60, examples: [[[[longest], [7]]]] },
  );
});

it('an end within a frame, nothing at all, and what is no frame are told', async () => {
  const [first, second] = [frames[2], frames.at(-1)];
  assert.ok(first !== undefined && second !== undefined);
  const row = Buffer.concat([first.frame, skippable(20), second.frame]);
  const ends = [first.frame.length, first.frame.length + 28];
  for (let cut = 0; cut < row.length; cut += cut < 80 ? 1 : 97) {
    const part = row.subarray(0, cut);
    if (ends.includes(cut)) assert.equal((await divide(part, [7])).length, 1);
    else await assert.rejects(divide(part, [7]), ZstdError, `cut at ${cut}`);
  }
  await assert.rejects(divide(Buffer.concat([first.frame, Buffer.from('more')]), [5]), /are no zstd stream/);
});
