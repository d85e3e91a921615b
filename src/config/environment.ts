// The environment as the settings see it: `NAME_FILE` stands for the content of a file, empty counts as unset. It reports
// what cannot be read with the command that mends it: compose mounts secret files with the host's owner and mode.

import { readFileSync, statSync } from 'node:fs';
import type { SettingProblem } from './problem.ts';

/** A variable's text and where it came from. */
export interface EnvironmentValue {
  readonly text: string;
  readonly source: 'environment' | { readonly file: string };
}

/** Variables by name. */
export interface Environment {
  /** The value; undefined when it is unset, empty or unreadable. */
  get(name: string): EnvironmentValue | undefined;
  /** Whether the variable is set to nothing at all. */
  isEmpty(name: string): boolean;
  readonly names: readonly string[];
  /** What could not be read so far. */
  readonly problems: readonly SettingProblem[];
}

/** The process environment as plain data. */
export type EnvironmentVariables = Readonly<Record<string, string | undefined>>;

/** Reads variables and the files that stand for them, each once. `uid` is who we are, for the error text. */
export function createEnvironment(variables: EnvironmentVariables, { uid }: { readonly uid: number }): Environment {
  const problems: SettingProblem[] = [];
  const cache = new Map<string, EnvironmentValue | undefined>();

  function read(name: string): EnvironmentValue | undefined {
    const direct = variables[name];
    const file = variables[`${name}_FILE`];
    if (file === undefined || file === '')
      return direct === undefined ? undefined : { text: direct, source: 'environment' };
    if (direct !== undefined && direct !== '') {
      problems.push({
        variable: name,
        shown: null,
        problem: `both ${name} and ${name}_FILE are set`,
        remedy: 'Keep one of them',
      });
      return undefined;
    }
    try {
      return { text: readFileSync(file, 'utf8').replace(/\r?\n$/, ''), source: { file } };
    } catch (error) {
      problems.push({ variable: `${name}_FILE`, shown: file, ...describeUnreadable(file, { error, uid }) });
      return undefined;
    }
  }

  return {
    names: Object.keys(variables),
    problems,
    get(name) {
      if (!cache.has(name)) cache.set(name, read(name));
      const value = cache.get(name);
      return value === undefined || value.text === '' ? undefined : value;
    },
    isEmpty(name) {
      if (!cache.has(name)) cache.set(name, read(name));
      return cache.get(name)?.text === '';
    },
  };
}

function describeUnreadable(
  file: string,
  { error, uid }: { readonly error: unknown; readonly uid: number },
): { readonly problem: string; readonly remedy: string } {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
  if (code !== 'EACCES' && code !== 'EPERM') {
    return {
      problem: `the file cannot be read (${code})`,
      remedy: code === 'ENOENT' ? 'Name a file that exists in this container' : 'Name a readable file',
    };
  }
  try {
    const { uid: owner, gid, mode } = statSync(file);
    const octal = (mode & 0o7777).toString(8).padStart(4, '0');
    return {
      problem: `the file belongs to ${owner}:${gid} with mode ${octal}, and we run as uid ${uid}`,
      remedy: `Run on the host: chown ${uid} '${file}' && chmod 0400 '${file}' (with the path the file has there)`,
    };
  } catch {
    return {
      problem: `the file or a folder above it is closed to uid ${uid}`,
      remedy: `Let uid ${uid} enter its folder`,
    };
  }
}
