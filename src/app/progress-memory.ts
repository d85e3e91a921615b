// How far a run or a drill has come, remembered every few seconds, so that the status page of the daemon shows also what a person
// has started beside it.

import type { ProgressListener } from '../backup/progress.ts';
import type { ProgressRecord } from '../state/records.ts';
import type { AppContext } from './context.ts';

/** A file is replaced so often, in milliseconds: a person sees it move, and a disk does not notice. */
const everyMs = 3_000;

/** A listener that remembers what it is told and passes it on; its disposer says that it has ended. */
export function rememberProgress(
  context: AppContext,
  { of, onProgress }: { readonly of: keyof ProgressRecord; readonly onProgress: ProgressListener },
): AsyncDisposable & { readonly onProgress: ProgressListener } {
  let lastAt = Number.NEGATIVE_INFINITY;
  let writing: Promise<void> = Promise.resolve();
  return {
    onProgress(progress) {
      onProgress(progress);
      const clock = performance.now();
      if (clock - lastAt < everyMs) return;
      lastAt = clock;
      const pace = { ...progress, at: context.now().toISOString() };
      writing = context.state().updateProgress({ [of]: pace });
    },
    async [Symbol.asyncDispose]() {
      await writing;
      if (lastAt !== Number.NEGATIVE_INFINITY) await context.state().updateProgress({ [of]: null });
    },
  };
}
