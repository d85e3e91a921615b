// Statistics for the planner, without which a restored database is slow until autovacuum has come around. Two sessions share the
// tables: one server process has one core, and nothing else has work at this moment.

import type { Client } from 'pg';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { sqlStateOf, undefinedTable } from '../database/sql-state.ts';

/**
 * Does what ANALYZE without a name does (PostgreSQL, ANALYZE): all tables that the role may have analysed, those of the system
 * among them. Rejects when `control` loses its session or `signal` aborts; where a second session is not to be had, or ends,
 * the first does everything.
 */
export async function analyzeDatabase(
  control: Client,
  { connection, signal }: { readonly connection: ConnectionSettings; readonly signal: AbortSignal },
): Promise<void> {
  // A partitioned table takes its partitions along. The largest ones first: pop takes the last.
  const { rows } = await control.query<{ readonly name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'm', 'p') and not c.relispartition and not c.relisshared and c.relpersistence <> 't'
     order by case c.relkind when 'p' then 9e18::float8 else pg_relation_size(c.oid) end`,
  );
  const tables = rows.map(({ name }) => name);
  const work = async (client: Client): Promise<void> => {
    for (let table = tables.pop(); table !== undefined; table = tables.pop())
      await client.query(`analyze ${table}`).catch((error: unknown) => {
        // Dropped since, where the database is one that others use.
        if (sqlStateOf(error) !== undefinedTable) throw error;
      });
  };
  const help = async (): Promise<boolean> => {
    try {
      await using second = await connect(connection, signal, { queryTimeoutMs: 0 });
      await work(second);
      return true;
    } catch {
      return false;
    }
  };
  const [helped] = await Promise.all([help(), work(control)]);
  signal.throwIfAborted();
  // Nobody knows what it had left.
  if (!helped) await control.query('analyze');
}
