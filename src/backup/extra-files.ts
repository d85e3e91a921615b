// The administrator's own files (a compose file, the web server's settings) as one tar: a format that every system unpacks without
// this program, under the names that the files had. One that is missing or too large is left out and named, and stops no run.

import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileHeader, fitsTar, padding, tarEnd } from '../codec/tar.ts';
import { describeError } from '../errors.ts';
import { isBelow } from '../snapshots/extra-part.ts';
import { formatBytes } from '../text/format.ts';
import { plural } from '../text/table.ts';

/** The largest file that travels, in bytes. */
const largestFileBytes = 1024 * 1024;
/** All of them together. */
const largestBytes = 16 * 1024 * 1024;
/** A directory that was named by mistake must not keep a run busy. */
const mostFiles = 1_000;

/** What travels, and what does not. */
export interface ExtraFiles {
  /** Names without the first slash, as in the tar. */
  readonly names: readonly string[];
  readonly tar: Buffer;
  /** What was left out, a sentence each. */
  readonly leftOut: readonly string[];
}

/** Packs these files, and all files in these directories. Rejects only with the reason of `signal`. */
export async function packExtraFiles(paths: readonly string[], signal: AbortSignal): Promise<ExtraFiles> {
  const blocks: Buffer[] = [];
  const names: string[] = [];
  const leftOut: string[] = [];
  let bytes = 0;
  const leave = (file: string, why: string): void => void leftOut.push(`The extra file '${file}' is left out: ${why}`);
  for (const { file, problem } of await findFiles(paths)) {
    signal.throwIfAborted();
    const name = file.replace(/^\/+/, '');
    if (names.includes(name)) continue;
    if (problem !== null) leave(file, problem);
    else if (names.length >= mostFiles) {
      leftOut.push(`More than ${plural(mostFiles, 'extra file')} are named; the rest is left out`);
      break;
    } else if (!fitsTar(name) || !isBelow(name))
      leave(file, 'its path is too long, or has characters that a tar must not');
    else {
      try {
        const { mtime, size } = await stat(file);
        const content = size > largestFileBytes ? null : await readFile(file, { signal });
        if (content === null || content.length > largestFileBytes)
          leave(
            file,
            `it has ${formatBytes(content?.length ?? size)}, and at most ${formatBytes(largestFileBytes)} travel`,
          );
        else if (bytes + content.length > largestBytes)
          leave(file, `all of them together have more than ${formatBytes(largestBytes)}`);
        else {
          names.push(name);
          bytes += content.length;
          blocks.push(
            fileHeader(name, { bytes: content.length, modifiedAt: mtime }),
            content,
            Buffer.alloc(padding(content.length)),
          );
        }
      } catch (error) {
        signal.throwIfAborted();
        leave(file, describeAbsence(error));
      }
    }
  }
  return { names, tar: Buffer.concat([...blocks, tarEnd]), leftOut };
}

interface Found {
  readonly file: string;
  /** Why it cannot travel; null: it may. */
  readonly problem: string | null;
}

async function findFiles(paths: readonly string[]): Promise<readonly Found[]> {
  const found = await Promise.all(paths.map(async (one) => filesAt(one, { isNamed: true })));
  return found.flat();
}

async function filesAt(file: string, { isNamed }: { readonly isNamed: boolean }): Promise<readonly Found[]> {
  try {
    const stats = await stat(file);
    if (stats.isFile()) return [{ file, problem: null }];
    if (!stats.isDirectory()) return [{ file, problem: 'it is neither a file nor a directory' }];
    // A link to a directory may lead anywhere, and round in circles.
    if (!isNamed && (await lstat(file)).isSymbolicLink())
      return [{ file, problem: 'it is a link to a directory; name that itself' }];
    const names = (await readdir(file)).toSorted();
    const inside: Found[] = [];
    for (const name of names) {
      if (inside.length > mostFiles) break;
      inside.push(...(await filesAt(path.join(file, name), { isNamed: false })));
    }
    return inside;
  } catch (error) {
    return [{ file, problem: describeAbsence(error) }];
  }
}

function describeAbsence(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'it is not there; mount it into this container';
  if (code === 'EACCES' || code === 'EPERM') return 'the user of this program may not read it';
  return describeError(error);
}
