import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createFanOut } from '../../src/stream/fan-out.ts';

const chunks = Array.from({ length: 50 }, (_, index) => Buffer.alloc(100_000, index));

async function read(body: Readable, { delayMs = 0 } = {}): Promise<number> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += (chunk as Buffer).length;
    if (delayMs > 0) await sleep(delayMs);
  }
  return bytes;
}

it('every branch gets every byte at the pace of the slowest', async () => {
  const { stream, branches } = createFanOut(2);
  const [fast, slow] = branches;
  assert.ok(fast && slow);
  const [, a, b] = await Promise.all([
    pipeline(Readable.from(chunks), stream),
    read(fast.body),
    read(slow.body, { delayMs: 1 }),
  ]);
  assert.equal(a, 5_000_000);
  assert.equal(b, 5_000_000);
});

it('a branch that is cut off does not hold up the other', async () => {
  const { stream, branches } = createFanOut(2);
  const [good, hung] = branches;
  assert.ok(good && hung);
  const timer = setInterval(() => {
    if (hung.blocks()) hung.cutOff(new Error('stalled'));
  }, 10);
  const [, bytes] = await Promise.all([pipeline(Readable.from(chunks), stream), read(good.body)]);
  clearInterval(timer);
  assert.equal(bytes, 5_000_000);
  assert.equal(hung.body.errored?.message, 'stalled');
});

it('fails when its last branch has failed', async () => {
  const { stream, branches } = createFanOut(1);
  branches[0]?.cutOff(new Error('no disk'));
  await assert.rejects(pipeline(Readable.from(chunks), stream), /no disk/);
});

it('no branch sees the end of a source that fails', async () => {
  const { stream, branches } = createFanOut(1);
  const [branch] = branches;
  assert.ok(branch);
  const source = Readable.from(
    (async function* () {
      yield Buffer.from('half');
      await sleep(5);
      throw new Error('the dump died');
    })(),
  );
  const [written, readBack] = await Promise.allSettled([pipeline(source, stream), read(branch.body)]);
  assert.equal(written.status, 'rejected');
  assert.ok(readBack.status === 'rejected');
  assert.match(String(readBack.reason), /the dump died/);
});
