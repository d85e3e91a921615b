// Statements of several askers on one session.

import assert from 'node:assert/strict';
import { setImmediate as breathe } from 'node:timers/promises';
import { it } from 'node:test';
import { createTurns } from '../../src/database/turns.ts';

it('a session is handed from one to the next, also by one who failed', async () => {
  const turns = createTurns();
  const seen: string[] = [];
  const ask = (name: string): Promise<void> =>
    turns.take(async () => {
      seen.push(`${name} begins`);
      await breathe();
      seen.push(`${name} ends`);
      if (name === 'second') throw new Error('of the second alone');
    });
  const outcomes = await Promise.allSettled(['first', 'second', 'third'].map(ask));
  assert.deepEqual(
    seen,
    ['first', 'second', 'third'].flatMap((name) => [`${name} begins`, `${name} ends`]),
  );
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
});
