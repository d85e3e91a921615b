// A snapshot as a plain archive on a disk: for pg_restore with several jobs, and for whoever wants the dump itself. Under the
// name that was asked for there is only ever a whole one.

import { randomBytes } from 'node:crypto';
import { constants, createWriteStream } from 'node:fs';
import { access, lstat, open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ArchiveItem } from '../database/archive-contents.ts';
import { readSpace } from '../disk/directory.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { formatBytes } from '../text/format.ts';
import { dumpOf, type Manifest } from '../snapshots/manifest.ts';
import { streamDump, type SnapshotSource, type StreamOptions } from '../snapshots/dump-stream.ts';
import {
  createScratchName,
  isScratchName,
  isTrustedScratch,
  makeScratchDirectory,
} from '../state/scratch-directory.ts';

/** Room left beside the archive, as a share of it. */
const headroom = 1.05;

type Contents = readonly ArchiveItem[];

/** An archive in the scratch directory; its disposer removes it. */
export interface ScratchArchive extends AsyncDisposable {
  readonly file: string;
  readonly contents: Contents;
}

/** What a restore with several jobs needs in the scratch directory, in bytes. */
export function archiveBytes(manifest: Manifest): number {
  return Math.ceil(headroom * dumpOf(manifest).content.bytes);
}

/** Writes the archive into `directory`, under a name of its own. @throws AppError `restore` when there is too little space. */
export async function writeScratchArchive(
  source: SnapshotSource,
  {
    directory,
    scratchOwner,
    ...options
  }: StreamOptions & { readonly directory: string; readonly scratchOwner: string },
): Promise<ScratchArchive> {
  await makeScratchDirectory(directory).catch((error: unknown) => {
    if (error instanceof AppError) throw error;
    throw cannotWrite(`'${directory}'`, error);
  });
  await assertSpace(directory, { bytes: dumpOf(source.manifest).content.bytes });
  const file = path.join(directory, createScratchName('dump', { scratchOwner }));
  const remove = async (): Promise<void> => rm(file, { force: true });
  try {
    const contents = await writeTo(file, { source, flush: false, ...options });
    return { file, contents, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove().catch(() => undefined);
    throw error;
  }
}

/** Removes archives that earlier processes left in `directory` when they were killed. Call it holding the lock. */
export async function removeScratchArchives({
  directory,
  scratchOwner,
  log,
}: {
  readonly directory: string;
  /** Whose are meant; what others made stays. */
  readonly scratchOwner: string;
  readonly log: Log;
}): Promise<void> {
  if (!(await isTrustedScratch(directory))) return;
  const names = (await readdir(directory).catch(() => [])).filter((name) =>
    (['dump', 'list'] as const).some((kind) => isScratchName(name, { kind, scratchOwner })),
  );
  for (const name of names) {
    const file = path.join(directory, name);
    log.warn({ file }, 'Removing an archive that an interrupted restore left behind');
    await rm(file, { force: true }).catch((error: unknown) =>
      log.warn({ err: error, file }, 'It could not be removed'),
    );
  }
}

/** A file by its path, or a stream such as stdout. */
export type FileOutput = string | Writable;

/** Writes the archive to a file, which must not exist, under a temporary name first; or to a stream. Rejects with AppError. */
export async function writeArchive(
  source: SnapshotSource,
  { output, ...options }: StreamOptions & { readonly output: FileOutput },
): Promise<void> {
  if (typeof output !== 'string') {
    await streamTo(output, { source, name: 'The output', ...options });
    return;
  }
  await assertAbsent(output);
  await assertSpace(path.dirname(path.resolve(output)), { bytes: dumpOf(source.manifest).content.bytes });
  const partial = `${output}.partial-${randomBytes(4).toString('hex')}`;
  try {
    await writeTo(partial, { source, flush: true, ...options });
    await rename(partial, output);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Writes a secret document to a file, which must not exist, readable by us alone; or to a stream. Rejects with AppError. */
export async function writeSecrets(output: FileOutput, content: Uint8Array): Promise<void> {
  if (typeof output !== 'string') {
    try {
      await pipeline(Readable.from([content]), output);
    } catch (error) {
      throw cannotWrite('The output', error);
    }
    return;
  }
  await assertAbsent(output);
  let isOurs = false;
  try {
    await using handle = await open(output, 'wx', 0o600);
    isOurs = true;
    await handle.writeFile(content);
    await handle.sync();
  } catch (error) {
    // Half of it would be taken for the whole, and be in the way of the next attempt.
    if (isOurs) await rm(output, { force: true }).catch(() => undefined);
    throw cannotWrite(`'${output}'`, error);
  }
}

async function assertAbsent(file: string): Promise<void> {
  if ((await lstat(file).catch(() => null)) === null) return;
  throw new AppError('usage', `'${file}' exists already`, {
    hint: 'Name a new file, move that one away, or write - for stdout.',
  });
}

async function writeTo(
  file: string,
  {
    flush,
    ...options
  }: StreamOptions & {
    readonly source: SnapshotSource;
    /** Whether it must survive a crash. */
    readonly flush: boolean;
  },
): Promise<Contents> {
  const to = createWriteStream(file, { mode: 0o600, flags: 'wx', highWaterMark: 1024 * 1024, flush });
  return streamTo(to, { ...options, name: `'${file}'` });
}

async function streamTo(
  to: Writable,
  { source, name, ...options }: StreamOptions & { readonly source: SnapshotSource; readonly name: string },
): Promise<Contents> {
  try {
    const outcome = await streamDump(source, { ...options, to });
    if (outcome.kind === 'whole') return outcome.contents;
    throw new AppError('restore', `${name} was closed before the dump's end`, {
      hint: 'Look at the program that reads it.',
    });
  } catch (error) {
    if (error instanceof AppError || options.signal.aborted) throw error;
    throw cannotWrite(name, error);
  }
}

function cannotWrite(name: string, error: unknown): AppError {
  return new AppError('restore', `${name} could not be written: ${describeError(error)}`, {
    cause: error,
    hint: 'Name a file in a directory that can be written here and has room, or - for stdout.',
  });
}

async function assertSpace(directory: string, { bytes }: { readonly bytes: number }): Promise<void> {
  try {
    await access(directory, constants.W_OK);
  } catch (error) {
    throw cannotWrite(`'${directory}'`, error);
  }
  const { freeBytes: free } = await readSpace(directory);
  if (free >= headroom * bytes) return;
  throw new AppError(
    'restore',
    `There is too little space in '${directory}': the dump takes ${formatBytes(bytes)}, ${formatBytes(free)} are free`,
    { hint: 'Make room there, or restore with one job, which needs none: leave --jobs out.' },
  );
}
