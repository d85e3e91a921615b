// The extra files of a snapshot, written into a directory that has nothing yet: nothing is overwritten, nothing is followed
// anywhere else, and half of them are not left behind.

import { open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { makeDirectory } from '../disk/directory.ts';
import { AppError, describeError } from '../errors.ts';
import type { ExtraFile } from '../snapshots/extra-part.ts';

/**
 * Writes them into `directory`, which must be new or empty, readable by us alone. Their names must be checked already.
 * @throws AppError `usage` when something is there, `restore` when they cannot be written.
 */
export async function writeExtraFiles(
  directory: string,
  { files, signal }: { readonly files: readonly ExtraFile[]; readonly signal: AbortSignal },
): Promise<void> {
  const isNew = await prepare(directory);
  try {
    for (const { name, content } of files) {
      signal.throwIfAborted();
      const file = path.join(directory, name);
      await makeDirectory(path.dirname(file), { mode: 0o700 });
      await using handle = await open(file, 'wx', 0o600);
      await handle.writeFile(content);
      await handle.sync();
    }
  } catch (error) {
    await takeBack(directory, { isNew }).catch(() => undefined);
    signal.throwIfAborted();
    throw cannotWrite(directory, error);
  }
}

// Answers whether it was made.
async function prepare(directory: string): Promise<boolean> {
  try {
    const made = await makeDirectory(directory, { mode: 0o700 });
    if ((await readdir(directory)).length === 0) return made !== undefined;
  } catch (error) {
    throw cannotWrite(directory, error);
  }
  throw new AppError('usage', `There is something in '${directory}' already`, {
    hint: 'Name a new or an empty directory; nothing is overwritten.',
  });
}

// Whatever is in it was written here: it was empty.
async function takeBack(directory: string, { isNew }: { readonly isNew: boolean }): Promise<void> {
  if (isNew) return rm(directory, { recursive: true, force: true });
  for (const name of await readdir(directory)) await rm(path.join(directory, name), { recursive: true, force: true });
}

function cannotWrite(directory: string, error: unknown): AppError {
  return new AppError('restore', `The extra files could not be written to '${directory}': ${describeError(error)}`, {
    cause: error,
    hint: 'Name a directory that can be made and written here, and has room.',
  });
}
