// The lock under which state files are changed. It is held for milliseconds, and it never stops anything: where there can be no
// lock, and beside a holder that hangs, what is remembered is written without one, for it is a cache, and the backup that it is
// about is worth more than that.

import path from 'node:path';
import type { Log } from '../log.ts';
import { jittered, pause } from '../stream/patience.ts';
import { makeSocketDirectory } from './directory.ts';
import { askLock, isWithoutSockets, removeStale, tryLock } from './socket-lock.ts';

/** An update takes milliseconds. Whoever holds the lock for so long hangs. */
const usualPatienceMs = 15_000;
const pollMs = 10;

/** Takes the lock of the state in `place`; its disposer gives it back. Null: there is none to be had. Never rejects. */
export async function lockState(
  place: string,
  {
    now,
    log,
    patienceMs = usualPatienceMs,
  }: { readonly now: () => Date; readonly log: Log; readonly patienceMs: number | undefined },
): Promise<AsyncDisposable | null> {
  let file = path.join(place, 'state.lock');
  const deadline = performance.now() + patienceMs;
  try {
    for (;;) {
      const lock = await tryLock(file, '').catch(async (error: unknown) => {
        const other = path.join(await makeSocketDirectory(place), 'state.lock');
        if (!isWithoutSockets(error) || other === file) throw error;
        file = other;
        return tryLock(file, '');
      });
      if (lock !== undefined) return lock;
      if ((await askLock(file)).kind === 'stale') await removeStale(file, now);
      if (performance.now() > deadline) {
        log.warn({ file }, 'Whoever holds this lock does not give it back; state is written without it');
        return null;
      }
      await pause(jittered(pollMs, Math.random));
    }
  } catch (error) {
    log.debug({ file, err: error }, 'State is written without a lock');
    return null;
  }
}
