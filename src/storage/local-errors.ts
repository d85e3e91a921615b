// What went wrong with a directory, in words an administrator can act on: who owns it, how full it is.

import { stat } from 'node:fs/promises';
import path from 'node:path';
import { readSpace } from '../disk/directory.ts';
import { AppError, describeError } from '../errors.ts';
import { formatBytes } from '../text/format.ts';

/** What the system's words mean for a directory of backups; what is not here is told as it comes. */
const meanings: Readonly<Record<string, { readonly says: string; readonly hint?: string }>> = {
  EIO: { says: 'the disk answers with an input/output error', hint: 'Look at the disk with: dmesg.' },
  EUCLEAN: { says: 'the file system is damaged', hint: 'Look at the disk with: dmesg; then check its file system.' },
  ESTALE: { says: 'the network file system no longer knows it', hint: 'Mount the directory again.' },
  ENOTCONN: { says: 'the mount has lost its server', hint: 'Mount the directory again.' },
  EHOSTDOWN: { says: 'the server of the network file system is down' },
  ETIMEDOUT: { says: 'the network file system does not answer in time' },
  ENOTDIR: { says: 'a file stands where a directory should be', hint: 'Move that file away.' },
  EISDIR: { says: 'a directory stands where a file should be', hint: 'Move that directory away.' },
  ERR_FS_EISDIR: { says: 'a directory stands where a file should be', hint: 'Move that directory away.' },
  ELOOP: { says: 'a symbolic link leads back to itself', hint: 'Remove that link.' },
  ENAMETOOLONG: { says: 'its name is too long for this file system', hint: 'Use a directory with a shorter path.' },
  EMFILE: { says: 'too many files are open', hint: 'Raise the limit of open files (ulimit -n).' },
  ENFILE: { says: 'too many files are open on this machine', hint: 'Raise the limit of open files (fs.file-max).' },
};

/** The error for a failed action on a directory, or on a `file` in it; an `AppError` stays what it is. */
export async function localError(
  error: unknown,
  { action, directory, file }: { readonly action: string; readonly directory: string; readonly file?: string },
): Promise<AppError> {
  if (error instanceof AppError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new AppError('store', `${action}: ${await describeSpace(directory)}`, {
        cause: error,
        reason: 'no-space',
        hint: 'Free space there or keep fewer backups, then run the backup again; older backups are untouched.',
      });
    case 'EROFS':
      return new AppError('store', `${action}: the file system is read-only`, {
        cause: error,
        reason: 'access-denied',
        hint: `Mount it for writing: take 'ro' from its volume or its line in /etc/fstab, then on the host: mount -o remount,rw '${directory}'; if it was made read-only by itself, look at the disk with: dmesg.`,
      });
    case 'EACCES':
    case 'EPERM': {
      const places = file === undefined ? [directory] : [file, path.dirname(file), directory];
      const { says, hint } = await describeRefusal(places, directory);
      return new AppError('store', `${action}: ${says}`, { cause: error, reason: 'access-denied', hint });
    }
    case 'EEXIST':
      return new AppError('store', `${action}: the key exists already`, {
        cause: error,
        reason: 'exists',
        hint: 'Run the backup again.',
      });
    case 'ENOENT':
      return new AppError('store', `${action}: there is no such file`, {
        cause: error,
        reason: 'not-found',
        hint: `Check that '${directory}' is mounted, then try again.`,
      });
    case undefined:
      return new AppError('store', `${action}: ${describeError(error)}`, {
        cause: error,
        hint: `Check that '${directory}' is mounted and healthy.`,
      });
    default: {
      const meaning = meanings[code];
      return new AppError('store', `${action}: ${meaning?.says ?? describeError(error)}`, {
        cause: error,
        reason: 'unreachable',
        hint: meaning?.hint ?? `Check that '${directory}' is mounted and healthy.`,
      });
    }
  }
}

async function describeSpace(directory: string): Promise<string> {
  const space = await readSpace(directory).catch(() => null);
  if (space === null) return 'no space is left';
  return `no space is left (${formatBytes(space.freeBytes)} of ${formatBytes(space.totalBytes)} free)`;
}

// Of the first of the places that can be looked at: a file, or the directory above it that lets nobody in.
async function describeRefusal(
  places: readonly string[],
  directory: string,
): Promise<{ readonly says: string; readonly hint: string }> {
  const own = process.geteuid?.() ?? 0;
  for (const place of places) {
    const found = await stat(place).catch(() => null);
    if (found === null) continue;
    const { uid, gid, mode } = found;
    const says = `permission denied (owner ${uid}:${gid}, mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`;
    if (own === 0)
      return {
        says: `${says}, although we are root`,
        hint: `Look what forbids it: a NAS that maps root to nobody (no_root_squash), or an attribute (lsattr -d '${place}').`,
      };
    if (uid !== own)
      return {
        says: `${says}, and we are ${own}`,
        hint: `Give it to the user of the backup service, on the host: chown -R ${own} '${directory}'.`,
      };
    return { says, hint: `Let its owner write, on the host: chmod -R u+rwX '${directory}'.` };
  }
  return {
    says: `permission denied for user ${own}`,
    hint: `Give it to the user of the backup service, on the host: chown -R ${own} '${directory}'.`,
  };
}
