// Waits for work that cannot be cancelled only as long as the signal allows: a system call on a hung disk never returns,
// and without this the run that waits for it would outlive its own time-out.

import { pauseOrEnd } from './patience.ts';

/**
 * The work's outcome, or the signal's reason when it aborts; then the work has another `graceMs` milliseconds to clean up
 * after itself, and whatever it does later nobody waits for.
 */
export async function unlessAborted<Result>(
  work: Promise<Result>,
  { signal, graceMs = 0 }: { readonly signal: AbortSignal; readonly graceMs?: number },
): Promise<Result> {
  // Whoever has left must not be told of a late failure.
  work.catch(() => undefined);
  const { promise: aborted, resolve } = Promise.withResolvers<'aborted'>();
  const abort = (): void => resolve('aborted');
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    const first = await Promise.race([work.then((result) => ({ result })), aborted]);
    if (first !== 'aborted') return first.result;
  } finally {
    signal.removeEventListener('abort', abort);
  }
  if (graceMs > 0) {
    const settled = new AbortController();
    const stop = (): void => settled.abort();
    await Promise.race([work.then(stop, stop), pauseOrEnd(graceMs, settled.signal)]);
  }
  throw signal.reason;
}
