// Decoding blocks at the same time gives the very bytes, whatever the sizes and threads; and no damage goes unnoticed.

import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Readable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { createXzDecoder, createXzEncoder, xzBlockBytes } from '../../src/codec/xz.ts';

async function through(stream: Duplex, content: Buffer, pieceBytes = 50_000): Promise<Buffer> {
  const pieces = Array.from({ length: Math.ceil(content.length / pieceBytes) }, (_, at) =>
    content.subarray(at * pieceBytes, (at + 1) * pieceBytes),
  );
  const chunks: Buffer[] = [];
  await pipeline([
    Readable.from(pieces),
    stream,
    async (source: AsyncIterable<Buffer>) => {
      for await (const chunk of source) chunks.push(chunk);
    },
  ]);
  return Buffer.concat(chunks);
}

const block = xzBlockBytes(0);
/** Text that repeats itself here and there: what nothing can be made of takes ten times as long, and shows no more. */
function sample(bytes: number): Buffer {
  const pieces = Array.from({ length: Math.ceil(bytes / 4_096) }, () => randomBytes(128).toString('hex').repeat(16));
  return Buffer.from(pieces.join('').slice(0, bytes));
}

describe('decoding xz by several threads', () => {
  for (const bytes of [0, 1, block - 1, block, block + 1, 5 * block + 7])
    it(`gives back ${bytes} bytes of our own`, async () => {
      const content = sample(bytes);
      const encoded = await through(createXzEncoder({ level: 0, threads: 2 }), content);
      for (const threads of [2, 3]) assert.ok((await through(createXzDecoder({ threads }), encoded)).equals(content));
    });

  it('gives back what the stock tool wrote, in blocks or not, with any check', async () => {
    const content = sample(3_000_000);
    for (const args of [
      ['-1'],
      ['-6'],
      ['-T2', '-1', '--block-size=500000'],
      ['-T1', '-1', '--block-size=500000'],
      ['-0', '-C', 'crc32'],
      ['-0', '-C', 'none', '-T2'],
      ['-0', '-C', 'sha256', '-T2'],
      ['-6', '-C', 'sha256', '-T2'],
    ]) {
      const encoded = execFileSync('xz', ['-c', ...args], { input: content, maxBuffer: 2 ** 28 });
      assert.ok((await through(createXzDecoder({ threads: 2 }), encoded)).equals(content), args.join(' '));
    }
  });

  it('takes its bytes in any pieces', async () => {
    const content = sample(2 * block + 100);
    const encoded = await through(createXzEncoder({ level: 0, threads: 2 }), content);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: encoded.length }), async (pieceBytes) => {
        assert.ok((await through(createXzDecoder({ threads: 2 }), encoded, Math.max(200, pieceBytes))).equals(content));
      }),
      { numRuns: 10 },
    );
  });

  it('ends the blocks at work with the pieces that they are at, when nobody takes what comes of them', async () => {
    const encoded = await through(createXzEncoder({ level: 0, threads: 2 }), randomBytes(3 * block));
    let pieces = 0;
    const hook = createHook({
      init(_id, type) {
        if (type === 'LZMAStreamCodingWorker') pieces += 1;
      },
    }).enable();
    try {
      await through(createXzDecoder({ threads: 2 }), encoded);
      const all = pieces;
      assert.ok(all > 3 * 10, `${all} pieces`);
      const left = createXzDecoder({ threads: 2 });
      Readable.from([encoded]).pipe(left);
      // All three are at work by then.
      await once(left, 'data');
      left.destroy();
      await once(left, 'close');
      // What had not been stopped would be done beside this, on the same threads.
      await through(createXzDecoder({ threads: 2 }), encoded);
      assert.ok(pieces < 2.5 * all, `${pieces} pieces, where ${all} are the whole`);
    } finally {
      hook.disable();
    }
  });

  it('fails on any flipped bit, any early end and anything that follows', async () => {
    const content = sample(2 * block + 100);
    const encoded = await through(createXzEncoder({ level: 0, threads: 2 }), content);
    const refused = async (damaged: Buffer): Promise<void> => {
      await assert.rejects(through(createXzDecoder({ threads: 2 }), damaged));
    };
    await fc.assert(
      fc.asyncProperty(fc.nat(encoded.length - 1), fc.nat(7), async (at, bit) => {
        const flipped = Buffer.from(encoded);
        flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at);
        await refused(flipped);
      }),
      { numRuns: 15 },
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(encoded.length - 1), async (end) => refused(encoded.subarray(0, end))),
      { numRuns: 5, examples: [[0], [5], [12], [encoded.length - 1], [encoded.length - 12]] },
    );
    for (const more of [Buffer.alloc(4), Buffer.from('x'), encoded]) await refused(Buffer.concat([encoded, more]));
    // The last bytes are the index and the footer: each of them counts.
    for (let at = encoded.length - 36; at < encoded.length; at += 3) {
      const flipped = Buffer.from(encoded);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
      await refused(flipped);
    }
  });
});
