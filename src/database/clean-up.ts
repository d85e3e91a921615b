// What is left on a server is taken away also when the server is away for a moment: its restart often is the very reason why there
// is something to take away, and what stays then stays until somebody restores again.

import { AppError } from '../errors.ts';
import { pause } from '../stream/patience.ts';
import { isLostSession } from './lost-session.ts';
import { sqlStateOf } from './sql-state.ts';

/** How long a server that cannot be reached is asked again, in milliseconds; whoever was told to stop waits as long. */
const patienceMs = 5_000;
const retryMs = 250;
/** SQLSTATEs of a server that starts, stops or has no slot; PostgreSQL's appendix A. */
const passingStates = /^(57P|53300)/;

/** Does the work, which opens a session of its own, again while the server cannot be reached; at most until `signal` aborts. */
export async function whenReachable(
  work: () => Promise<void>,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (signal.aborted || performance.now() > deadline || !mayPass(error)) throw error;
      await pause(retryMs, signal);
    }
  }
}

function mayPass(error: unknown): boolean {
  const cause = error instanceof AppError && error.cause !== undefined ? error.cause : error;
  return isLostSession(cause) || passingStates.test(sqlStateOf(cause) ?? '');
}
