// Parts that overlap, that are missing, that come in any order and beside their whole segment: what is put together of them is what a
// count of single bytes says, for a hole that is not seen is a restore that ends there.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { coverage, isCovered, tileSegment } from '../../src/pitr/coverage.ts';
import { segmentName } from '../../src/pitr/lsn.ts';
import { walKey } from '../../src/snapshots/chain-keys.ts';
import type { StoredWal } from '../../src/snapshots/chain-catalogue.ts';
import { place, systemIdentifier } from '../support/chains.ts';

/** Small, so that bytes can be counted one by one. */
const segmentBytes = 16;
const segments = 4;
const timeline = 1;
const form = { compression: 'zstd', encrypted: false } as const;

function piece(number: number, part: { readonly from: number; readonly to: number } | null): StoredWal {
  const segment = segmentName(BigInt(number * segmentBytes), { timeline, segmentBytes });
  const common = { key: walKey(place, { segment, part, ...form }), systemIdentifier, segment, ...form };
  const stored = { bytes: 1, modifiedAt: new Date(0) };
  return part === null ? { kind: 'segment', ...common, ...stored } : { kind: 'part', ...common, ...part, ...stored };
}

const parts = fc
  .tuple(
    fc.nat(segments - 1),
    fc.option(
      fc
        .tuple(fc.nat(segmentBytes), fc.nat(segmentBytes))
        .filter(([a, b]) => a !== b)
        .map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) })),
      { freq: 6 },
    ),
  )
  .map(([number, part]) => piece(number, part));

/** Which bytes of all segments are there. */
function bytesOf(wal: readonly StoredWal[]): readonly boolean[] {
  const there = Array.from({ length: segments * segmentBytes }, () => false);
  for (const one of wal) {
    const start = Number.parseInt(one.segment.slice(16), 16) * segmentBytes;
    const [from, to] = one.kind === 'part' ? [one.from, one.to] : [0, segmentBytes];
    there.fill(true, start + from, start + to);
  }
  return there;
}

it('stretches of the log are exactly the bytes that are stored, with a hole between any two', () => {
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 12 }), (wal) => {
      const ranges = coverage(wal, { timeline, segmentBytes });
      const there = bytesOf(wal);
      const told = there.map((_, at) => ranges.some(({ from, to }) => BigInt(at) >= from && BigInt(at) < to));
      assert.deepEqual(told, there);
      for (const [index, { from, to }] of ranges.entries()) {
        assert.ok(from < to && isCovered(ranges, { from, to }));
        const next = ranges[index + 1];
        assert.ok(next === undefined || (next.from > to && !isCovered(ranges, { from, to: next.to })));
      }
    }),
    { numRuns: 500 },
  );
});

it('a part whose name says that it goes beyond its segment is none', () => {
  const beyond: StoredWal = { ...piece(0, null), kind: 'part', from: 0, to: 0xffff_ffff };
  const wal = [beyond, piece(0, { from: 0, to: 8 })];
  assert.deepEqual(coverage(wal, { timeline, segmentBytes }), [{ from: 0n, to: 8n }]);
  assert.equal(tileSegment(wal, { segment: beyond.segment, segmentBytes }).bytes, 8);
});

it('a flood of parts of one segment is put together in no time', { timeout: 20_000 }, () => {
  const size = 1024 * 1024;
  const one = piece(0, null);
  const many = Array.from({ length: 200_000 }, (_, at): StoredWal => ({ ...one, kind: 'part', from: at, to: at + 1 }));
  const startedAt = performance.now();
  const { bytes, tiles } = tileSegment(many.toReversed(), { segment: one.segment, segmentBytes: size });
  assert.deepEqual([bytes, tiles.length], [200_000, 200_000]);
  assert.ok(performance.now() - startedAt < 10_000);
});

it('a segment is put together of as much as its beginning has without a hole, whatever overlaps', () => {
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 12 }), fc.nat(segments - 1), (wal, number) => {
      const segment = segmentName(BigInt(number * segmentBytes), { timeline, segmentBytes });
      const { tiles, bytes } = tileSegment(wal, { segment, segmentBytes });
      const there = bytesOf(wal).slice(number * segmentBytes, (number + 1) * segmentBytes);
      const expected = there.includes(false) ? there.indexOf(false) : segmentBytes;
      assert.equal(bytes, expected);
      let reached = 0;
      for (const tile of tiles) {
        assert.equal(tile.segment, segment);
        const [from, to] = tile.kind === 'part' ? [tile.from, tile.to] : [0, segmentBytes];
        assert.ok(from <= reached && to > reached, 'each begins where those before have come to, and goes further');
        reached = to;
      }
      assert.equal(reached, bytes);
    }),
    { numRuns: 500 },
  );
});
