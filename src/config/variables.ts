// THE table of settings. The reader, docs/settings.md, `config`, the check for typing errors and the warning about what
// are known all come from it; a test holds the page against it.

import { databaseVariables, mastodonDatabaseVariables } from './database-variables.ts';
import { destinationVariables } from './destination-variables.ts';
import { messageVariables } from './message-variables.ts';
import { planVariables } from './plan-variables.ts';
import type { ForeignVariable, Variable } from './variable.ts';

const table = { ...databaseVariables, ...destinationVariables, ...planVariables, ...messageVariables } as const;

/** The name of a setting of this program. */
export type VariableName = keyof typeof table;

/** The name of one of Mastodon's database variables. */
export type MastodonVariableName = keyof typeof mastodonDatabaseVariables;

/** The parsed values: undefined where nothing valid is set and there is no default. */
export type Values = {
  readonly [Name in VariableName]: ReturnType<(typeof table)[Name]['parse']> | undefined;
};

/** All settings by name, in the order of docs/settings.md. */
export const variables: Readonly<Record<VariableName, Variable>> = table;

/** Names of all settings, in the order of docs/settings.md. */
export const variableNames = Object.keys(table) as readonly VariableName[];

/** Mastodon's database variables by name. */
export const mastodonVariables: Readonly<Record<MastodonVariableName, ForeignVariable>> = mastodonDatabaseVariables;

/** Names of Mastodon's database variables. */
export const mastodonVariableNames = Object.keys(mastodonDatabaseVariables) as readonly MastodonVariableName[];

/** Every variable that may also come from a file, as `NAME_FILE`. */
export const fileCapableNames: readonly string[] = [...mastodonVariableNames, ...variableNames];
