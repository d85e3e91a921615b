// What went wrong with a directory, in words an administrator can act on: who owns it, how full it is.

import { stat, statfs } from 'node:fs/promises';
import { AppError, describeError } from '../errors.ts';
import { formatBytes } from '../text/format.ts';

/** The error for a failed action on a directory; an `AppError` stays what it is. */
export async function localError(
  error: unknown,
  { action, directory }: { readonly action: string; readonly directory: string },
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
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new AppError('store', `${action}: ${await describeOwner(directory, code)}`, {
        cause: error,
        reason: 'access-denied',
        hint: `Make it writable: chown -R <uid of the backup service> '${directory}' on the host.`,
      });
    case 'ENOENT':
      return new AppError('store', `${action}: there is no such file`, { cause: error, reason: 'not-found' });
    case undefined:
      return new AppError('store', `${action}: ${describeError(error)}`, { cause: error });
    default:
      return new AppError('store', `${action}: ${describeError(error)}`, {
        cause: error,
        reason: 'unreachable',
        hint: `Check that '${directory}' is mounted and healthy.`,
      });
  }
}

async function describeSpace(directory: string): Promise<string> {
  const { bavail, bsize, blocks } = await statfs(directory).catch(() => ({ bavail: 0, bsize: 0, blocks: 0 }));
  return `no space is left (${formatBytes(bavail * bsize)} of ${formatBytes(blocks * bsize)} free)`;
}

async function describeOwner(directory: string, code: string): Promise<string> {
  if (code === 'EROFS') return 'the file system is read-only';
  const { uid, gid, mode } = await stat(directory).catch(() => ({ uid: -1, gid: -1, mode: 0 }));
  return `permission denied (owner ${uid}:${gid}, mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`;
}
