// One hook alone: when it ends, and what ends with it.

import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { runHook, type HookOutcome } from '../../src/notify/hook.ts';
import { isAlive } from '../support/processes.ts';
import type { Log } from '../../src/log.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

describe('a hook', () => {
  const scratch = temporaryDirectory();
  after(() => scratch[Symbol.dispose]());
  const at = (name: string): string => path.join(scratch.path, name);
  const pidIn = (name: string): number => Number(readFileSync(at(name), 'utf8'));

  async function run(
    script: string,
    { limitMs = 60_000, log = quietLog }: { readonly limitMs?: number; readonly log?: Log } = {},
  ): Promise<HookOutcome> {
    writeFileSync(at('program'), `#!/bin/sh\n${script}\n`);
    chmodSync(at('program'), 0o755);
    return runHook(
      { moment: 'after', name: 'BACKUP_HOOK_AFTER', file: at('program') },
      {
        event: { kind: 'run-started', tier: 'daily', instance: 'social.example', at: '2026-11-23T12:00:00.000Z' },
        environment: { PATH: process.env['PATH'] ?? '' },
        limitMs,
        log,
        signal: AbortSignal.timeout(60_000),
      },
    );
  }

  it('need not read the event', async () => {
    assert.deepEqual(await run('exec <&-; exit 0'), { kind: 'done' });
  });

  it('ends by its limit with all that it has started, and has failed', async () => {
    const outcome = await run(`sleep 600 & echo $! > ${at('slow.pid')}; wait`, { limitMs: 300 });
    assert.ok(outcome.kind === 'failed');
    assert.match(outcome.reason, /^it took longer than/);
    await until('the end of what it started', { seconds: 5, look: async () => !isAlive(pidIn('slow.pid')) });
  });

  it('takes with it what it leaves running', async () => {
    assert.deepEqual(await run(`sleep 600 & echo $! > ${at('left.pid')}`), { kind: 'done' });
    await until('the end of what it left', { seconds: 5, look: async () => !isAlive(pidIn('left.pid')) });
  });

  it('does not wait for what has left its group and holds its output open', async () => {
    const escape = `setsid sh -c 'echo $$ > ${at('escaped.pid')}; exec sleep 600' &`;
    const outcome = await run(`${escape} while [ ! -s ${at('escaped.pid')} ]; do sleep 0.02; done`);
    assert.deepEqual(outcome, { kind: 'done' });
    assert.ok(isAlive(pidIn('escaped.pid')));
    process.kill(pidIn('escaped.pid'), 'SIGKILL');
  });

  it('that ends by a signal of its own has failed, with the last words that it said', async () => {
    assert.deepEqual(await run('echo "no space" >&2; kill -9 $$'), {
      kind: 'failed',
      reason: 'it was ended by SIGKILL: no space',
    });
  });

  it('that has failed is quoted from what it printed, where it wrote nothing to its standard error', async () => {
    const reason = 'it ended with status 3: cannot freeze the pool';
    for (const print of ['echo "cannot freeze the pool"; echo', 'printf "cannot freeze the pool"'])
      assert.deepEqual(await run(`echo begun; ${print}; exit 3`), { kind: 'failed', reason });
  });

  it('has all that it says in the log, the last words without an end of line too', async () => {
    const said: string[] = [];
    const log: Log = { ...quietLog, info: (_details, text) => void said.push(text) };
    await run('printf "one\\ntwo"; printf "three\\nfour" >&2', { log });
    assert.deepEqual(said.toSorted(), ['four', 'one', 'three', 'two']);
  });

  it('may print a line that never ends, of which the beginning is kept', async () => {
    const said: string[] = [];
    const log: Log = { ...quietLog, info: (_details, text) => void said.push(text) };
    const zeros = 'head -c 20000000 /dev/zero | tr "\\0" x';
    assert.deepEqual(await run(`${zeros}; ${zeros} >&2`, { log }), { kind: 'done' });
    assert.deepEqual(
      said.map((line) => [line.length, line.at(0), line.at(-1)]),
      [
        [8_192, 'x', '…'],
        [8_192, 'x', '…'],
      ],
    );
  });
});
