// Rows of every table of a live database, all of one moment: one count a table in one snapshot that only reads. It holds back
// the clean-up of dead rows as long as it lasts, so it ends when its time is over and says what it did not come to.

import { escapeIdentifier, type Client } from 'pg';
import { describeError } from '../errors.ts';
import { qualifiedName } from './archive-contents.ts';
import { dumpedSchemas } from './dumped-tables.ts';
import { queryCanceled, sqlStateOf } from './sql-state.ts';
import { outOfTime, type UncountedTable } from './uncounted-table.ts';

/** What was counted. */
export interface RowCounts {
  /** The moment of the snapshot. */
  readonly countedAt: Date;
  /** By `schema.table`, as manifests name them. */
  readonly rows: ReadonlyMap<string, number>;
  readonly uncounted: readonly UncountedTable[];
}

interface Countable {
  readonly schema: string;
  readonly name: string;
  readonly readable: boolean;
  readonly hidden: boolean;
  readonly extension: boolean;
}

/**
 * Counts all tables, the small ones first, for at most `limitMs`. A table of an extension is counted only when it is among
 * `expected`: its rows are in a dump only where the extension says so. `client` is in no transaction.
 */
export async function countLiveRows(
  client: Client,
  {
    expected,
    limitMs,
    signal,
    onCounted,
  }: {
    readonly expected: ReadonlySet<string>;
    readonly limitMs: number;
    readonly signal: AbortSignal;
    readonly onCounted: (progress: { readonly counted: number; readonly tables: number }) => void;
  },
): Promise<RowCounts> {
  const endsAt = performance.now() + limitMs;
  await client.query('begin transaction isolation level repeatable read read only');
  try {
    const { rows: moments } = await client.query<{ now: Date }>('select clock_timestamp() as now');
    const { rows: tables } = await client.query<Countable>(tablesQuery);
    const counts = new Map<string, number>();
    const uncounted: UncountedTable[] = [];
    for (const one of tables) {
      const table = qualifiedName(one);
      if (one.extension && !expected.has(table)) continue;
      signal.throwIfAborted();
      const leftMs = Math.floor(endsAt - performance.now());
      const counted = await countWithin(client, { one, leftMs });
      if (typeof counted === 'number') counts.set(table, counted);
      else {
        signal.throwIfAborted();
        uncounted.push({ table, reason: counted.reason });
      }
      onCounted({ counted: counts.size + uncounted.length, tables: tables.length });
    }
    return { countedAt: moments[0]?.now ?? new Date(), rows: counts, uncounted };
  } finally {
    await client.query('rollback').catch(() => undefined);
  }
}

// Whatever one table's count fails of, the others are counted: the savepoint keeps the snapshot.
async function countWithin(
  client: Client,
  { one, leftMs }: { readonly one: Countable; readonly leftMs: number },
): Promise<number | { readonly reason: string }> {
  if (!one.readable) return { reason: 'this role may not read it' };
  if (one.hidden) return { reason: 'row security hides rows from this role' };
  if (leftMs <= 0) return { reason: outOfTime };
  await client.query(`savepoint one; set local statement_timeout = ${leftMs}; set local lock_timeout = '5s'`);
  try {
    const from = `${escapeIdentifier(one.schema)}.${escapeIdentifier(one.name)}`;
    const { rows } = await client.query<{ count: string }>(`select count(*) as count from only ${from}`);
    await client.query('release savepoint one');
    return Number(rows[0]?.count);
  } catch (error) {
    await client.query('rollback to savepoint one');
    return { reason: sqlStateOf(error) === queryCanceled ? outOfTime : describeError(error) };
  }
}

const tablesQuery = `
  select n.nspname as schema, c.relname as name,
         has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as readable,
         row_security_active(c.oid) as hidden,
         exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e') as extension
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind = 'r' and ${dumpedSchemas} order by c.relpages, 1, 2`;
