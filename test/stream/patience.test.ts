import assert from 'node:assert/strict';
import { it } from 'node:test';
import { backOffMs, jittered, pause, pauseOrEnd } from '../../src/stream/patience.ts';

it('a pause ends at once with the reason of its signal', async () => {
  const stop = new AbortController();
  const reason = new Error('enough');
  const began = performance.now();
  setTimeout(() => stop.abort(reason), 20);
  await assert.rejects(pause(60_000, stop.signal), reason);
  await assert.rejects(pause(60_000, stop.signal), reason, 'before it began');
  await pauseOrEnd(60_000, stop.signal);
  assert.ok(performance.now() - began < 5_000);
});

it('a pause that nobody ends lasts as long as it was asked to', async () => {
  const began = performance.now();
  await pause(50);
  await pauseOrEnd(50, new AbortController().signal);
  assert.ok(performance.now() - began >= 98);
});

it('waits double up to the longest, and chance moves them by a quarter', () => {
  const waits = (random: () => number): readonly number[] =>
    [1, 2, 3, 4, 40].map((failures) => backOffMs(failures, { firstMs: 1_000, longestMs: 6_000, random }));
  assert.deepEqual(
    waits(() => 0.5),
    [1_000, 2_000, 4_000, 6_000, 6_000],
  );
  assert.deepEqual(
    waits(() => 0),
    [750, 1_500, 3_000, 4_500, 4_500],
  );
  assert.ok(jittered(1_000, () => 0.999_999) < 1_250);
});
