// Files that stand for the value of a variable, and what is said when one cannot be read: the owner, the mode and the
// command that mends it. Without it "EACCES" would be all that an administrator learns about a compose secret.

import { readFileSync, statSync } from 'node:fs';

const largestBytes = 1024 * 1024;

/** What reading such a file needs of the file system; tests bring their own. */
export interface SecretFiles {
  /** The content. Throws as `node:fs` does. */
  readonly read: (file: string) => Uint8Array;
  /** Owner and mode. Throws as `node:fs` does. */
  readonly stat: (file: string) => { readonly uid: number; readonly gid: number; readonly mode: number };
}

/** The files of this machine. */
export const realSecretFiles: SecretFiles = {
  read(file) {
    // A device or a dump named by mistake must not fill the memory.
    const { size } = statSync(file);
    if (size > largestBytes) throw Object.assign(new Error('too large'), { code: 'EFBIG' });
    return readFileSync(file);
  },
  stat: (file) => statSync(file),
};

/** What is wrong with a file that could not be read or decoded, and what to do about it. */
export function describeUnreadable(
  file: string,
  { error, uid, files }: { readonly error: unknown; readonly uid: number; readonly files: SecretFiles },
): { readonly problem: string; readonly remedy: string } {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return describeForbidden(file, { uid, files });
    case 'ENOENT':
    case 'ENOTDIR':
      return /^["']/.test(file)
        ? { problem: 'the quotes are part of the path', remedy: 'Write it without quotes' }
        : { problem: 'there is no such file', remedy: 'Name a file that exists in this container, and mount it' };
    case 'EISDIR':
      return {
        problem: 'that is a directory; Docker makes one where the file to mount does not exist on the host',
        remedy: 'Remove the directory on the host, write the file and start the container again',
      };
    case 'EFBIG':
      return { problem: 'the file is larger than 1 MiB', remedy: 'Name the file that holds the value alone' };
    case '':
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return { problem: 'the file is not UTF-8 text', remedy: 'Write the value alone into it, as plain text' };
    default:
      return { problem: `the file cannot be read (${code})`, remedy: 'Name a readable file' };
  }
}

function describeForbidden(
  file: string,
  { uid, files }: { readonly uid: number; readonly files: SecretFiles },
): { readonly problem: string; readonly remedy: string } {
  try {
    const { uid: owner, gid, mode } = files.stat(file);
    const octal = (mode & 0o7777).toString(8).padStart(4, '0');
    return {
      problem: `the file belongs to ${owner}:${gid} with mode ${octal}, and we run as uid ${uid}`,
      remedy: `Run on the host, with the file's path there: chown ${uid} ${quote(file)} && chmod 0400 ${quote(file)}`,
    };
  } catch {
    return {
      problem: `a folder above the file is closed to uid ${uid}, as which we run`,
      remedy: `Let it in, with the folder's path on the host: chmod o+x ${quote(file.replace(/\/[^/]*$/, '') || '/')}`,
    };
  }
}

// For a shell; also for a path that holds quotes.
function quote(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
