// The environment as the settings see it: `NAME_FILE` stands for the content of a file, empty counts as unset. What cannot
// be read is reported with the command that mends it, since compose mounts secret files with the host's owner and mode.

import type { SettingProblem } from './problem.ts';
import { toShownValue } from './problem.ts';
import { realSecretFiles, describeUnreadable, type SecretFiles } from './secret-files.ts';
import { fileCapableNames } from './variables.ts';

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
