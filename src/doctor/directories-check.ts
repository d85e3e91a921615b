// Whether the directories for state and scratch can be written, are ours alone, and have room: without the first what is remembered
// ends with the container, and without the second there are no drills and no restores with several jobs.

import { randomBytes } from 'node:crypto';
import { mkdir, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { makeDirectory, readSpace } from '../disk/directory.ts';
import { fallbackDirectory, maxDirectoryBytes } from '../state/directory.ts';
import { makeScratchDirectory } from '../state/scratch-directory.ts';
import { localError } from '../storage/local-errors.ts';
import { AppError } from '../errors.ts';
import { formatBytes } from '../text/format.ts';
import { problem, type Examination, type Finding } from './finding.ts';
import { answerOf } from './silence.ts';

/** What the records of some years take, and twice what is replaced at a time, in bytes. */
const leastForState = 16 * 1024 * 1024;
const writableByAll = 0o002;
const sticky = 0o1000;

interface Directory {
  readonly check: string;
  readonly setting: string;
  readonly directory: string;
  /** What follows when it cannot be used, and how bad that is: no backup needs a scratch directory. */
  readonly without: string;
  readonly isBad: 'problem' | 'warning';
  readonly leastBytes: number;
  readonly make: () => Promise<unknown>;
}

/** A finding for each of the two. */
export async function examineDirectories({
  settings,
  signal,
}: Pick<Examination, 'settings' | 'signal'>): Promise<readonly Finding[]> {
  const { stateDirectory, scratchDirectory } = settings;
  const both: readonly Directory[] = [
    {
      check: 'state directory',
      setting: 'BACKUP_STATE_DIR',
      directory: stateDirectory,
      without: `what is remembered goes to ${fallbackDirectory()}, and ends with the container`,
      isBad: 'problem',
      leastBytes: leastForState,
      make: async () => makeStateDirectory(stateDirectory),
    },
    {
      check: 'scratch directory',
      setting: 'BACKUP_SCRATCH_DIR',
      directory: scratchDirectory,
      without: 'there are no drills and no restores with several jobs',
      isBad: 'warning',
      leastBytes: 0,
      make: async () => makeScratchDirectory(scratchDirectory),
    },
  ];
  return Promise.all(
    both.map(async (one) => {
      const asked = {
        what: `The directory '${one.directory}'`,
        hint: 'Look at the disk, or at the server that it is mounted from.',
      };
      try {
        return await answerOf(asked, { signal, ask: async () => lookAt(one) });
      } catch (error) {
        return problem(one.check, error);
      }
    }),
  );
}

async function makeStateDirectory(directory: string): Promise<void> {
  if (Buffer.byteLength(directory) > maxDirectoryBytes)
    throw new AppError('settings', `'${directory}' is not used: its path is longer than ${maxDirectoryBytes} bytes`, {
      hint: 'Name one with a shorter path in BACKUP_STATE_DIR.',
    });
  await makeDirectory(directory, { mode: 0o700 });
}

async function lookAt({ check, setting, directory, without, isBad, leastBytes, make }: Directory): Promise<Finding> {
  try {
    await make();
    const probe = path.join(directory, `.probe.${randomBytes(4).toString('hex')}`);
    await mkdir(probe);
    await rmdir(probe);
  } catch (error) {
    const found = await refusalOf(error, { setting, directory });
    return { ...problem(check, found), status: isBad, detail: `${found.message}: ${without}` };
  }
  const [{ uid, gid, mode }, space] = await Promise.all([stat(directory), readSpace(directory)]);
  const owner = `owner ${uid}:${gid}, mode ${(mode & 0o7777).toString(8).padStart(4, '0')}`;
  const detail = `${directory} can be written (${owner}), ${formatBytes(space.freeBytes)} of ${formatBytes(space.totalBytes)} are free`;
  if (space.freeBytes < leastBytes)
    return { check, status: 'warning', detail, remedy: `Free space there, or name another place in ${setting}.` };
  if ((mode & writableByAll) !== 0 && (mode & sticky) === 0) {
    const remedy = `Everybody can put something else in the place of what is ours; run where it is: chmod o-w '${directory}'`;
    return { check, status: 'warning', detail, remedy };
  }
  return { check, status: 'ok', detail, remedy: null };
}

// A root file system that is read-only is how it should be: then a volume is missing.
async function refusalOf(
  error: unknown,
  { setting, directory }: { readonly setting: string; readonly directory: string },
): Promise<AppError> {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const action = `'${directory}' cannot be written`;
  if (code !== 'EROFS' && code !== 'ENOENT') return localError(error, { action, directory });
  const says = code === 'EROFS' ? 'the file system is read-only' : 'there is nothing in which it could be made';
  return new AppError('settings', `${action}: ${says}`, {
    cause: error,
    hint: `Mount a volume at ${setting} that can be written, or take 'ro' from the one that is there.`,
  });
}
