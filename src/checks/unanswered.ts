// What could not be asked to the end: a session with a limit for each statement ends the one that takes too long, and that says
// nothing of what was asked.

import { queryCanceled, sqlStateOf } from '../database/sql-state.ts';
import { list, note, notChecked, type CheckResult } from './check.ts';

/** Whether a statement was ended by the session's statement_timeout. */
export function tookTooLong(error: unknown): boolean {
  return sqlStateOf(error) === queryCanceled;
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
