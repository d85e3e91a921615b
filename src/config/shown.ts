// The settings in force as they may be shown to people: every variable, its value or its default and where it came from.
// Secrets are named as set and nothing more, so that the output can be pasted into a question to others.

import type { Environment } from './environment.ts';
import { toShownValue, ValueError } from './problem.ts';
import type { ForeignVariable, Section, Variable } from './variable.ts';
import { mastodonVariableNames, mastodonVariables, variableNames, variables } from './table.ts';

/** One setting as `config` prints it. */
export interface ShownSetting {
  readonly name: string;
  /** The value as text; null when it is unset and has no default. Secrets are hidden. */
  readonly value: string | null;
  /** `default`, `environment`, `file <path>`, `found`, or the variable that it follows from. */
  readonly source: string;
  /** As it was written, where something else is in force. */
  readonly given?: string | null;
  /** What does it, and its version. */
  readonly by?: string;
  readonly section: Section;
}

type Row = ForeignVariable & Pick<Variable, 'section'> & { readonly name: string; readonly parse?: Variable['parse'] };

/** All variables that this program reads, Mastodon's own first, in the order of docs/settings.md. Never throws. */
export function describeSettings(environment: Environment): readonly ShownSetting[] {
  const foreign = mastodonVariableNames.map((name) =>
    describe(environment, { name, section: 'database', ...mastodonVariables[name] }),
  );
  return [...foreign, ...variableNames.map((name) => describe(environment, { name, ...variables[name] }))];
}

function describe(environment: Environment, row: Row): ShownSetting {
  const { name, section } = row;
  const given = environment.get(name);
  if (given === undefined) {
    const value = row.preset ?? row.presetNote?.replaceAll('`', '') ?? null;
    return { name, value, source: 'default', section };
  }
  const source = given.source.kind === 'file' ? (`file ${given.source.path}` as const) : 'environment';
  const hide = row.secret === true || holdsSecret(given.text, row.parse);
  return { name, value: hide ? '[set, hidden]' : toShownValue(given.text), source, section };
}

// Such as a private key in the place of a public one.
function holdsSecret(text: string, parse: Variable['parse'] | undefined): boolean {
  try {
    parse?.(text);
    return false;
  } catch (error) {
    return error instanceof ValueError && error.hideValue;
  }
}
