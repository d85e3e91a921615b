// Files of a directory as a store needs them: a name that is taken once, and entries that are on the disk when it says so.
// A rename alone would overwrite somebody's backup; an entry that was never synced is gone after a power cut.

import { stat as statByCall, type Dirent, type Stats } from 'node:fs';
import { link, lstat, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { makeDirectory } from '../disk/directory.ts';
import { AppError } from '../errors.ts';
import type { ObjectKey, StoredObject } from './store.ts';

/**
 * What link() answers on file systems without hard links, or with no more of them: rclone's mounts say EIO, mergerfs EXDEV where the
 * two would lie on different disks.
 */
const withoutLinks = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EIO', 'EXDEV'];

/** Of ten thousand files it costs a third less than that of node:fs/promises. */
const stat = promisify(statByCall);

/** Whether a failed link() means that there can be none here. */
export function isWithoutLinks(error: unknown): boolean {
  return withoutLinks.includes((error as NodeJS.ErrnoException).code ?? '');
}

/** Rejects unless the directory is there; it is never made, so that a disk that is not mounted is noticed. */
export async function requireDirectory(directory: string): Promise<void> {
  const found = await stat(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found?.isDirectory() === true) return;
  if (found !== undefined)
    throw new AppError('store', `'${directory}' is no directory`, {
      reason: 'not-found',
      hint: 'Name a directory in BACKUP_LOCAL_DIR, or move away what stands in its place.',
    });
  throw new AppError('store', `The directory '${directory}' does not exist`, {
    reason: 'not-found',
    hint: 'Mount it, or create it: it is not created here, so that a disk that is not mounted is noticed.',
  });
}

/** Which directory it is, of those that could stand under its name; rejects unless it is there. */
export async function identify(directory: string): Promise<string> {
  await requireDirectory(directory);
  // Opened, so that one that is mounted when it is needed is.
  const handle = await open(directory, 'r');
  try {
    const { dev, ino } = await handle.stat();
    return `${dev}:${ino}`;
  } finally {
    await handle.close();
  }
}

/** The failure of whoever began to read one directory and ended in another, where nothing may be. */
export function exchanged(directory: string): AppError {
  return new AppError('store', `The directory '${directory}' was mounted or unmounted while it was read`, {
    reason: 'unreachable',
    hint: 'Look whether it is mounted as it should be; it is read again by itself.',
  });
}

/**
 * Makes a folder and those above it, but not `directory`: unmounted this moment it would be made below the mount point, and the next
 * backup would go there.
 */
export async function makeFolder(folder: string, directory: string): Promise<void> {
  const made = await makeDirectory(folder, { mode: 0o700, below: directory });
  // A new folder is on the disk only when the one above it is.
  if (made !== undefined) await syncDirectory(path.dirname(made));
}

/** Gives a finished file its name, never over another one. */
export async function publish(partial: string, file: string): Promise<void> {
  // link() fails when the name exists, rename() would overwrite; some network file systems have no hard links.
  try {
    await link(partial, file);
    await rm(partial);
  } catch (error) {
    if (!isWithoutLinks(error) || (await exists(file))) throw error;
    await rename(partial, file);
  }
}

/** Puts a directory's entries on the disk. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems cannot sync a directory.
    if (!['EINVAL', 'ENOTSUP', 'EBADF'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await handle.close();
  }
}

/** Whether something is there, a link that leads nowhere too; rejects when that cannot be told. */
export async function exists(file: string): Promise<boolean> {
  return (
    (await lstat(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    })) !== null
  );
}

/** A file as an object; null: nothing is there. Rejects when it is no file, or when that cannot be told. */
export async function lookAt(file: string, key: ObjectKey): Promise<StoredObject | null> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  // A name without anything behind it is still a name: whoever took it for nothing would sweep away what belongs to it.
  if (found === null && (await exists(file))) throw noFile(key, 'a symbolic link that leads nowhere');
  if (found === null) return null;
  if (!found.isFile()) throw noFile(key, kindOf(found));
  const fileMark = markOf(found);
  return { key, bytes: found.size, modifiedAt: found.mtime, etag: null, ...(fileMark === null ? {} : { fileMark }) };
}

/** The coarsest clock of a file system counts two seconds (FAT). */
const coarsestTickMs = 3_000;

// Whoever writes into a file moves its times, and who replaces it its number. Null: it has changed so lately that it could change
// once more within the same tick.
function markOf({ dev, ino, mtimeMs, ctimeMs }: Stats): string | null {
  return Date.now() - ctimeMs < coarsestTickMs ? null : [dev, ino, mtimeMs, ctimeMs].join(' ');
}

/** What something is that is no file, for people. */
export function kindOf(found: Dirent | Stats): string {
  if (found.isDirectory()) return 'a directory';
  if (found.isSymbolicLink()) return 'a symbolic link';
  if (found.isFIFO()) return 'a named pipe';
  if (found.isSocket()) return 'a socket';
  return found.isBlockDevice() || found.isCharacterDevice() ? 'a device' : 'no file';
}

/** The failure of whoever wants a file and finds something else. */
export function noFile(key: string, kind: string): AppError {
  return new AppError('store', `'${key}' is ${kind}, where a file should be`, {
    reason: 'unsupported',
    hint: 'Look who put it there, and put the file itself in its place.',
  });
}
