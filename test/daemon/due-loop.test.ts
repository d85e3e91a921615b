// The drill's loop: after what was missed, and then whenever it was told to look again.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { DrillLook } from '../../src/app/due-drill.ts';
import { runDueLoop } from '../../src/daemon/due-loop.ts';
import { createVirtualClock } from '../support/virtual-clock.ts';

it('begins when the schedule loop has first found nothing to do, and looks when it was told to', async () => {
  const clock = createVirtualClock();
  const stop = new AbortController();
  const { promise: firstIdle, resolve: idle } = Promise.withResolvers<void>();
  const looks: number[] = [];
  const answers: DrillLook[] = [
    { kind: 'waits', until: new Date(clock.now().getTime() + 600_000) },
    { kind: 'drilled' },
    { kind: 'waits', until: new Date(clock.now().getTime() + 900_000) },
  ];
  const app = {
    async drillIfDue(): Promise<DrillLook> {
      looks.push(clock.now().getTime() - Date.parse('2026-11-23T12:00:00Z'));
      return answers.shift() ?? { kind: 'waits', until: new Date(clock.now().getTime() + 3_600_000) };
    },
  };
  const ended = runDueLoop({ look: async () => app.drillIfDue(), clock, firstIdle, signal: stop.signal });
  await clock.pass(30);
  assert.deepEqual(looks, [], 'the first backup comes first');
  idle();
  await clock.pass(1_000);
  assert.deepEqual(looks, [30_000, 600_000, 600_000, 900_000]);
  stop.abort();
  await ended;
});

it('ends by its signal while it waits for the schedule loop', async () => {
  const stop = new AbortController();
  const clock = createVirtualClock();
  const app = { drillIfDue: async (): Promise<DrillLook> => ({ kind: 'drilled' }) };
  const ended = runDueLoop({
    look: async () => app.drillIfDue(),
    clock,
    firstIdle: new Promise(() => undefined),
    signal: stop.signal,
  });
  stop.abort(new Error('told to end'));
  await assert.rejects(ended, /told to end/);
});
