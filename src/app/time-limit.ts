// A limit in time for a whole piece of work: everything has an end, and whoever reads of it is told which setting it was.

import { AppError } from '../errors.ts';
import { formatSpan } from '../text/format.ts';

/** A signal that aborts when the time is over; its disposer calls that off. */
export interface TimeLimit extends Disposable {
  readonly signal: AbortSignal;
}

/** Begins to count; `what` and `setting` are for the message, `hint` says what helps. The reason is AppError `timeout`. */
export function startTimeLimit(
  limitMs: number,
  { what, setting, hint }: { readonly what: string; readonly setting: string; readonly hint: string },
): TimeLimit {
  const controller = new AbortController();
  const abort = (): void =>
    controller.abort(new AppError('timeout', `${what} took longer than ${setting} (${formatSpan(limitMs)})`, { hint }));
  // setTimeout takes at most 2^31-1 ms, some 24 days.
  const timer = setTimeout(abort, Math.min(limitMs, 2 ** 31 - 1));
  return { signal: controller.signal, [Symbol.dispose]: () => clearTimeout(timer) };
}
