// Throw-away servers that were left because whoever started them was killed: ended and removed by the next, and only what really
// is one of ours.

import { readFile, readdir, readlink, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Log } from '../log.ts';
import { isScratchName, isTrustedScratch, type ScratchKind } from '../state/scratch-directory.ts';
import { pause } from '../stream/patience.ts';

/** What a throw-away server is for. A purpose has one lock under which its servers are. */
export type ScratchPurpose = Exclude<ScratchKind, 'dump' | 'list'>;

/** Ends and removes servers of that purpose that earlier processes left in `directory` when they were killed. */
export async function removeLeftovers(options: {
  readonly scratchDirectory: string;
  /** Where the lock is; what others made stays. */
  readonly stateDirectory: string;
  readonly purpose: ScratchPurpose;
  readonly log: Log;
}): Promise<void> {
  const { scratchDirectory: directory, stateDirectory, purpose, log } = options;
  // What somebody else put there is neither read nor removed.
  if (!(await isTrustedScratch(directory))) return;
  const names = (await readdir(directory).catch(() => [])).filter((name) =>
    isScratchName(name, { kind: purpose, stateDirectory }),
  );
  for (const name of names) {
    const home = path.join(directory, name);
    log.warn(
      { directory: home },
      `Removing a throw-away server that an interrupted ${purpose.replace(/^replay-/, '')} left behind`,
    );
    await endPostmaster(home);
    // Its initdb may outlive whoever was killed, and goes on writing for a moment.
    await rm(home, { recursive: true, force: true, maxRetries: 8, retryDelay: 100 }).catch((error: unknown) =>
      log.warn({ err: error, directory: home }, 'It could not be removed'),
    );
  }
}

// Only a process that really is this server: a pid from before a reboot may be anybody's.
async function endPostmaster(home: string): Promise<void> {
  const text = await readFile(path.join(home, 'data', 'postmaster.pid'), 'utf8').catch(() => '');
  const processId = Number.parseInt(text, 10);
  if (!(processId > 1)) return;
  // The scratch directory may be reached through a symbolic link.
  const data = await realpath(path.join(home, 'data')).catch(() => '');
  const isOurs = async (): Promise<boolean> => (await readlink(`/proc/${processId}/cwd`).catch(() => null)) === data;
  for (let attempt = 0; attempt < 50 && (await isOurs()); attempt += 1) {
    try {
      process.kill(processId, attempt < 40 ? 'SIGQUIT' : 'SIGKILL');
    } catch {
      return;
    }
    await pause(100);
  }
}
