import assert from 'node:assert/strict';
import { it } from 'node:test';
import { codecMemory } from '../../src/codec/codec.ts';
import { blockEncoderMemory } from '../../src/codec/xz-block-encoder.ts';
import { planMemory } from '../../src/backup/memory.ts';

const mib = 2 ** 20;
const plan = (limitMiB: number, level = 6, cores = 8): ReturnType<typeof planMemory> =>
  planMemory({
    threads: 4,
    cores,
    limitBytes: limitMiB * mib,
    coderMemory: (threads) => codecMemory({ kind: 'xz', level, threads }),
    partsMemory: 32 * mib,
  });

it('threads are lowered to fit the limit, and it is said', () => {
  assert.equal(plan(4_000).threads, 4);
  assert.equal(plan(4_000).note, null);
  assert.equal(plan(340).threads, 2);
  assert.match(plan(340).note ?? '', /2 instead of 4 threads because of the memory limit of 340 MiB/);
  assert.match(plan(4_000, 6, 2).note ?? '', /because of 2 cores/);
});

it('a plan that cannot fit is refused', () => {
  assert.throws(() => plan(260), /needs 270 MiB of memory even with one thread, and 260 MiB are allowed/);
});

it('our blocks need less than stock xz at the usual level', () => {
  // xz -vv -T4 -6 says 661 MiB.
  const stock = 4 * (blockEncoderMemory({ preset: 6 }) + 3 * 24 * mib);
  assert.ok(Math.abs(stock / mib - 661) < 10);
  assert.ok(codecMemory({ kind: 'xz', level: 6, threads: 4 }) < stock);
});

it('zstd fits at its usual level where the highest does not', () => {
  const zstd = (level: number): ReturnType<typeof planMemory> =>
    planMemory({
      threads: 1,
      cores: 1,
      limitBytes: 512 * mib,
      coderMemory: (threads) => codecMemory({ kind: 'zstd', level, threads }),
      partsMemory: 32 * mib,
    });
  assert.equal(zstd(12).totalBytes, 212 * mib);
  assert.throws(() => zstd(22), /needs 1060 MiB of memory/);
});
