// Directories as they are made and measured. The system's own `mkdir -p` of Node never ends where a directory is there and none can
// be made in it, as in /proc: it takes "no such directory" for a parent that is missing, for ever.

import { lstat, mkdir, readdir, readlink, stat, statfs, type FileHandle } from 'node:fs/promises';
import path from 'node:path';

/** A file system's space in bytes; what only root may use does not count as free. */
export interface Space {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/**
 * Makes a directory and those above it. Answers the first that it had to make; undefined: all were there. Rejects with the system's
 * error: `ENOTDIR` where a file stands in its place, `ENOENT` where none can be made or a link leads nowhere, `ELOOP` where one leads
 * back to itself; never `EEXIST`, by which others mean an object that is there already. `below` and what is above it must be there.
 */
export async function makeDirectory(
  directory: string,
  { mode, below }: { readonly mode?: number; readonly below?: string } = {},
): Promise<string | undefined> {
  const first = await attempt(directory, mode);
  if (first.kind === 'done') return first.made;
  const above = path.dirname(directory);
  if (above === directory || above === below) throw first.error;
  // Where it is there, somebody else may have made it this moment: asked once more, and never again.
  const made = (await isDirectory(above))
    ? undefined
    : await makeDirectory(above, {
        ...(mode === undefined ? {} : { mode }),
        ...(below === undefined ? {} : { below }),
      });
  const second = await attempt(directory, mode);
  if (second.kind === 'orphan') throw second.error;
  return made ?? second.made;
}

/**
 * Gives a file that root has made in somebody else's directory to whom that belongs, who could not even read it otherwise. The directory
 * is the one in which the open file is: a name may lead elsewhere, into one of root's. Where root may not, as in a container, it stays
 * root's; never rejects.
 */
export async function giveToOwner(made: FileHandle): Promise<void> {
  if (process.geteuid?.() !== 0) return;
  try {
    const { uid, gid } = await lstat(path.dirname(await readlink(`/proc/self/fd/${made.fd}`)));
    if (uid !== 0) await made.chown(uid, gid);
  } catch {
    // It is whole all the same.
  }
}

/** The space of the file system in which `directory` is. */
export async function readSpace(directory: string): Promise<Space> {
  const { blocks, bavail, bsize } = await statfs(directory);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}

type Attempt =
  | { readonly kind: 'done'; readonly made: string | undefined }
  /** There is nothing above it to make it in. */
  | { readonly kind: 'orphan'; readonly error: unknown };

async function attempt(directory: string, mode: number | undefined): Promise<Attempt> {
  try {
    await mkdir(directory, { mode });
    return { kind: 'done', made: directory };
  } catch (error) {
    // Some answer otherwise of what is there already, such as one that is read-only.
    if (await isDirectory(directory)) return { kind: 'done', made: undefined };
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { kind: 'orphan', error };
    // What stands there is asked for as a directory, and the system says what is wrong with it.
    if (code === 'EEXIST') await readdir(directory);
    throw error;
  }
}

async function isDirectory(directory: string): Promise<boolean> {
  return stat(directory).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
