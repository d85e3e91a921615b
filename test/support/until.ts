// Waiting for what comes by itself, with a deadline that names what did not come. A fixed pause is too long on an idle machine and
// too short on a busy one.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** A busy machine gets this much longer than an idle one needs; only a failure takes that long. */
const patience = 4;

/** Looks again and again until `look` finds something; fails with `what` was waited for, well after the `seconds` of an idle machine. */
export async function until<Value>(
  what: string,
  { seconds, look }: { readonly seconds: number; readonly look: () => Promise<Value | undefined | false> },
): Promise<Value> {
  const deadline = performance.now() + seconds * patience * 1_000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    assert.ok(performance.now() < deadline, `not within ${seconds * patience} s: ${what}`);
    await sleep(50);
  }
}
