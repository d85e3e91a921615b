// Reads every setting of the table from the environment and collects all problems and warnings instead of stopping at the
// first. What a value means together with others is the business of `settings.ts`.

import type { Environment, EnvironmentValue } from './environment.ts';
import { closestName } from './known-names.ts';
import { ValueError, type SettingProblem } from './problem.ts';
import { variables, type Values, type Variable, type VariableName } from './variables.ts';

/** Mastodon's own database variables, which this program reads as well; `mastodon/` gives them their meaning. */
export const mastodonDatabaseVariables = [
  'DATABASE_URL',
  'DB_HOST',
  'DB_PORT',
  'DB_NAME',
  'DB_USER',
  'DB_PASS',
  'DB_SSLMODE',
] as const;

/** What was read: values, what is wrong, and what is only worth saying. */
export interface Reading {
  readonly values: Values;
  readonly problems: readonly SettingProblem[];
  readonly warnings: readonly string[];
}

/** Names of all settings in the table. */
export const variableNames = Object.keys(variables) as readonly VariableName[];

/** The table as `Variable`s, for code that treats all settings alike. */
export const variableTable: Readonly<Record<VariableName, Variable>> = variables;

/** Reads all settings. Never throws. */
export function readValues(environment: Environment): Reading {
  const problems: SettingProblem[] = [];
  const warnings: string[] = [];
  const values: Record<string, unknown> = {};
  for (const name of variableNames) {
    const variable = variableTable[name];
    const given = environment.get(name);
    if (given === undefined && variable.emptyIsError === true && environment.isEmpty(name)) {
      problems.push({
        variable: name,
        shown: '',
        problem: 'set, but empty',
        remedy: 'Write a value, or remove the line if this is meant to be off',
      });
    }
    values[name] = parseOne(name, { given, problems });
    if (given !== undefined && variable.later === true) {
      warnings.push(`${name} is not available yet and has no effect in this version`);
    }
  }
  checkNames(environment, { problems, warnings });
  return { values: values as Values, problems: [...problems, ...environment.problems], warnings };
}

function parseOne(
  name: VariableName,
  { given, problems }: { readonly given: EnvironmentValue | undefined; readonly problems: SettingProblem[] },
): unknown {
  const variable = variableTable[name];
  if (given === undefined) return variable.preset === null ? undefined : variable.parse(variable.preset);
  const shown = variable.secret === true ? '[hidden]' : given.text;
  if (/^(["']).*\1$/s.test(given.text)) {
    problems.push({
      variable: name,
      shown,
      problem: 'the quotes are part of the value',
      remedy: 'Write it without quotes',
    });
    return undefined;
  }
  try {
    return variable.parse(given.text);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    problems.push({ variable: name, shown, problem: error.message, remedy: error.remedy });
    return undefined;
  }
}

function checkNames(
  environment: Environment,
  { problems, warnings }: { readonly problems: SettingProblem[]; readonly warnings: string[] },
): void {
  const known = new Set<string>(variableNames.flatMap((name) => [name, `${name}_FILE`]));
  for (const name of environment.names.filter((one) => one.startsWith('BACKUP_') && !known.has(one))) {
    const meant = closestName(name, [...known]);
    if (meant === undefined) {
      warnings.push(`${name} is not a setting this version knows; it is ignored`);
    } else {
      problems.push({ variable: name, shown: null, problem: 'not a setting', remedy: `Did you mean ${meant}?` });
    }
  }
}
