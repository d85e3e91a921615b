// Foreign keys that cannot be made again because the rows they name are not there. The source has lost them, to a zeroed page
// for instance, which a server takes for an empty one; or its keys were switched off while rows were deleted. An older
// snapshot tells which, and has them.

import type { Client } from 'pg';
import type { RestoreFailure } from '../database/restore-client.ts';
import { sqlStateOf, undefinedTable } from '../database/sql-state.ts';
import { describeError } from '../errors.ts';
import { plural } from '../text/table.ts';
import { failed, type CheckResult } from './check.ts';

/** A snapshot of the same instance, as far as its rows are compared. */
export interface EarlierRows {
  /** `<tier>/<id>`. */
  readonly snapshot: string;
  readonly dataAt: Date;
  /** Exact rows by `schema.table`. */
  readonly rows: Readonly<Record<string, number>>;
}

/** What is known of the rows of a snapshot and of those before it. */
export interface RowHistory {
  readonly rows: Readonly<Record<string, number>>;
  /** Newest first. */
  readonly earlier: readonly EarlierRows[];
}

interface ForeignKey {
  readonly table: string;
  readonly columns: readonly string[];
  readonly referenced: string;
  readonly referencedColumns: readonly string[];
}

const part = String.raw`(?:"(?:[^"]|"")+"|[\w$]+)`;
const keyPattern = new RegExp(
  String.raw`^ALTER TABLE (?:ONLY )?(${part}(?:\.${part})?)\s+ADD CONSTRAINT ${part} FOREIGN KEY \((.+?)\) REFERENCES (${part}(?:\.${part})?)\((.+?)\)`,
  's',
);

/** The foreign key that a statement of pg_dump's was to add; undefined when it was to do something else. */
function foreignKeyOf(statement: string | null): ForeignKey | undefined {
  const [, table, columns, referenced, referencedColumns] = keyPattern.exec(statement ?? '') ?? [];
  if (table === undefined || columns === undefined || referenced === undefined || referencedColumns === undefined)
    return undefined;
  return { table, columns: columns.split(', '), referenced, referencedColumns: referencedColumns.split(', ') };
}

/** Whether a statement failed because a foreign key names rows that are not there. */
export function namesMissingRows({ message, statement }: RestoreFailure): boolean {
  return /violates foreign key constraint/.test(message) && foreignKeyOf(statement) !== undefined;
}

/** A finding for each table whose rows are missing, with the newest older snapshot that has more of it. */
export async function explainMissingRows(
  client: Client,
  { failures, history }: { readonly failures: readonly RestoreFailure[]; readonly history: RowHistory | null },
): Promise<readonly CheckResult[]> {
  const byTable = Map.groupBy(
    failures.flatMap(({ statement }) => foreignKeyOf(statement) ?? []),
    ({ referenced }) => referenced,
  );
  const results: CheckResult[] = [];
  for (const [referenced, keys] of byTable) {
    const orphans: string[] = [];
    for (const key of keys)
      orphans.push(`${key.table} (${key.columns.join(', ')}): ${await countOrphans(client, key)}`);
    const dumped = history?.rows[manifestName(referenced)];
    const restored = (await countRows(client, referenced)) ?? dumped ?? 0;
    if (dumped !== undefined && restored !== dumped) {
      results.push(
        failed('missing rows', {
          detail: `${referenced} has ${plural(restored, 'row')} instead of the ${dumped} that were dumped, so that ${plural(keys.length, 'foreign key fails', 'foreign keys fail')}`,
          remedy: 'Look at what else failed here: its rows did not come in.',
        }),
      );
      continue;
    }
    const detail = `rows that others name are not in ${referenced}, and ${plural(keys.length, 'foreign key fails', 'foreign keys fail')}: ${orphans.join('; ')}`;
    const richer = history?.earlier.find(({ rows }) => (rows[manifestName(referenced)] ?? 0) > restored);
    results.push(
      failed('missing rows', richer === undefined ? orphaned(detail) : lost(detail, { richer, referenced, restored })),
    );
  }
  return results;
}

function lost(
  detail: string,
  {
    richer,
    referenced,
    restored,
  }: { readonly richer: EarlierRows; readonly referenced: string; readonly restored: number },
): { readonly detail: string; readonly remedy: string } {
  const more = (richer.rows[manifestName(referenced)] ?? 0) - restored;
  return {
    detail: `${detail}; ${richer.snapshot} of ${richer.dataAt.toISOString()} has ${plural(more, 'more row', 'more rows')} of it`,
    remedy: `Keep ${richer.snapshot}: the source seems to have lost rows since. Look into the log of the database server and at its disk, and fetch them from there: mastodon-backup restore ${richer.snapshot} --to-database NAME.`,
  };
}

function orphaned(detail: string): { readonly detail: string; readonly remedy: string } {
  return {
    detail: `${detail}; no older snapshot here has more rows of it`,
    remedy:
      'Delete the rows that name what is not there, in the source database: its foreign keys were switched off at some time, or it lost rows before the oldest snapshot.',
  };
}

async function countOrphans(client: Client, key: ForeignKey): Promise<string> {
  const same = key.columns.map((column, at) => `child.${column} = parent.${key.referencedColumns[at] ?? column}`);
  const named = key.columns.map((column) => `child.${column} is not null`);
  try {
    const { rows } = await client.query<{ rows: string; names: string }>(
      `select count(*) as rows, count(distinct (${key.columns.map((column) => `child.${column}`).join(', ')})) as names
         from ${key.table} child where ${named.join(' and ')}
          and not exists (select from ${key.referenced} parent where ${same.join(' and ')})`,
    );
    return `${plural(Number(rows[0]?.rows), 'row names', 'rows name')} ${plural(Number(rows[0]?.names), 'that is', 'that are')} missing`;
  } catch (error) {
    return `they could not be counted: ${describeError(error)}`;
  }
}

// Null where it is gone, as after a restore in one transaction that was rolled back.
async function countRows(client: Client, table: string): Promise<number | null> {
  try {
    const { rows } = await client.query<{ count: string }>(`select count(*) as count from only ${table}`);
    return Number(rows[0]?.count);
  } catch (error) {
    if (sqlStateOf(error) === undefinedTable) return null;
    throw error;
  }
}

// From SQL's quoting to that of manifests, which quote only what has a point or a quote in it.
function manifestName(table: string): string {
  return table.replaceAll(/"((?:[^"]|"")+)"/g, (quoted, name: string) => (/[."]/.test(name) ? quoted : name));
}
