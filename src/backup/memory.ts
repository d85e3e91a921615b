// Plans threads and parts into the memory there is, before the dump: the alternative is the kernel's killer in the middle
// of the night, taking the backup or the database.

import { AppError } from '../errors.ts';
import { formatMiB } from '../text/format.ts';
import { plural } from '../text/table.ts';

const mib = 1024 * 1024;

/** What Node, the SDK, the streams and pg_dump need besides coder and parts; measured at 95-125 MiB. */
const baseBytes = 128 * mib;

/** What a run will use. */
export interface MemoryPlan {
  readonly threads: number;
  readonly totalBytes: number;
  readonly limitBytes: number;
  /** What was lowered and why, for the log; null when everything fits as asked. */
  readonly note: string | null;
}

/**
 * The most threads up to `threads` with which a run fits into `limitBytes`.
 * @throws AppError `settings` when not even one thread fits.
 */
export function planMemory(options: {
  readonly threads: number;
  readonly cores: number;
  readonly limitBytes: number;
  /** Memory of the coder in bytes with that many threads; see `codec/`. */
  readonly coderMemory: (threads: number) => number;
  /** Parts that are in memory at once, times their size, over all destinations. */
  readonly partsMemory: number;
}): MemoryPlan {
  const total = (threads: number): number => baseBytes + options.coderMemory(threads) + options.partsMemory;
  const wanted = Math.min(options.threads, options.cores);
  let threads = wanted;
  while (threads > 1 && total(threads) > options.limitBytes) threads -= 1;
  if (total(threads) > options.limitBytes) {
    throw new AppError(
      'settings',
      `The backup needs ${formatMiB(total(threads))} of memory even with one thread, and ${formatMiB(options.limitBytes)} are allowed`,
      {
        hint: 'Give the container more memory, raise BACKUP_MEMORY_LIMIT, or lower BACKUP_S3_CONCURRENCY or a high BACKUP_COMPRESSION_LEVEL.',
      },
    );
  }
  const notes = [
    wanted < options.threads ? plural(options.cores, 'core') : null,
    threads < wanted ? `the memory limit of ${formatMiB(options.limitBytes)}` : null,
  ].filter((note) => note !== null);
  return {
    threads,
    totalBytes: total(threads),
    limitBytes: options.limitBytes,
    note:
      notes.length === 0
        ? null
        : `${threads} instead of ${plural(options.threads, 'thread')} because of ${notes.join(' and ')}`,
  };
}
