// How long a doctor waits for somebody who says nothing. Without a limit one store that hangs keeps whoever asks from all that the
// other checks have found.

import { AppError } from '../errors.ts';
import { unlessAborted } from '../stream/abortable.ts';
import { formatSpan } from '../text/format.ts';

/** The longest silence, in milliseconds: the slow answer, and not the longest working one. */
export const longestSilenceMs = 4_000;

/** Whoever is asked, and what to do when no answer comes. */
export interface Asked {
  /** Such as "The database mastodon@db:5432/mastodon". */
  readonly what: string;
  readonly hint: string;
}

/** A watch over somebody who answers one question after the other; its disposer ends it. */
export interface SilenceWatch extends Disposable {
  /** Aborts with the caller's signal, or when there was no answer for too long: its reason is then AppError `timeout`. */
  readonly signal: AbortSignal;
  /** The next question begins. */
  readonly heard: () => void;
}

/** Begins to wait. */
export function watchSilence({ what, hint }: Asked, signal: AbortSignal): SilenceWatch {
  const silence = new AbortController();
  const cutOff = (): void => {
    silence.abort(new AppError('timeout', `${what} does not answer within ${formatSpan(longestSilenceMs)}`, { hint }));
  };
  let timer = setTimeout(cutOff, longestSilenceMs);
  return {
    signal: AbortSignal.any([signal, silence.signal]),
    heard() {
      clearTimeout(timer);
      timer = setTimeout(cutOff, longestSilenceMs);
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}

/** The answer to one question; rejects with AppError `timeout` when none comes, or with the signal's reason. */
export async function answerOf<Result>(
  asked: Asked,
  { signal, ask }: { readonly signal: AbortSignal; readonly ask: (signal: AbortSignal) => Promise<Result> },
): Promise<Result> {
  using watch = watchSilence(asked, signal);
  return await unlessAborted(ask(watch.signal), watch);
}
