// pg_restore ends when it has what it needs, which may be before all of an archive has come: whoever waits then for the end of its
// input must not wait for ever.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { endInput } from '../../src/restore/fill.ts';

it('the end of the input of a child is answered, once, whenever the child ended', { timeout: 60_000 }, async () => {
  for (const program of ['true', 'cat'])
    for (const bytes of [0, 10, 300_000])
      for (const delayMs of [0, 1, 3, 10, 50]) {
        const child = spawn(program, { stdio: ['pipe', 'ignore', 'ignore'] });
        child.stdin.on('error', () => undefined);
        const ended = once(child, 'exit');
        await sleep(delayMs);
        if (bytes > 0) child.stdin.write(Buffer.alloc(bytes));
        let answers = 0;
        await new Promise<void>((resolve) => {
          endInput(child.stdin, () => {
            answers += 1;
            resolve();
          });
        });
        await ended;
        await sleep(5);
        assert.equal(answers, 1, `${program}, ${bytes} bytes, ${delayMs} ms`);
      }
});
