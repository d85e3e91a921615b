// The state directory, or where to go without one: a read-only or lost volume must not stop a backup, and everything in a
// container shares /tmp. On a host other users and other instances share it too: it is used only where it is ours alone.

import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeDirectory } from '../disk/directory.ts';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { shortHash } from './short-hash.ts';

/** Linux takes 107 bytes for the path of a socket (unix(7)); the lock's name has some of them. A longer path is not used. */
export const maxDirectoryBytes = 107 - 32;

/** The places where state may be, the configured one first. */
function stateDirectories(directory: string): readonly string[] {
  const fallback = fallbackDirectory();
  return Buffer.byteLength(directory) > maxDirectoryBytes ? [fallback] : [directory, fallback];
}

/**
 * Those of the places that are believed: the one that everybody can make only where it is ours. Whatever somebody else keeps
 * there, a pipe that is never written to or a lock that is never given back, is not even opened.
 */
export async function believedDirectories(directory: string): Promise<readonly string[]> {
  const fallback = fallbackDirectory();
  const isOurPlace = await assertOurs(fallback).then(
    () => true,
    () => false,
  );
  return stateDirectories(directory).filter((candidate) => candidate !== fallback || isOurPlace);
}

/** Where state goes when the configured directory cannot be used. */
export function fallbackDirectory(): string {
  return path.join(tmpdir(), 'mastodon-backup');
}

/**
 * Where the locks of `directory` are when its file system has no sockets, as rclone's mounts, vfat and some shares: a place that all in
 * this container find by its name. In the fallback itself there is nothing else to go to.
 */
function socketDirectory(directory: string): string {
  const name = shortHash(path.resolve(directory), 12);
  return directory === fallbackDirectory() ? directory : path.join(fallbackDirectory(), name);
}

/** Those of the places that are believed, each with the one for its sockets. */
export async function lockDirectories(directory: string): Promise<readonly string[]> {
  const believed = await believedDirectories(directory);
  // Nobody but we can make anything in a place that is ours.
  const isOurPlace = believed.includes(fallbackDirectory());
  return [...new Set(believed.flatMap((one) => (isOurPlace ? [one, socketDirectory(one)] : [one])))];
}

/** Makes the place for the sockets of a directory that can have none. Rejects where it cannot be made, or is somebody else's. */
export async function makeSocketDirectory(directory: string): Promise<string> {
  const place = socketDirectory(directory);
  for (const folder of [fallbackDirectory(), place]) {
    await makeDirectory(folder, { mode: 0o700 });
    await assertOurs(folder);
  }
  return place;
}

/** Whether a file or directory belongs to the user we run as: anybody may put something into /tmp. */
export function isOurs({ uid }: Pick<Stats, 'uid'>): boolean {
  const own = process.geteuid?.();
  return own === undefined || uid === own;
}

/**
 * The first of the places that can be written.
 * @throws AppError `settings` when there is none.
 */
export async function usableDirectory(directory: string, log: Log): Promise<string> {
  const candidates = stateDirectories(directory);
  for (const candidate of candidates) {
    try {
      await makeDirectory(candidate, { mode: 0o700 });
      if (candidate === fallbackDirectory()) await assertOurs(candidate);
      const probe = path.join(candidate, `.probe.${randomBytes(4).toString('hex')}`);
      await mkdir(probe);
      await rm(probe, { recursive: true });
      if (candidate !== directory) {
        log.warn({ directory, used: candidate }, 'BACKUP_STATE_DIR cannot be used; state and lock are kept elsewhere');
      }
      return candidate;
    } catch (error) {
      log.debug({ directory: candidate, err: error }, 'Directory not usable');
    }
  }
  throw new AppError('settings', `Neither BACKUP_STATE_DIR '${directory}' nor '${candidates.at(-1)}' can be written`, {
    hint: 'Mount a volume at BACKUP_STATE_DIR that the user of this container may write.',
  });
}

// A link or a directory of somebody else's would let them write our state, or read it.
async function assertOurs(directory: string): Promise<void> {
  const stats = await lstat(directory);
  if (!stats.isDirectory() || !isOurs(stats)) throw new Error(`'${directory}' does not belong to us`);
}
