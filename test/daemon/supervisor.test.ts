// Services side by side: each lives and dies for itself, is started again, and says what it died of.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createTroubles, runServices, type Service } from '../../src/daemon/supervisor.ts';
import { AppError } from '../../src/errors.ts';
import { quietLog } from '../support/quiet-log.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';

// Lives until it is told to end.
async function untilAborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function supervise(services: readonly Service[], clock = createVirtualClock()) {
  const stop = new AbortController();
  const troubles = createTroubles();
  const ended = runServices(services, {
    clock,
    log: quietLog,
    report: async (name, texts) => troubles.set(name, texts),
    firstPauseMs: 1_000,
    signal: stop.signal,
  });
  return { clock, troubles, stop: async () => (stop.abort(), ended) };
}

it('a service that dies is started again, later each time, and the other never notices', async () => {
  const starts: number[] = [];
  let others = 0;
  const clock = createVirtualClock();
  const services: readonly Service[] = [
    {
      name: 'http',
      async run() {
        starts.push((clock.now().getTime() - Date.parse('2026-11-23T12:00:00Z')) / 1_000);
        throw new AppError('settings', 'Port 80 cannot be served', { hint: 'Set another port.' });
      },
    },
    {
      name: 'schedule',
      async run(signal) {
        others += 1;
        await untilAborted(signal);
      },
    },
  ];
  const { troubles, stop } = supervise(services, clock);
  await clock.pass(20);
  assert.deepEqual(starts, [0, 1, 3, 7, 15]);
  assert.deepEqual(troubles.all(), [
    "The service 'http' died and is started again: Port 80 cannot be served. Set another port.",
  ]);
  await clock.pass(24 * 3_600);
  const gaps = starts.slice(1).map((at, index) => at - (starts[index] ?? 0));
  assert.equal(Math.max(...gaps), 900, 'never later than a quarter of an hour');
  assert.equal(others, 1);
  await stop();
});

it('what it died of is said until it has run steadily, and then it begins anew with the shortest pause', async () => {
  let starts = 0;
  let die: (error: Error) => void = () => undefined;
  const { clock, troubles, stop } = supervise([
    {
      name: 'drill',
      async run(signal) {
        starts += 1;
        if (starts <= 3) throw new Error(`slip ${starts}`);
        await Promise.race([untilAborted(signal), new Promise((_resolve, reject) => (die = reject))]);
      },
    },
  ]);
  await clock.pass(10);
  assert.equal(starts, 4);
  assert.match(troubles.all().join(), /'drill' died and is started again: slip 3/);
  await clock.pass(290);
  assert.match(troubles.all().join(), /slip 3/);
  await clock.pass(10);
  assert.deepEqual(troubles.all(), []);
  die(new Error('later'));
  await clock.pass(0);
  assert.match(troubles.all().join(), /later/);
  await clock.pass(1);
  assert.equal(starts, 5, 'after the shortest pause');
  await stop();
});

it('one that has nothing more to do is not started again, and is no trouble', async () => {
  let starts = 0;
  const { clock, troubles, stop } = supervise([
    {
      name: 'schedule',
      async run() {
        starts += 1;
      },
    },
  ]);
  await clock.pass(3_600);
  assert.equal(starts, 1);
  assert.deepEqual(troubles.all(), []);
  await stop();
});

it('all end by the signal, also one that fails by it and one that waits to be started again', async () => {
  const { clock, troubles, stop } = supervise([
    {
      name: 'one',
      async run(signal) {
        await untilAborted(signal);
        signal.throwIfAborted();
      },
    },
    {
      name: 'other',
      async run() {
        throw new Error('dead');
      },
    },
  ]);
  await clock.pass(2);
  await stop();
  assert.deepEqual(clock.awaited(), [], 'nobody waits any more');
  assert.doesNotMatch(troubles.all().join(), /'one'/);
});
