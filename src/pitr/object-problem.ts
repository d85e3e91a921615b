// What is wrong with a stored object, and what is wrong with the store: the one is said of the object and hides nothing of the
// others, the other ends it, for a store that cannot be asked says nothing of what is in it.

import { AppError } from '../errors.ts';
import type { ObjectKey } from '../storage/store.ts';

/** What is wrong with an object. */
export interface ObjectProblem {
  readonly object: ObjectKey;
  readonly problem: string;
}

/** Whether the store could not be asked: that says nothing of what is in it. */
export function isOfTheStore(error: unknown): boolean {
  return (
    error instanceof AppError && error.code === 'store' && error.reason !== undefined && error.reason !== 'not-found'
  );
}
