// Everything that is wrong with the settings is collected and told at once: an administrator who mends one line at a time
// has to restart the container for each of them.

import { AppError } from '../errors.ts';

/** One thing that is wrong with the settings, and what to write instead. */
export interface SettingProblem {
  readonly variable: string;
  /** The value as it may be shown: secrets hidden; null when the value is not the point. */
  readonly shown: string | null;
  readonly problem: string;
  readonly remedy: string;
}

/** Thrown by a parser: what is wrong with a value and what to write instead. Never holds the value itself. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
  readonly remedy: string;

  constructor(problem: string, remedy: string) {
    super(problem);
    this.remedy = remedy;
  }
}

/** A problem as one line of text. */
export function renderProblem({ variable, shown, problem, remedy }: SettingProblem): string {
  return `${variable}${shown === null ? '' : `='${shown}'`}: ${problem}. ${remedy}`;
}

/** The error that ends a command whose settings are wrong; exit status 2. */
export function settingsError(problems: readonly SettingProblem[]): AppError {
  const count = problems.length === 1 ? 'A setting is' : `${problems.length} settings are`;
  return new AppError('settings', [`${count} wrong:`, ...problems.map((one) => `  ${renderProblem(one)}`)].join('\n'), {
    hint: 'Mend the lines above in .env.backup (or .env.production) and start again.',
  });
}
