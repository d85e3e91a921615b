// The settings in force as they may be shown to people: every name of the table, its value or its default, where it came
// from, and nothing secret.

import type { Environment } from './environment.ts';
import { mastodonDatabaseVariables, variableNames, variableTable } from './reader.ts';

/** One setting as `config` prints it. */
export interface ShownSetting {
  readonly name: string;
  /** The value as text; null when it is unset and has no default. Secrets are hidden. */
  readonly value: string | null;
  readonly source: 'default' | 'environment' | `file ${string}`;
}

const hidden = '[set, hidden]';
const secretDatabaseVariables: ReadonlySet<string> = new Set(['DATABASE_URL', 'DB_PASS']);

/** All settings, Mastodon's database variables first. */
export function describeSettings(environment: Environment): readonly ShownSetting[] {
  return [
    ...mastodonDatabaseVariables.map((name) =>
      describe(environment, { name, preset: null, secret: secretDatabaseVariables.has(name) }),
    ),
    ...variableNames.map((name) => {
      const { preset, presetNote, secret } = variableTable[name];
      return describe(environment, {
        name,
        preset: preset ?? presetNote?.replaceAll('`', '') ?? null,
        secret: secret === true,
      });
    }),
  ];
}

function describe(
  environment: Environment,
  { name, preset, secret }: { readonly name: string; readonly preset: string | null; readonly secret: boolean },
): ShownSetting {
  const given = environment.get(name);
  if (given === undefined) return { name, value: preset, source: 'default' };
  const source = given.source === 'environment' ? given.source : (`file ${given.source.file}` as const);
  return { name, value: secret ? hidden : given.text, source };
}
