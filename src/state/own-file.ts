// A file of the state directory that only we can have written, replaced whole. What it holds is believed without being asked for
// again, so whoever could put something into it would say what the stores hold: a file of another user, one that others may write, a
// link or a pipe is as good as none, and so is one that is too large to be ours.

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { giveToOwner } from '../disk/directory.ts';
import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { plural } from '../text/table.ts';
import { believedDirectories, fallbackDirectory, isOurs, usableDirectory } from './directory.ts';
import { shortHash } from './short-hash.ts';

/** A file that only we write. */
export interface OwnFile {
  /** Its content; null: there is none that is believed. Never rejects. */
  read(): Promise<Buffer | null>;
  /** Puts `content` in its place. Never rejects: what cannot be remembered is asked for again. */
  replace(content: Uint8Array): Promise<void>;
}

/** The file `name` in `directory`, or in the place that is used when that cannot be written; of no more than `mostBytes` bytes. */
export function openOwnFile({
  directory,
  name,
  subject,
  mostBytes,
  log,
}: {
  readonly directory: string;
  readonly name: string;
  /** What it is about: in the place that all share each subject has a file of its own. */
  readonly subject: string;
  readonly mostBytes: number;
  readonly log: Log;
}): OwnFile {
  // Where a command was once run as another user, that one's file cannot be replaced.
  const own = `${name}.${process.geteuid?.() ?? 0}`;
  const shared = shortHash(`${path.resolve(directory)}\n${subject}`, 12);
  const fileIn = (place: string): string => path.join(place, place === fallbackDirectory() ? `${shared}.${own}` : own);
  return {
    async read() {
      for (const place of await believedDirectories(directory)) {
        const file = fileIn(place);
        const content = await readOwn(file, mostBytes).catch((error: unknown) => {
          log.debug({ file, reason: describeError(error) }, 'Nothing is remembered here');
          return null;
        });
        if (content !== null) return content;
      }
      return null;
    },
    async replace(content) {
      try {
        if (content.length > mostBytes) throw new Error(`${plural(content.length, 'byte')} are too many`);
        const file = fileIn(await usableDirectory(directory, quietly(log)));
        await replaceFile(file, content, { isOwn: true });
      } catch (error) {
        log.debug({ name: own, reason: describeError(error) }, 'It could not be remembered');
      }
    },
  };
}

// Whoever only reads has no use for a warning that nothing can be remembered.
function quietly(log: Log): Log {
  const debug = (details: object, message: string): void => log.debug(details, message);
  return { debug, info: debug, warn: debug, error: debug };
}

// Whose it is, is asked of the open file: a name may point elsewhere a moment later.
async function readOwn(file: string, mostBytes: number): Promise<Buffer> {
  // A pipe would keep whoever opens it waiting.
  await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  const stats = await handle.stat();
  const isForOthers = (stats.mode & 0o022) !== 0;
  if (!stats.isFile() || !isOurs(stats) || isForOthers || stats.size > mostBytes)
    throw new Error('it is no file of ours');
  const content = await handle.readFile();
  if (content.length > mostBytes) throw new Error('it grows while it is read');
  return content;
}

/**
 * Puts `content` in the place of a file at once; it belongs to whom the directory does, or to us when it is to be our `own`. Rejects,
 * leaving the file as it was.
 */
export async function replaceFile(
  file: string,
  content: string | Uint8Array,
  { isOwn = false }: { readonly isOwn?: boolean } = {},
): Promise<void> {
  const partial = `${file}.${randomBytes(4).toString('hex')}`;
  try {
    const handle = await open(partial, 'wx', 0o600);
    try {
      await handle.writeFile(content);
      if (!isOwn) await giveToOwner(handle);
    } finally {
      await handle.close();
    }
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw error;
  }
}
