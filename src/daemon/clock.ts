// Waiting by the wall clock: a machine that slept, or whose clock was set, is noticed within seconds instead of after a day.

import { pauseOrEnd, type Random } from '../stream/patience.ts';

/** The clock the daemon lives by; tests bring their own. */
export interface DaemonClock {
  now(): Date;
  readonly random: Random;
  /** Resolves at `until`, earlier when the wall clock was set, or when `signal` aborts. */
  waitUntil(until: Date, signal: AbortSignal): Promise<void>;
}

const lookEveryMs = 10_000;
const jumpMs = 30_000;

/** The real clock. */
export function createClock(now: () => Date): DaemonClock {
  return {
    now,
    random: () => Math.random(),
    async waitUntil(until, signal) {
      while (!signal.aborted) {
        const before = now().getTime();
        const leftMs = until.getTime() - before;
        if (leftMs <= 0) return;
        const stepMs = Math.min(leftMs, lookEveryMs);
        await pauseOrEnd(stepMs, signal);
        if (Math.abs(now().getTime() - before - stepMs) > jumpMs) return;
      }
    },
  };
}
