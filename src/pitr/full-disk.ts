// A disk that is full while a moment is brought back. The reader of the base would take it for a damaged base, and PostgreSQL takes a
// segment that could not be copied for the end of the log: both would send people after the wrong thing.

import { readSpace } from '../disk/directory.ts';
import { AppError, reasonOf } from '../errors.ts';

const codes: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT']);

/** Where something needs room. */
export interface Room {
  readonly directory: string;
  /** With less than this free behind a failure, that was the reason. */
  readonly needsBytes: number;
  readonly hint: string;
}

/** Does the work; what fails for want of space in `directory` rejects with AppError `restore`, reason `no-space`. */
export async function unlessFull<Result>(
  { directory, needsBytes, hint }: Room,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (reasonOf(error) === 'no-space') throw error;
    const free = await readSpace(directory).catch(() => null);
    if (!isForWantOfSpace(error) && (free === null || free.freeBytes >= needsBytes)) throw error;
    throw new AppError('restore', `The disk of '${directory}' was full before the moment was back`, {
      cause: error,
      reason: 'no-space',
      hint,
    });
  }
}

function isForWantOfSpace(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (codes.has(code) || /No space left on device/i.test(at.message)) return true;
  }
  return false;
}
