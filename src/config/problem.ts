// Everything that is wrong with the settings is collected and told at once: an administrator who mends one line at a time
// has to restart the container for each of them. No text that is made here ever holds a secret.

import { AppError } from '../errors.ts';
import { plural } from '../text/table.ts';

/** One thing that is wrong with the settings, and what to write instead. */
export interface SettingProblem {
  readonly variable: string;
  /** The value as it may be shown: `[hidden]` for a secret; null when the value is not the point. */
  readonly shownValue: string | null;
  readonly problem: string;
  readonly remedy: string;
}

/** Thrown by a parser: what is wrong with a value and what to write instead; its texts never hold the value itself. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
  readonly remedy: string;
  /** The value holds something secret although the setting is not a secret one. */
  readonly hideValue: boolean;

  constructor(problem: string, options: { readonly remedy: string; readonly hideValue?: boolean }) {
    super(problem);
    this.remedy = options.remedy;
    this.hideValue = options.hideValue ?? false;
  }
}

/** What is shown in place of a secret. */
export const hidden = '[hidden]';

const longestShown = 80;

/**
 * A value as one short line: control characters escaped, its end cut off when it is long. What has the form of a private
 * key, or of a URL with a password, is hidden whichever variable it was put into.
 */
export function toShownValue(text: string): string {
  if (/AGE-SECRET-KEY-|PRIVATE KEY|:\/\/[^@]*:.*@/i.test(text)) return hidden;
  const line = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll('\\\\', '\\');
  return line.length <= longestShown ? line : `${line.slice(0, longestShown - 1)}…`;
}

/** A problem as one line of text: variable, value, what is wrong, what to write instead. */
export function renderProblem({ variable, shownValue, problem, remedy }: SettingProblem): string {
  const value = shownValue === null ? '' : shownValue === hidden ? ` ${hidden}` : ` '${shownValue}'`;
  return `${variable}${value}: ${problem}. ${remedy}`;
}

/** The error that ends a command whose settings are wrong: a line for each problem; code `settings`, exit status 2. */
export function settingsError(problems: readonly SettingProblem[]): AppError {
  const count = plural(problems.length, 'setting is', 'settings are');
  return new AppError('settings', [`${count} wrong:`, ...problems.map((one) => `  ${renderProblem(one)}`)].join('\n'), {
    hint: 'Mend the lines above in .env.backup (or .env.production), then run: mastodon-backup doctor',
  });
}
