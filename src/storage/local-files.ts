// Files of a directory as a store needs them: a name that is taken once, and entries that are on the disk when it says so.
// A rename alone would overwrite somebody's backup; an entry that was never synced is gone after a power cut.

import { link, open, rename, rm, stat } from 'node:fs/promises';
import { AppError } from '../errors.ts';
import type { ObjectKey, StoredObject } from './store.ts';

/** What link() answers on file systems without hard links, or with no more of them. */
const withoutLinks = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

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
  throw new AppError('store', `The directory '${directory}' does not exist`, {
    reason: 'not-found',
    hint: 'Mount it, or create it: it is not created here, so that a disk that is not mounted is noticed.',
  });
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

/** Whether something is there; rejects when that cannot be told. */
export async function exists(file: string): Promise<boolean> {
  return (
    (await describe(file, '' as ObjectKey).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    })) !== null
  );
}

/** A file as an object. */
export async function describe(file: string, key: ObjectKey): Promise<StoredObject> {
  const { size, mtime } = await stat(file);
  return { key, bytes: size, modifiedAt: mtime, etag: null };
}
