// The daemon in this process: the loop, the app and the stores are the real ones, and what a test would wait minutes for
// (the pause after a failure) takes a moment.

import { createClock } from '../../src/daemon/clock.ts';
import { runDaemon } from '../../src/daemon/services.ts';
import type { App } from '../../src/app/app.ts';
import { openApp } from './app.ts';
import { clockOf } from './clock-ahead.ts';

/** A daemon that runs; its disposer ends it as a signal does. */
export interface RunningDaemon extends AsyncDisposable {
  readonly app: App;
  /** What it has logged, as one text. */
  said(): string;
}

/** Starts a daemon with exactly these variables. */
export function startDaemon(
  environment: Readonly<Record<string, string>>,
  { firstSetbackMs = 300 }: { readonly firstSetbackMs?: number } = {},
): RunningDaemon {
  const lines: string[] = [];
  const app = openApp(environment, { lines });
  const stop = new AbortController();
  const clock = createClock(clockOf(environment));
  const ended = runDaemon({
    app,
    clock,
    toolVersion: '0.0.0-test',
    yieldPauseMs: 300,
    firstSetbackMs,
    signal: stop.signal,
  });
  ended.catch(() => undefined);
  return {
    app,
    said: () => lines.join(''),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
      await app[Symbol.asyncDispose]();
    },
  };
}
