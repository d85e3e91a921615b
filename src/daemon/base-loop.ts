// The loop of base backups, beside all others: it begins when what was missed is backed up, and looks every few seconds whether
// the last base still leads somewhere.

import type { App } from '../app/app.ts';
import { unlessAborted } from '../stream/abortable.ts';
import type { DaemonClock } from './clock.ts';

/** What the loop does and how it waits. */
export interface BaseLoopOptions {
  readonly app: Pick<App, 'baseIfDue'>;
  readonly clock: Pick<DaemonClock, 'waitUntil'>;
  /** Resolves when the schedule loop has first found nothing to do: a dump is worth more than a base backup. */
  readonly firstIdle: Promise<void>;
  readonly signal: AbortSignal;
}

/** Runs until `signal` aborts. */
export async function runBaseLoop({ app, clock, firstIdle, signal }: BaseLoopOptions): Promise<void> {
  await unlessAborted(firstIdle, { signal });
  while (!signal.aborted) {
    const look = await app.baseIfDue(signal);
    if (look.kind === 'waits') await clock.waitUntil(look.until, signal);
  }
}
