// Environments for tests: complete enough to be valid, so that a test names only what it is about.

import { createEnvironment, type Environment, type EnvironmentVariables } from '../../src/config/environment.ts';
import { renderProblem } from '../../src/config/problem.ts';
import type { SecretFiles } from '../../src/config/environment.ts';
import { readSettings, type Settings, type SettingsReading } from '../../src/config/settings.ts';

/** The least that is valid: a directory. */
export const localOnly = { BACKUP_LOCAL_DIR: '/backups' } as const;

/** A bucket on R2. */
export const r2 = {
  BACKUP_S3_BUCKET: 'my-backups',
  BACKUP_S3_ACCESS_KEY_ID: 'key-id',
  BACKUP_S3_SECRET_ACCESS_KEY: 'key-secret',
  BACKUP_R2_ACCOUNT_ID: '0123456789abcdef0123456789abcdef',
} as const;

/** A bucket on AWS. */
export const aws = {
  BACKUP_S3_BUCKET: 'my-backups',
  BACKUP_S3_ACCESS_KEY_ID: 'key-id',
  BACKUP_S3_SECRET_ACCESS_KEY: 'key-secret',
  BACKUP_S3_REGION: 'eu-central-1',
} as const;

/** A file of a test's own making. */
export type FakeFile = { readonly content: string | Uint8Array } | { readonly error: string; readonly mode?: number };

/** Files that exist only here. */
export function fakeFiles(files: Readonly<Record<string, FakeFile>>): SecretFiles {
  const find = (path: string): FakeFile => files[path] ?? { error: 'ENOENT' };
  return {
    read(path) {
      const file = find(path);
      if ('error' in file) throw Object.assign(new Error(file.error), { code: file.error });
      return typeof file.content === 'string' ? new TextEncoder().encode(file.content) : file.content;
    },
    stat(path) {
      const file = find(path);
      if ('error' in file && file.mode === undefined) throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
      return { uid: 0, gid: 0, mode: 0o100000 | ('mode' in file ? (file.mode ?? 0o600) : 0o600) };
    },
  };
}

/** An environment with files that exist only here; we run as uid 991. */
export function environmentOf(
  variables: EnvironmentVariables,
  files: Readonly<Record<string, FakeFile>> = {},
): Environment {
  return createEnvironment(variables, { uid: 991, files: fakeFiles(files) });
}

/** What is read from these variables, on a machine with 4 cores. */
export function read(variables: EnvironmentVariables, files: Readonly<Record<string, FakeFile>> = {}): SettingsReading {
  return readSettings(environmentOf(variables, files), { cores: 4 });
}

/** The settings, or an error with the problems. */
export function settingsOf(variables: EnvironmentVariables): Settings {
  const { settings, problems } = read(variables);
  if (settings === null) throw new Error(problems.map(renderProblem).join('\n'));
  return settings;
}

/** The problems as lines of text. */
export function problemsOf(
  variables: EnvironmentVariables,
  files: Readonly<Record<string, FakeFile>> = {},
): readonly string[] {
  return read(variables, files).problems.map(renderProblem);
}
