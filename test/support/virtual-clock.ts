// A clock that tests turn: time passes only when it is told to, and whoever waits is woken in order.

import { setImmediate as turn } from 'node:timers/promises';
import type { DaemonClock } from '../../src/daemon/clock.ts';

/** The clock, and how it is turned. */
export interface VirtualClock extends DaemonClock {
  /** Lets so many seconds pass, waking whoever waits on the way and letting them work. */
  pass(seconds: number): Promise<void>;
  /** The moments that are waited for, in order, as seconds since the start. */
  awaited(): readonly number[];
}

/** A clock that stands at `start`; its chance is always one half, so that nothing jitters. */
export function createVirtualClock(start = new Date('2026-11-23T12:00:00Z')): VirtualClock {
  let nowMs = start.getTime();
  const waiting = new Map<() => void, number>();
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 20; round += 1) await turn();
  };
  return {
    now: () => new Date(nowMs),
    random: () => 0.5,
    async waitUntil(until, signal) {
      if (signal.aborted || until.getTime() <= nowMs) return;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        waiting.set(wake, until.getTime());
        signal.addEventListener('abort', wake, { once: true });
      });
    },
    async pass(seconds) {
      const endMs = nowMs + seconds * 1_000;
      await settle();
      for (;;) {
        const [next] = [...waiting].filter(([, at]) => at <= endMs).toSorted((a, b) => a[1] - b[1]);
        if (next === undefined) break;
        nowMs = Math.max(nowMs, next[1]);
        next[0]();
        await settle();
      }
      nowMs = endMs;
    },
    awaited: () => [...waiting.values()].map((at) => (at - start.getTime()) / 1_000).toSorted((a, b) => a - b),
  };
}
