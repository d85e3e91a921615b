import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../../src/errors.ts';
import { choosePartBytes, expectedObjectBytes } from '../../src/snapshots/part-size.ts';
import { maxPartBytes, maxParts } from '../../src/storage/s3-limits.ts';

const mib = 2 ** 20;
const gib = 2 ** 30;
const limit = 5_000_000_000_000;

it('the table of part sizes', () => {
  const size = (databaseBytes: number, compressed = true): number =>
    choosePartBytes({ databaseBytes, compressed, maxObjectBytes: limit }) / mib;
  assert.deepEqual(
    [10_000_000, 10_000_000_000, 48.9 * gib, 400 * gib, 4_000_000_000_000].map((bytes) => size(bytes)),
    [8, 8, 8, 50, 458],
  );
  assert.deepEqual(
    [10_000_000, 48.9 * gib, 400 * gib].map((bytes) => size(bytes, false)),
    [8, 21, 164],
  );
});

it('10,000 equal parts always hold the object with its headroom, or the run is refused before the dump', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 6e12, noNaN: true }), fc.boolean(), (size, compressed) => {
      const databaseBytes = Math.floor(size);
      const expected = expectedObjectBytes(databaseBytes, { compressed });
      let partBytes: number;
      try {
        partBytes = choosePartBytes({ databaseBytes, compressed, maxObjectBytes: limit });
      } catch (error) {
        assert.ok(error instanceof AppError && error.code === 'store' && expected > limit);
        return;
      }
      assert.ok(expected <= limit);
      assert.ok(partBytes * maxParts >= expected);
      assert.ok(partBytes >= 5 * mib && partBytes <= maxPartBytes && partBytes % mib === 0);
    }),
  );
});

it('a directory has no limit but that of 10,000 parts', () => {
  assert.ok(choosePartBytes({ databaseBytes: 8e12, compressed: true, maxObjectBytes: null }) > 0);
});
