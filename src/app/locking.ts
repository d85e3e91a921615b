// The locks as verbs take them: by name, in the state directory, in the name of this process. Everything that writes into a store or
// a database takes `run`, so that two of them never meet.

import { takeLock, type LockName } from '../state/lock.ts';
import type { AppContext } from './context.ts';

/**
 * Takes a lock for `command`, which others are told while it is held; its disposer gives it back.
 * @throws AppError `locked` when somebody else holds it, unless `wait`.
 */
export async function lockFor(
  context: AppContext,
  options: {
    readonly name?: LockName;
    readonly command: string;
    /** Left out: the command has no such option. */
    readonly wait?: boolean;
    readonly signal: AbortSignal;
  },
): Promise<AsyncDisposable> {
  const { now, log, processId } = context;
  const { name = 'run', command, wait, signal } = options;
  const directory = context.load().settings.stateDirectory;
  return takeLock({ directory, name, holder: { command, processId }, wait, signal, now, log });
}
