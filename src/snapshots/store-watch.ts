// How long a store may stand still over what it is given. A disk or a NAS that hangs answers no call, and a bucket is asked again and
// again: without a limit whoever waits for them holds its lock until the time of the whole work is over.

import { AppError } from '../errors.ts';
import { startStallClock } from '../stream/stall-clock.ts';
import { formatSpan } from '../text/format.ts';

/** What the work takes along: it ends with the signal, and says when bytes have moved. */
export interface Watched {
  readonly signal: AbortSignal;
  readonly onProgress: () => void;
}

/** Has a store do its `work`. Rejects as it does, or with AppError `stalled` where it stood still for `stallTimeoutMs` milliseconds. */
export async function unlessStalled<Result>(
  work: (watched: Watched) => Promise<Result>,
  options: {
    /** What did not succeed then, with the key and the place. */
    readonly action: string;
    /** Whether it is the store that is waited for; left out: all the time. */
    readonly waiting?: () => boolean;
    readonly stallTimeoutMs: number;
    readonly signal: AbortSignal;
    /** Called at once; the work may take a moment to clean up. */
    readonly onStall?: (error: AppError) => void;
  },
): Promise<Result> {
  const { stallTimeoutMs, waiting = () => true } = options;
  const stop = new AbortController();
  using clock = startStallClock({
    timeoutMs: stallTimeoutMs,
    waiting,
    onStall() {
      const error = new AppError('stalled', `${options.action}: it stood still for ${formatSpan(stallTimeoutMs)}`, {
        hint: 'Check the network to the store, or the disk; BACKUP_STALL_TIMEOUT says how long to wait.',
      });
      options.onStall?.(error);
      stop.abort(error);
    },
  });
  return await work({ signal: AbortSignal.any([options.signal, stop.signal]), onProgress: () => clock.moved() });
}
