// Waiting for what comes by itself, with a deadline that names what did not come.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** Looks again and again until `look` finds something; fails after `seconds` with `what` was waited for. */
export async function until<Value>(
  what: string,
  { seconds, look }: { readonly seconds: number; readonly look: () => Promise<Value | undefined | false> },
): Promise<Value> {
  const deadline = performance.now() + seconds * 1_000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    assert.ok(performance.now() < deadline, `not within ${seconds} s: ${what}`);
    await sleep(100);
  }
}
