// What killed drills and restores left in the scratch directory goes, each kind under the lock of those who make it: what a
// drill at work has there must not be taken for a leftover by a restore, nor the other way round.

import { removeLeftovers, type ScratchPurpose } from '../drill/scratch-leftovers.ts';
import { AppError } from '../errors.ts';
import { removeScratchArchives } from '../restore/archive-file.ts';
import type { LockName } from '../state/lock.ts';
import { ownerInScratch } from '../state/scratch-directory.ts';
import type { AppContext } from './context.ts';
import { reportCutOffDrill } from './drill-watch.ts';
import { lockFor } from './locking.ts';

/** Whose what we make in the scratch directory is. */
export function scratchOwnerOf(context: AppContext): string {
  const { instance, settings } = context.load();
  return ownerInScratch(instance, settings);
}

/** Removes what restores left. Call it holding the lock `run`. Never rejects for what cannot be removed. */
export async function tidyRestores(context: AppContext): Promise<void> {
  const directory = context.load().settings.scratchDirectory;
  await removeScratchArchives({ directory, scratchOwner: scratchOwnerOf(context), log: context.log });
  await tidyServers(context, 'replay-restore');
}

/** Removes what all of them left, and remembers that a drill was cut off, as far as nobody is at work. Never rejects. */
export async function tidyScratch(context: AppContext, signal: AbortSignal): Promise<void> {
  await unlessHeld(context, { name: 'run', signal, work: async () => tidyRestores(context) });
  await unlessHeld(context, {
    name: 'drill',
    signal,
    async work() {
      await tidyServers(context, 'drill');
      await tidyServers(context, 'replay-drill');
      await reportCutOffDrill(context);
    },
  });
  await unlessHeld(context, { name: 'open', signal, work: async () => tidyServers(context, 'open') });
}

async function tidyServers(context: AppContext, purpose: ScratchPurpose): Promise<void> {
  const { scratchDirectory } = context.load().settings;
  await removeLeftovers({ scratchDirectory, scratchOwner: scratchOwnerOf(context), purpose, log: context.log });
}

async function unlessHeld(
  context: AppContext,
  { name, signal, work }: { readonly name: LockName; readonly signal: AbortSignal; readonly work: () => Promise<void> },
): Promise<void> {
  try {
    await using _lock = await lockFor(context, { name, command: 'tidy', signal });
    await work();
  } catch (error) {
    if (error instanceof AppError && error.code === 'locked') return;
    const directory = context.load().settings.scratchDirectory;
    context.log.warn({ err: error, directory }, 'The scratch directory could not be tidied');
  }
}
