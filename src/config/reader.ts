// Reads every setting of the table from the environment and collects all problems and warnings instead of stopping at the
// first. What a value means together with others is the business of `settings.ts`.

import type { Environment, EnvironmentValue } from './environment.ts';
import { hidden, toShownValue, ValueError, type SettingProblem } from './problem.ts';
import { fileCapableNames, variableNames, variables, type Values, type VariableName } from './table.ts';

/** What was found wrong, and what is only worth saying. */
export interface Findings {
  readonly problems: SettingProblem[];
  readonly warnings: string[];
  /** Those of the warnings that say a setting is not known: health shows them. */
  readonly unknown: string[];
}

/** Reads and parses all settings, each for itself; what is wrong goes into `findings`. Never throws. */
export function readValues(environment: Environment, findings: Findings): Values {
  findings.problems.push(...environment.problems);
  const values: Record<string, unknown> = {};
  for (const name of variableNames) {
    const variable = variables[name];
    if (variable.emptyIsError === true && environment.status(name) === 'empty') {
      findings.problems.push({
        variable: name,
        shownValue: '',
        problem: 'set, but empty',
        remedy: 'Write a value, or remove the line if it is meant to be off',
      });
    }
    const given = environment.get(name);
    if (given === undefined) {
      values[name] = variable.preset === null ? undefined : variable.parse(variable.preset);
      continue;
    }
    values[name] = parseGiven(name, { given, findings });
    if (variable.secret !== true && values[name] !== undefined) remarkOnLeftovers(name, { given, findings });
  }
  checkNames(environment, findings);
  return values as Values;
}

function parseGiven(
  name: VariableName,
  { given, findings }: { readonly given: EnvironmentValue; readonly findings: Findings },
): unknown {
  const variable = variables[name];
  try {
    return variable.parse(withoutSurroundings(given.text, { multiline: variable.multiline ?? false }));
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    const hide = variable.secret === true || error.hideValue;
    const shownValue = hide ? hidden : toShownValue(given.text);
    findings.problems.push({ variable: name, shownValue, problem: error.message, remedy: error.remedy });
    return undefined;
  }
}

// What an env file leaves around a value, and which its writer did not mean.
function withoutSurroundings(text: string, { multiline }: { readonly multiline: boolean }): string {
  if (/^(["']).*\1$/s.test(text.trim()) && text.trim().length > 1) {
    throw new ValueError('the quotes are part of the value', { remedy: 'Write it without quotes' });
  }
  if (multiline) return text;
  if (text.endsWith('\r')) {
    throw new ValueError('ends with a carriage return, so the file has line ends of Windows', {
      remedy: String.raw`Run: sed -i 's/\r$//' and the name of the file`,
    });
  }
  if (text !== text.trim()) {
    throw new ValueError('has white space or an empty line around it', { remedy: 'Write the value alone' });
  }
  return text;
}

// What a shell or Compose would have taken away or replaced, and `docker run --env-file` and systemd do not. A folder may be called
// so, and be in use for years: said, and no error.
const leftovers: readonly (readonly [RegExp, string])[] = [
  [/\s#/, "holds ' #': not every reader of env files takes a comment beside a value, and this is part of the value"],
  [/^["']|["']$/, 'has a quote at one of its ends, which is part of the value'],
  [/\$\{\w+[^}]*\}|^\$\w+|\/\$\w+/, 'holds the name of a variable that nobody has replaced by its value'],
];

function remarkOnLeftovers(
  name: VariableName,
  { given, findings }: { readonly given: EnvironmentValue; readonly findings: Findings },
): void {
  for (const [pattern, what] of leftovers) if (pattern.test(given.text)) findings.warnings.push(`${name} ${what}`);
}

/** By what it is called, snapshots are told from those of others: without it they are another's. */
const namesOfInstance = ['LOCAL_DOMAIN', 'WEB_DOMAIN'];
const proxyNames = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];

function checkNames(environment: Environment, findings: Findings): void {
  const ours = variableNames.flatMap((name) => [name, `${name}_FILE`]);
  const known = new Set([...ours, ...fileCapableNames, ...fileCapableNames.map((name) => `${name}_FILE`)]);
  for (const name of environment.names.filter((one) => !known.has(one))) {
    const inside = nameInside(name, new Set([...known, ...namesOfInstance, ...proxyNames]));
    if (inside?.startsWith('BACKUP_') === true) {
      findings.problems.push(surrounded(name, inside));
      continue;
    }
    if (inside !== undefined) {
      const where = proxyNames.includes(inside) ? '' : ', here as in Mastodon';
      findings.warnings.push(`${toShownValue(name)} is not ${inside}; it is ignored${where}`);
      continue;
    }
    if (!mayBeOurs(name)) continue;
    // The whole, as in BACKUP-S3-BUCKET, or a word of it, as in `export BACKUP_S3_BUKET`.
    const words = name.split(/\W+/).filter((word) => /backup/i.test(word));
    const meant = [name, ...words].map((one) => closestName(one, ours)).find((one) => one !== undefined);
    if (meant !== undefined) {
      const remedy = `Write ${meant}, or remove it`;
      findings.problems.push({ variable: name, shownValue: null, problem: 'not a setting, but close to one', remedy });
    } else if (/^(?:\W*\w+\s+)?\W*BACKUP_/.test(name) && environment.status(name) !== 'empty') {
      const text = `${toShownValue(name)} is not a setting this version knows; it is ignored`;
      findings.warnings.push(text);
      findings.unknown.push(text);
    }
  }
}

// `export BACKUP_X=…`, `BACKUP_X =…`, ` BACKUP_X=…`, `"BACKUP_X"=…` and a byte order mark become part of the name in an env file:
// what was to be encrypted would be stored in the clear, and nobody would be told.
function nameInside(name: string, known: ReadonlySet<string>): string | undefined {
  if (/^\w+$/.test(name)) return undefined;
  return name
    .split(/[^\w]+/)
    .map((word) => word.toUpperCase())
    .find((word) => known.has(word));
}

function surrounded(name: string, meant: string): SettingProblem {
  const shown = JSON.stringify(name).replaceAll(/[\u007f-\uffff]/g, escapeCharacter);
  return {
    variable: shown,
    shownValue: null,
    problem: `not the name ${meant}, but that with something around it`,
    remedy: `Write the line as ${meant}=…, without 'export', blanks, quotes or a byte order mark`,
  };
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

// Also with a mistyped or lower-case prefix, or something in front: such a setting would be as lost as one with a mistyped end.
function mayBeOurs(name: string): boolean {
  return /^b|backup/i.test(name);
}

const longNameLength = 20;

/** The known name that `name` is probably meant to be, or undefined when it is close to none. */
export function closestName(name: string, known: readonly string[]): string | undefined {
  const upper = name.toUpperCase();
  const nearest = known
    .map((candidate) => ({ candidate, distance: editDistance(upper, candidate) }))
    .toSorted((a, b) => a.distance - b.distance)[0];
  const limit = name.length >= longNameLength ? 3 : 2;
  return nearest !== undefined && nearest.distance <= limit ? nearest.candidate : undefined;
}

/** Damerau-Levenshtein distance (optimal string alignment): inserted, deleted, replaced characters, swapped neighbours. */
export function editDistance(a: string, b: string): number {
  let beforeLast: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
