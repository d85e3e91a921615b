// Notices that something has stopped moving. The clock runs only while somebody waits for the watched thing: a dump that
// stands still because the bucket is slow is not stalled, the bucket is. Without that distinction the wrong one is named.

/** A watch over something that should move. */
export interface StallClock extends Disposable {
  /** The thing moved: the clock starts anew. */
  moved(): void;
}

/**
 * Calls `onStall` once when, for `timeoutMs`, `waiting()` was true and `moved()` was not called.
 * Looks ten times in that span, at least once a second.
 */
export function startStallClock(options: {
  readonly timeoutMs: number;
  readonly waiting: () => boolean;
  readonly onStall: () => void;
}): StallClock {
  let stillMs = 0;
  let lastLookMs = performance.now();
  const timer = setInterval(
    () => {
      const nowMs = performance.now();
      stillMs = options.waiting() ? stillMs + (nowMs - lastLookMs) : 0;
      lastLookMs = nowMs;
      if (stillMs >= options.timeoutMs) {
        clearInterval(timer);
        options.onStall();
      }
    },
    Math.min(1_000, Math.max(10, options.timeoutMs / 10)),
  );
  timer.unref();
  return {
    moved() {
      stillMs = 0;
      lastLookMs = performance.now();
    },
    [Symbol.dispose]() {
      clearInterval(timer);
    },
  };
}
