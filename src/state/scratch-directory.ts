// The scratch directory, where archives and throw-away servers are. Its usual place is one that everybody may write to: whoever
// made it before us could put another archive into the place of ours between its writing and its reading.

import { randomBytes } from 'node:crypto';
import { lstat, stat } from 'node:fs/promises';
import path from 'node:path';
import { makeDirectory } from '../disk/directory.ts';
import { AppError } from '../errors.ts';
import { isOurs } from './directory.ts';
import { shortHash } from './short-hash.ts';

const writableByAll = 0o002;

/** What there is in the scratch directory: a restore's dump and the list of its entries, and the homes of throw-away servers. */
export type ScratchKind = 'dump' | 'list' | 'drill' | 'open' | 'replay-restore' | 'replay-drill';

/**
 * A new name for something of that kind. It says whose it is, by the directory of the lock that its maker holds: an instance with
 * another one may share the scratch directory, and what it is at work with is nobody's leftover.
 */
export function createScratchName(kind: ScratchKind, { stateDirectory }: { readonly stateDirectory: string }): string {
  const mark = `${ownerOf(stateDirectory)}${randomBytes(3).toString('hex')}`;
  return kind === 'dump' || kind === 'list' ? `restore-${mark}.${kind}` : `${kind}-${mark}`;
}

/** Whether something of that kind has a name that whoever locks in `stateDirectory` gave it. */
export function isScratchName(
  name: string,
  { kind, stateDirectory }: { readonly kind: ScratchKind; readonly stateDirectory: string },
): boolean {
  const mark = `${ownerOf(stateDirectory)}[0-9a-f]{6}`;
  const form = kind === 'dump' || kind === 'list' ? `restore-${mark}\\.${kind}` : `${kind}-${mark}`;
  return new RegExp(`^${form}$`).test(name);
}

function ownerOf(stateDirectory: string): string {
  return shortHash(path.resolve(stateDirectory), 6);
}

/**
 * Makes the scratch directory where it is not there.
 * @throws AppError `settings` when it may be another user's trap; the system's error where it cannot be made.
 */
export async function makeScratchDirectory(directory: string): Promise<void> {
  await makeDirectory(directory);
  if (await isTrustedScratch(directory)) return;
  const { uid } = await lstat(directory);
  throw new AppError('settings', `The scratch directory '${directory}' was made by another user (uid ${uid})`, {
    hint: `Remove it, or name a directory of your own in BACKUP_SCRATCH_DIR.`,
  });
}

/**
 * Whether nobody but us and root can have put the directory there: where everybody may write, it must be ours or a file system of
 * its own. Never rejects; what is not there is not trusted.
 */
export async function isTrustedScratch(directory: string): Promise<boolean> {
  try {
    const name = path.resolve(directory);
    const [own, target, parent] = await Promise.all([lstat(name), stat(name), stat(path.dirname(name))]);
    const isOfRoot = own.uid === 0 && (target.uid === 0 || isOurs(target));
    if (isOfRoot || (isOurs(own) && (isOurs(target) || target.uid === 0))) return true;
    return (parent.mode & writableByAll) === 0 || (own.isDirectory() && own.dev !== parent.dev);
  } catch {
    return false;
  }
}
