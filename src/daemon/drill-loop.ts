// The drill loop, beside the schedule loop: a drill of hours keeps no backup waiting, and begins only when none is due or under
// way. What it waits for is told by who looks; what could not be carried out is tried again less and less often.

import type { App } from '../app/app.ts';
import { unlessAborted } from '../stream/abortable.ts';
import type { DaemonClock } from './clock.ts';

/** What the loop does and how it waits. */
export interface DrillLoopOptions {
  readonly app: Pick<App, 'drillIfDue'>;
  readonly clock: Pick<DaemonClock, 'waitUntil'>;
  /** Resolves when the schedule loop has first found nothing to do: what was missed is backed up before it is drilled. */
  readonly firstIdle: Promise<void>;
  readonly signal: AbortSignal;
}

/** Runs until `signal` aborts. */
export async function runDrillLoop({ app, clock, firstIdle, signal }: DrillLoopOptions): Promise<void> {
  await unlessAborted(firstIdle, { signal });
  while (!signal.aborted) {
    const look = await app.drillIfDue(signal);
    if (look.kind === 'waits') await clock.waitUntil(look.until, signal);
  }
}
