// Keys that exist twice although a unique index forbids it: what a corrupted index leaves behind, after a change of the libc
// above all. pg_dump does not notice; restoring does, because it builds every index anew.

import type { Client } from 'pg';
import type { RestoreFailure } from '../database/restore-client.ts';
import { describeError } from '../errors.ts';
import { failed, type CheckResult } from './check.ts';
import { explainMissingRows, namesMissingRows, type RowHistory } from './missing-rows.ts';

interface UniqueKey {
  readonly index: string;
  readonly table: string;
  readonly columns: string;
  readonly predicate: string | null;
}

const shownKeys = 10;

/**
 * The index or constraint that a failed statement was to build, when it was a unique one; undefined for everything else.
 * The texts come from pg_get_indexdef and pg_get_constraintdef, so their form is known.
 */
function uniqueKeyOf(statement: string | null): UniqueKey | undefined {
  const name = String.raw`((?:"(?:[^"]|"")+"|[\w$]+)(?:\.(?:"(?:[^"]|"")+"|[\w$]+))?)`;
  const text = statement?.replace(/;\s*$/, '') ?? '';
  const index = new RegExp(
    `^CREATE UNIQUE INDEX ${name} ON (?:ONLY )?${name} USING btree \\((.+?)\\)(?: INCLUDE \\(.*?\\))?(?: NULLS NOT DISTINCT)?(?: WITH \\(.*?\\))?(?: WHERE (.+))?$`,
    's',
  ).exec(text);
  if (index !== null) {
    const [, indexName = '', table = '', columns = '', predicate = null] = index;
    return { index: indexName, table, columns, predicate };
  }
  const constraint = new RegExp(
    `^ALTER TABLE (?:ONLY )?${name}\\s+ADD CONSTRAINT ${name} (?:PRIMARY KEY|UNIQUE) \\((.+?)\\)`,
    's',
  ).exec(text);
  if (constraint === null) return undefined;
  const [, table = '', constraintName = '', columns = ''] = constraint;
  return { index: constraintName, table, columns, predicate: null };
}

/**
 * A finding for each statement that failed; for a unique index with the keys that exist more than once, for foreign keys with
 * the tables whose rows are missing.
 */
export async function explainFailures(
  client: Client,
  failures: readonly RestoreFailure[],
  history: RowHistory | null = null,
): Promise<readonly CheckResult[]> {
  const ofKeys = failures.filter(namesMissingRows);
  const results: CheckResult[] = [...(await explainMissingRows(client, { failures: ofKeys, history }))];
  for (const failure of failures) {
    if (ofKeys.includes(failure)) continue;
    const { message, statement } = failure;
    const key = uniqueKeyOf(statement);
    if (key === undefined || !/could not create unique index|duplicate key/i.test(message)) {
      const where = statement === null ? '' : ` in: ${withoutLiterals(statement)}`;
      results.push(
        failed('restore', {
          detail: `${message}${where}`,
          detailWithoutValues: `${withoutValues(message)}${where}`,
          remedy: remedyOf(message),
        }),
      );
      continue;
    }
    const detail = `${key.table} has duplicate keys, which its unique index ${key.index} (${key.columns}) forbids`;
    const duplicates = await listDuplicates(client, key);
    results.push(
      failed('duplicate keys', {
        detail: `${detail}: ${duplicates.keys}`,
        detailWithoutValues: `${detail}: ${duplicates.count} of them, which the command drill shows`,
        remedy:
          'The index in the source database is corrupted: stop Mastodon and run: tootctl maintenance fix-duplicates (docs.joinmastodon.org/admin/troubleshooting/index-corruption).',
      }),
    );
  }
  return results;
}

function remedyOf(message: string): string {
  if (/violates check constraint/.test(message)) {
    return 'Rows that were right when they were written break this check now: make it NOT VALID in the source (drop it, add it NOT VALID), then a restore takes them.';
  }
  return 'Look at this object in the source database; until it is mended a restore needs a person.';
}

const longestStatement = 300;

// A literal may be a password, as in CREATE USER MAPPING, and a statement is no longer than it helps.
function withoutLiterals(statement: string): string {
  const [beginning = ''] = statement.split(/['$]/, 1);
  return beginning === statement ? statement.slice(0, longestStatement) : `${beginning.slice(0, longestStatement)}…`;
}

// `Key (email)=(…) is not present`, `invalid input syntax for type inet: "…"`.
function withoutValues(message: string): string {
  return message
    .replaceAll(/\)=\(.*?\)(?= (?:is|already|conflicts|does)\b)/gs, ')=(…)')
    .replaceAll(/: ".*?"/gs, ': "…"');
}

async function listDuplicates(
  client: Client,
  key: UniqueKey,
): Promise<{ readonly keys: string; readonly count: string }> {
  // Order and operator classes belong to an index, not to a query.
  const columns = splitColumns(key.columns).map((column) =>
    column.replace(/\s+(?:ASC|DESC|NULLS FIRST|NULLS LAST|[\w.]+_ops|COLLATE \S+)(?=\s|$)/gi, '').trim(),
  );
  const expressions = columns.join(', ');
  const where = key.predicate === null ? '' : `where ${key.predicate}`;
  try {
    const { rows } = await client.query<{ key: string; count: string; groups: string }>(
      `select concat_ws(', ', ${columns.map((column) => `coalesce((${column})::text, 'null')`).join(', ')}) as key,
              count(*) as count, count(*) over () as groups
         from ${key.table} ${where} group by ${expressions} having count(*) > 1
        order by count(*) desc, 1 limit ${shownKeys}`,
    );
    const groups = Number(rows[0]?.groups ?? 0);
    const keys = rows.map((row) => `(${row.key}) ${row.count} times`).join('; ');
    return {
      keys: `${keys}${groups > rows.length ? `; and ${groups - rows.length} more` : ''}`,
      count: String(groups),
    };
  } catch (error) {
    return { keys: `they could not be listed: ${describeError(error)}`, count: 'an unknown number' };
  }
}

// At the commas outside of parentheses and quotes.
function splitColumns(text: string): readonly string[] {
  const columns: string[] = [];
  let depth = 0;
  let quote = '';
  let current = '';
  for (const character of text) {
    if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === '"' || character === "'") quote = character;
    else if (character === '(') depth += 1;
    else if (character === ')') depth -= 1;
    if (character === ',' && depth === 0 && quote === '') {
      columns.push(current);
      current = '';
    } else current += character;
  }
  return [...columns, current];
}
