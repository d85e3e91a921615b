// What could not be asked to the end: a session with a limit for each statement ends the one that takes too long, and that says
// nothing of what was asked.

import { describeError } from '../errors.ts';
import { queryCanceled, sqlStateOf } from '../database/sql-state.ts';
import { list, note, notChecked, type CheckResult } from './check.ts';

/** Whether a statement was ended by the session's statement_timeout. */
export function tookTooLong(error: unknown): boolean {
  return sqlStateOf(error) === queryCanceled;
}

/** Asks of each by its name; answers what went wrong, and the names of those that took too long. */
export async function askEach<Item>(
  items: readonly Item[],
  { name, ask }: { readonly name: (item: Item) => string; readonly ask: (item: Item) => Promise<unknown> },
): Promise<{
  readonly broken: readonly { readonly item: Item; readonly text: string }[];
  readonly open: readonly string[];
}> {
  const broken: { readonly item: Item; readonly text: string }[] = [];
  const open: string[] = [];
  for (const item of items) {
    try {
      await ask(item);
    } catch (error) {
      if (tookTooLong(error)) open.push(name(item));
      else broken.push({ item, text: `${name(item)}: ${describeError(error)}` });
    }
  }
  return { broken, open };
}

/** What took too long; nothing for none. */
export function leftOpen(names: readonly string[]): readonly CheckResult[] {
  if (names.length === 0) return [];
  return [
    note(notChecked, `took too long to be checked: ${list(names)}`, {
      remedy: 'Look why it takes that long in the source database: EXPLAIN.',
    }),
  ];
}
