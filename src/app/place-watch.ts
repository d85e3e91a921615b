// Whether the destinations are there, between two readings of all that they hold: a disk that is unmounted at noon must not be
// called readable until the backup of the night, nor one that was mounted again be called gone. Asked is one small thing: the
// marker, and not what it says.

import { markerKey } from '../snapshots/place-marker.ts';
import type { Repository } from '../snapshots/repository.ts';
import { unlessAborted } from '../stream/abortable.ts';
import { pauseOrEnd } from '../stream/patience.ts';
import type { AppContext } from './context.ts';
import { recordOf } from './places.ts';

/** To ask a directory costs nothing; a bucket so often costs two cents a month where requests are paid for. */
const everyMs = { local: 5_000, s3: 60_000 } as const;

/** What was found the last time: that the place does not answer, has no marker, or which. */
type Found = string;

/** Watches the destinations of the settings, one watcher a process. */
export function createPlaceWatch(context: AppContext): {
  /** Resolves when a destination is otherwise than it was when it was last asked, or remembered; or with the signal. Never rejects. */
  changed(signal: AbortSignal): Promise<void>;
} {
  // Kept from one wait to the next: what answers one way and is read in another is told of once, and not again and again.
  const found = new Map<string, Found>();
  const watchOne = async (repository: Repository, signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      const now = await ask(repository, signal);
      if (signal.aborted) return;
      const before = found.get(repository.store.description);
      found.set(repository.store.description, now);
      if (before === undefined ? !(await isRemembered(context, repository, now)) : before !== now) return;
      await pauseOrEnd(everyMs[repository.store.name], signal);
    }
  };
  return {
    async changed(signal) {
      const ended = new AbortController();
      const either = AbortSignal.any([signal, ended.signal]);
      try {
        const repositories = await context.stores();
        const all = repositories.map(async (repository) => watchOne(repository, either));
        await unlessAborted(Promise.race(all), { signal });
      } catch (error) {
        if (!signal.aborted)
          context.log.warn({ err: error }, 'The destinations are not watched until they are read again');
        await unlessAborted(new Promise<never>(() => undefined), { signal }).catch(() => undefined);
      } finally {
        ended.abort();
      }
    },
  };
}

const silent = 'silent';
const unmarked = 'unmarked';

async function ask(repository: Repository, signal: AbortSignal): Promise<Found> {
  try {
    const marker = await repository.store.head(markerKey(repository), { signal });
    return marker === null ? unmarked : `${marker.bytes} ${marker.modifiedAt.getTime()}`;
  } catch {
    return silent;
  }
}

async function isRemembered(context: AppContext, repository: Repository, now: Found): Promise<boolean> {
  const remembered = await context.state().readStores();
  const record = recordOf(repository, remembered?.stores);
  if (record === undefined) return true;
  const isReadable = record.error === null;
  if (now === silent) return !isReadable;
  return isReadable ? now !== unmarked || (record.placeId ?? null) === null : record.strange === true;
}
