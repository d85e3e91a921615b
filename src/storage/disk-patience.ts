// How long a directory is waited for. A hung disk or NAS answers no system call, and none can be cancelled: without a
// limit, a run whose bucket has long got its copy would wait for the directory for ever.

import { AppError } from '../errors.ts';
import { unlessAborted } from '../stream/abortable.ts';
import { formatSpan } from '../text/format.ts';

/** Waits for answers of a disk. */
export interface DiskPatience {
  /** The answer; rejects as `stalled` when none comes in time, or with the signal's reason. */
  readonly answered: <Result>(work: Promise<Result>, signal: AbortSignal) => Promise<Result>;
  /** The items, each of which has to come in time. */
  readonly each: <Item>(items: AsyncGenerator<Item>, signal: AbortSignal) => AsyncGenerator<Item>;
  /** The same of items that come some together: a clock for each of ten thousand costs more than what they are asked for. */
  readonly eachOf: <Item>(items: AsyncGenerator<readonly Item[]>, signal: AbortSignal) => AsyncGenerator<Item>;
}

/** Patience with the disk under `directory`; an answer may take `idleMs` milliseconds. */
export function createDiskPatience({
  directory,
  idleMs,
}: {
  readonly directory: string;
  readonly idleMs: number;
}): DiskPatience {
  async function answered<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
    const silence = new AbortController();
    const timer = setTimeout(() => {
      silence.abort(
        new AppError('stalled', `The directory '${directory}' has not answered for ${formatSpan(idleMs)}`, {
          hint: 'Check the disk, or the network to the NAS.',
        }),
      );
    }, idleMs);
    try {
      return await unlessAborted(work, { signal: AbortSignal.any([signal, silence.signal]) });
    } finally {
      clearTimeout(timer);
    }
  }
  async function* each<Item>(items: AsyncGenerator<Item>, signal: AbortSignal): AsyncGenerator<Item> {
    for (;;) {
      const next = await answered(items.next(), signal);
      if (next.done === true) return;
      yield next.value;
    }
  }
  return {
    answered,
    each,
    async *eachOf(items, signal) {
      for await (const some of each(items, signal)) yield* some;
    },
  };
}
