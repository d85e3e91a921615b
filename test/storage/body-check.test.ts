import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { it } from 'node:test';
import { readAll } from '../../src/snapshots/document-reading.ts';
import { createBodyCheck } from '../../src/storage/body-check.ts';

const action = "'daily/x' could not be read";

it('what is shorter or longer than the store said does not end well', async () => {
  for (const bytes of [9, 11]) {
    const body = Readable.from([Buffer.alloc(10)]).pipe(createBodyCheck({ bytes, idleMs: 10_000, action }));
    await assert.rejects(readAll(body), {
      message: new RegExp(`10 of ${bytes} bytes came`),
      hint: 'Check the network to the store and try again.',
    });
  }
  const whole = Readable.from([Buffer.alloc(10)]).pipe(createBodyCheck({ bytes: 10, idleMs: 10_000, action }));
  assert.equal((await readAll(whole)).length, 10);
});

it('a body that stands still fails while somebody reads', async () => {
  const source = new PassThrough();
  source.write('some');
  const body = source.pipe(createBodyCheck({ bytes: 10, idleMs: 200, action }));
  // The clock does not keep the process alive by itself; a socket would.
  const alive = setInterval(() => undefined, 1_000);
  await assert.rejects(readAll(body), { code: 'stalled' });
  clearInterval(alive);
});
