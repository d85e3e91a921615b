// The loops of drills and of base backups, beside the schedule loop: a drill of hours keeps no backup waiting. Each begins when what was
// missed is backed up; what it waits for is told by who looks.

import { unlessAborted } from '../stream/abortable.ts';
import type { DaemonClock } from './clock.ts';

/** What a loop does and how it waits. */
export interface DueLoopOptions {
  /** Does what is due; answers when to look again, where there was nothing to do. */
  readonly look: (
    signal: AbortSignal,
  ) => Promise<{ readonly kind: string } | { readonly kind: 'waits'; readonly until: Date }>;
  readonly clock: Pick<DaemonClock, 'waitUntil'>;
  /** Resolves when the schedule loop has first found nothing to do: a dump is worth more than a drill or a base backup. */
  readonly firstIdle: Promise<void>;
  readonly signal: AbortSignal;
}

/** Runs until `signal` aborts. */
export async function runDueLoop({ look, clock, firstIdle, signal }: DueLoopOptions): Promise<void> {
  await unlessAborted(firstIdle, { signal });
  while (!signal.aborted) {
    const found = await look(signal);
    if ('until' in found) await clock.waitUntil(found.until, signal);
  }
}
