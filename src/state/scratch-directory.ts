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
 * Whose something in the scratch directory is: of the instance and the directory of its locks. Another one may share the scratch
 * directory, and what it is at work with is nobody's leftover; in containers the directories have the same name.
 */
export function ownerInScratch(instance: string, { stateDirectory }: { readonly stateDirectory: string }): string {
  return shortHash(`${path.resolve(stateDirectory)}\n${instance}`, 6);
}

/** A new name for something of that kind, which says whose it is. */
export function createScratchName(kind: ScratchKind, { scratchOwner }: { readonly scratchOwner: string }): string {
  const mark = `${scratchOwner}${randomBytes(3).toString('hex')}`;
  return kind === 'dump' || kind === 'list' ? `restore-${mark}.${kind}` : `${kind}-${mark}`;
}

/** Whether something of that kind has a name that its owner gave it. */
export function isScratchName(
  name: string,
  { kind, scratchOwner }: { readonly kind: ScratchKind; readonly scratchOwner: string },
): boolean {
  const mark = `${scratchOwner}[0-9a-f]{6}`;
  const form = kind === 'dump' || kind === 'list' ? `restore-${mark}\\.${kind}` : `${kind}-${mark}`;
  return new RegExp(`^${form}$`).test(name);
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
