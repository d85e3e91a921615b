// The environment as the settings see it: `NAME_FILE` stands for the content of a file, empty counts as unset. What cannot
// be read is reported with the command that mends it, since compose mounts secret files with the host's owner and mode.

import { readFileSync, statSync } from 'node:fs';
import type { SettingProblem } from './problem.ts';
import { toShownValue } from './problem.ts';
import { fileCapableNames } from './table.ts';

/** The process environment as plain data. */
export type EnvironmentVariables = Readonly<Record<string, string | undefined>>;

/** A variable's text and where it came from. */
export interface EnvironmentValue {
  readonly text: string;
  readonly source: { readonly kind: 'environment' } | { readonly kind: 'file'; readonly path: string };
}

/** Whether a variable says something: `empty` is set to nothing, `broken` could not be read and is a problem already. */
export type EnvironmentStatus = 'unset' | 'empty' | 'set' | 'broken';

/** Variables by name; the variables of our tables may come from files. */
export interface Environment {
  /** The value; undefined when it is unset, empty or broken. */
  get(name: string): EnvironmentValue | undefined;
  status(name: string): EnvironmentStatus;
  readonly names: readonly string[];
  /** What could not be read from files. */
  readonly problems: readonly SettingProblem[];
}

const largestBytes = 1024 * 1024;

/** What reading such a file needs of the file system; tests bring their own. */
export interface SecretFiles {
  /** The content. Throws as `node:fs` does. */
  readonly read: (file: string) => Uint8Array;
  /** Owner and mode. Throws as `node:fs` does. */
  readonly stat: (file: string) => { readonly uid: number; readonly gid: number; readonly mode: number };
}

/** Those of this machine. */
export const realSecretFiles: SecretFiles = {
  read(file) {
    // A device or a dump named by mistake must not fill the memory.
    const { size } = statSync(file);
    if (size > largestBytes) throw Object.assign(new Error('too large'), { code: 'EFBIG' });
    return readFileSync(file);
  },
  stat: (file) => statSync(file),
};

/**
 * Reads all variables and the files that stand for them, once. `uid` is who we are, for the text about unreadable files.
 * Never throws.
 */
export function createEnvironment(
  variables: EnvironmentVariables,
  { uid, files = realSecretFiles }: { readonly uid: number; readonly files?: SecretFiles },
): Environment {
  const problems: SettingProblem[] = [];
  const fromFiles = new Map<string, EnvironmentValue | null>();

  for (const name of fileCapableNames) {
    const file = variables[`${name}_FILE`];
    if (file === undefined || file === '') continue;
    if (isFilled(variables[name])) {
      const problem = `both ${name} and ${name}_FILE are set`;
      problems.push({ variable: name, shownValue: null, problem, remedy: 'Keep one of them' });
      fromFiles.set(name, null);
      continue;
    }
    try {
      fromFiles.set(name, { text: decodeSecret(files.read(file)), source: { kind: 'file', path: file } });
    } catch (error) {
      const described = describeUnreadable(file, { error, uid, files });
      problems.push({ variable: `${name}_FILE`, shownValue: toShownValue(file), ...described });
      fromFiles.set(name, null);
    }
  }

  function find(name: string): EnvironmentValue | null | undefined {
    const fromFile = fromFiles.get(name);
    if (fromFile !== undefined) return fromFile;
    const text = variables[name];
    if (text !== undefined) return { text, source: { kind: 'environment' } };
    // An empty NAME_FILE is the same slip as an empty NAME.
    const emptyFile = fileCapableNames.includes(name) && variables[`${name}_FILE`] === '';
    return emptyFile ? { text: '', source: { kind: 'environment' } } : undefined;
  }

  return {
    names: Object.keys(variables),
    problems,
    get(name) {
      const value = find(name);
      return value === null || value === undefined || value.text === '' ? undefined : value;
    },
    status(name) {
      const value = find(name);
      if (value === undefined) return 'unset';
      if (value === null) return 'broken';
      return value.text === '' ? 'empty' : 'set';
    },
  };
}

function isFilled(text: string | undefined): boolean {
  return text !== undefined && text !== '';
}

// One newline goes, as editors and `echo` add it; a byte order mark goes too. Anything but UTF-8 would be another password.
function decodeSecret(content: Uint8Array): string {
  const text = new TextDecoder('utf-8', { fatal: true }).decode(content);
  if (text.includes('\0')) throw new TypeError('NUL');
  return text.replace(/\r?\n$/, '');
}

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

/** A path for a shell, also one that holds quotes. */
export function quote(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
