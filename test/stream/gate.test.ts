import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGate } from '../../src/stream/gate.ts';

function sink(): Writable & { finishedWell?: boolean } {
  const stream: Writable & { finishedWell?: boolean } = new Writable({
    write: (_chunk, _encoding, callback) => callback(),
  });
  stream.on('finish', () => {
    stream.finishedWell = true;
  });
  return stream;
}

it('holds back the end until the producer has succeeded', async () => {
  const target = sink();
  const order: string[] = [];
  target.on('finish', () => order.push('end'));
  const producer = async (): Promise<void> => {
    await sleep(20);
    order.push('exit 0');
  };
  await pipeline(Readable.from([Buffer.from('all')]), createGate(producer), target);
  assert.deepEqual(order, ['exit 0', 'end']);
});

it('never ends the stream of a producer that failed after its last byte', async () => {
  const target = sink();
  const producer = async (): Promise<void> => {
    await sleep(5);
    throw new Error('exit 1');
  };
  await assert.rejects(pipeline(Readable.from([Buffer.from('all')]), createGate(producer), target), /exit 1/);
  assert.notEqual(target.finishedWell, true);
});
