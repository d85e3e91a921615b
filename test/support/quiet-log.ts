// A log for tests that are not about the log.

import type { Log } from '../../src/log.ts';

/** Swallows everything. */
export const quietLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
