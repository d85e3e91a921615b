// Commands whose wall clock is ahead, so that a schedule of every minute is due in moments and not after up to a minute.

import { fileURLToPath } from 'node:url';

const preload = fileURLToPath(new URL('clock-ahead-preload.ts', import.meta.url));
const minuteMs = 60_000;

/** The variable that says how many milliseconds the clock is ahead. */
export const clockVariable = 'TEST_CLOCK_AHEAD_MS';

/** What a command's environment needs for a clock by which a minute begins in so many seconds. */
export function minuteBegins({ inSeconds }: { readonly inSeconds: number }): Readonly<Record<string, string>> {
  const leftMs = minuteMs - (Date.now() % minuteMs);
  const aheadMs = (leftMs - inSeconds * 1_000 + minuteMs) % minuteMs;
  return { NODE_OPTIONS: `--import=${preload}`, [clockVariable]: String(aheadMs) };
}

/** The same clock for what runs in this process. */
export function clockOf(environment: Readonly<Record<string, string>>): () => Date {
  const aheadMs = Number(environment[clockVariable] ?? 0);
  return () => new Date(Date.now() + aheadMs);
}
