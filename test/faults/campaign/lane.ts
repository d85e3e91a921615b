// A lane of the campaign: a process with a stage of its own that does every n-th fault and tells its parent what came of each.
// One that hangs is ended by its parent, which starts another one.

import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { carryOut, drawCase, verdictOf, type Pace } from './fault-case.ts';
import type { Fault, Operation } from './fault.ts';
import { setStage } from './stage.ts';

/** What a lane is told. */
export interface LaneOrder {
  readonly home: string;
  readonly seed: number;
  readonly only: { readonly operation?: Operation | undefined; readonly family?: Fault['family'] | undefined };
}

const order = JSON.parse(process.argv[2] ?? '{}') as LaneOrder;
await using stage = await setStage(mkdtempSync(path.join(order.home, 'lane-')));
const pace: Pace = new Map();
const tell = (message: unknown): void => void process.send?.(message);

tell({ kind: 'ready' });
for await (const index of numbers()) {
  const drawn = drawCase(order.seed, index, order.only);
  tell({ kind: 'began', began: verdictOf(drawn) });
  try {
    tell({ kind: 'verdict', verdict: await carryOut(stage, { drawn, pace }) });
  } catch (error) {
    // The campaign's own failure, which is no verdict on the program.
    const text = error instanceof Error ? String(error.stack) : String(error);
    tell({
      kind: 'verdict',
      verdict: {
        ...verdictOf(drawn),
        status: null,
        notes: [],
        seconds: 0,
        violations: [`the campaign itself: ${text}`],
      },
    });
    // A stage that is broken spoils all that follows: another lane sets a new one.
    break;
  }
}
process.disconnect?.();

async function* numbers(): AsyncGenerator<number> {
  const waiting: ((value: number | null) => void)[] = [];
  const given: (number | null)[] = [];
  const take = (value: number | null): void => {
    const next = waiting.shift();
    if (next === undefined) given.push(value);
    else next(value);
  };
  process.on('message', (message: number | null) => take(message));
  process.once('disconnect', () => take(null));
  for (;;) {
    const next =
      given.length > 0 ? (given.shift() ?? null) : await new Promise<number | null>((resolve) => waiting.push(resolve));
    if (next === null) return;
    yield next;
  }
}
