// What killed drills and restores left in the scratch directory goes; the lock must be held.

import { removeLeftovers } from '../drill/scratch-server.ts';
import { removeScratchArchives } from '../restore/archive-file.ts';
import type { AppContext } from './context.ts';

/** Removes it. Never rejects for what cannot be removed. */
export async function tidyScratchDirectory(context: AppContext): Promise<void> {
  const { log } = context;
  const directory = context.load().settings.scratchDirectory;
  await removeLeftovers({ directory, log });
  await removeScratchArchives({ directory, log });
}
