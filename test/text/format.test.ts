import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { formatBytes, formatDuration, formatMiB, formatSpan } from '../../src/text/format.ts';

const kib = 1024;
const mib = 1024 * kib;

it('sizes are written in the largest unit that leaves a figure below 1024', () => {
  assert.deepEqual([0, 1, 1023, 1024, 1536, mib - 1, mib, 1.5 * mib, 2 ** 50].map(formatBytes), [
    '0 B',
    '1 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '1.0 MiB',
    '1.0 MiB',
    '1.5 MiB',
    '1024.0 TiB',
  ]);
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 49 }), (bytes) => {
      assert.ok(Number.parseFloat(formatBytes(bytes)) < 1024, formatBytes(bytes));
    }),
  );
});

it('whole MiB are never none for something', () => {
  assert.deepEqual([0, 1, mib, 1.4 * mib, 322 * mib].map(formatMiB), ['0 MiB', '1 MiB', '1 MiB', '1 MiB', '322 MiB']);
});

it('what was measured has two units, what was set has one', () => {
  assert.deepEqual([0, 4_240, 42_000, 59_700, 200_000, 7_500_000].map(formatDuration), [
    '0.0 s',
    '4.2 s',
    '42 s',
    '1 min 0 s',
    '3 min 20 s',
    '2 h 5 min',
  ]);
  assert.deepEqual(
    [0, 3_000, 90_000, 150_000, 600_000, 361_000, 43_200_000, 9_000_000, 7 * 86_400_000].map(formatSpan),
    ['0 s', '3 s', '90 s', '2.5 min', '10 min', '6 min', '12 h', '2.5 h', '7 d'],
  );
});
