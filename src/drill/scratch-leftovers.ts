// Throw-away servers that were left because whoever started them was killed: ended and removed by the next, and only what really
// is one of ours.

import { constants } from 'node:fs';
import { lstat, open, readdir, readlink, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Log } from '../log.ts';
import { isOurs } from '../state/directory.ts';
import { isScratchName, isTrustedScratch, type ScratchKind } from '../state/scratch-directory.ts';
import { pause } from '../stream/patience.ts';
import { nobody } from './scratch-user.ts';

/** What a throw-away server is for. A purpose has one lock under which its servers are. */
export type ScratchPurpose = Exclude<ScratchKind, 'dump' | 'list'>;

/** What people call whatever it is for. */
export function inWords(purpose: ScratchPurpose): string {
  return purpose.replace(/^replay-/, '');
}

/** Ends and removes servers of that purpose that earlier processes left in `directory` when they were killed. */
export async function removeLeftovers(options: {
  readonly scratchDirectory: string;
  /** Whose are meant; what others made stays. */
  readonly scratchOwner: string;
  readonly purpose: ScratchPurpose;
  readonly log: Log;
}): Promise<void> {
  const { scratchDirectory: directory, scratchOwner, purpose, log } = options;
  // What somebody else put there is neither read nor removed.
  if (!(await isTrustedScratch(directory))) return;
  const names = (await readdir(directory).catch(() => [])).filter((name) =>
    isScratchName(name, { kind: purpose, scratchOwner }),
  );
  // It may be reached through a symbolic link, and a process says where it really is.
  const real = await realpath(directory).catch(() => directory);
  for (const name of names) {
    const home = path.join(real, name);
    // Where everybody may write, another user may have made it, to have us end a server or wait for a pipe.
    if (!(await isOurHome(home))) continue;
    log.warn({ directory: home }, `Removing a throw-away server that an interrupted ${inWords(purpose)} left behind`);
    await endPostmaster(home);
    // Its initdb may outlive whoever was killed, and goes on writing for a moment.
    await rm(home, { recursive: true, force: true, maxRetries: 8, retryDelay: 100 }).catch((error: unknown) =>
      log.warn({ err: error, directory: home }, 'It could not be removed'),
    );
  }
}

// A server of root's runs as another user, who was given the directory.
async function isOurHome(home: string): Promise<boolean> {
  const found = await lstat(home).catch(() => null);
  if (found?.isDirectory() !== true) return false;
  return isOurs(found) || (process.geteuid?.() === 0 && found.uid === nobody.uid);
}

// Only a process that really is this server: a pid from before a reboot may be anybody's, and a link in `data` may lead to any server.
async function endPostmaster(home: string): Promise<void> {
  const text = await readAtOnce(path.join(home, 'data', 'postmaster.pid')).catch(() => '');
  const processId = Number.parseInt(text, 10);
  if (!(processId > 1)) return;
  const data = path.join(home, 'data');
  const isThere = async (): Promise<boolean> => (await readlink(`/proc/${processId}/cwd`).catch(() => null)) === data;
  for (let attempt = 0; attempt < 50 && (await isThere()); attempt += 1) {
    try {
      process.kill(processId, attempt < 40 ? 'SIGQUIT' : 'SIGKILL');
    } catch {
      return;
    }
    await pause(100);
  }
}

// Never waits: what is there may be a pipe.
async function readAtOnce(file: string): Promise<string> {
  await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  return (await handle.stat()).isFile() ? await handle.readFile('utf8') : '';
}
