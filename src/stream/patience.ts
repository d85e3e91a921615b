// How everything here waits before it tries again: until a signal ends it, longer after each failure, and never all at the
// same moment. A loop that sleeps by itself is one that a signal cannot end, or that a thousand instances run in step.

import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';

/** Where chance comes from, from 0 to below 1; tests bring their own. */
export type Random = () => number;

/** How long to wait after failures that follow one another, in milliseconds. */
export interface BackOff {
  readonly firstMs: number;
  /** The wait doubles up to this. */
  readonly longestMs: number;
  readonly random: Random;
}

/** Waits; rejects with the signal's reason as soon as it aborts. */
export async function pause(waitMs: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  try {
    await sleep(waitMs, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** Waits until then or until the signal aborts, whichever is first; never rejects. */
export async function pauseOrEnd(waitMs: number, signal: AbortSignal): Promise<void> {
  await pause(waitMs, signal).catch(() => undefined);
}

/** Lets others have their turn in the middle of work that takes long. */
export async function nextTurn(): Promise<void> {
  await turn();
}

/** Between three quarters and five quarters of a wait. */
export function jittered(waitMs: number, random: Random): number {
  return waitMs * (0.75 + random() / 2);
}

/** The wait after the given number of failures, from 1. */
export function backOffMs(failures: number, { firstMs, longestMs, random }: BackOff): number {
  return jittered(Math.min(longestMs, firstMs * 2 ** (failures - 1)), random);
}
