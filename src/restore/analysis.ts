// Statistics for the planner, without which a restored database is slow until autovacuum has come around. Two sessions share the
// tables: one server process has one core, and nothing else has work at this moment.

import type { Client } from 'pg';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { AppError } from '../errors.ts';

/**
 * Has all tables analysed that the role may have analysed, those of the system among them, as ANALYZE without a name does
 * (PostgreSQL, ANALYZE). Rejects when `control` loses its session or `signal` aborts; what a second session cannot do, or was at
 * when it ended, the first does.
 */
export async function analyzeDatabase(
  control: Client,
  { connection, signal }: { readonly connection: ConnectionSettings; readonly signal: AbortSignal },
): Promise<void> {
  // The largest last, for the last is taken; building an index has counted its pages. A partitioned table takes its partitions along.
  const { rows } = await control.query<{ readonly name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'm', 'p') and not c.relispartition and not c.relisshared and c.relpersistence <> 't'
     order by c.relkind = 'p', c.relpages`,
  );
  const tables = rows.map(({ name }) => name);
  const end = new AbortController();
  const ended = AbortSignal.any([signal, end.signal]);
  let isWhole = true;
  const work = async (client: Client): Promise<void> => {
    for (let table = tables.pop(); table !== undefined; table = tables.pop())
      try {
        await client.query(`analyze ${table}`);
      } catch (error) {
        // A session that is lost; anything else is one table's: it was dropped, or is in a schema that is closed to the role.
        if (error instanceof AppError || ended.aborted) {
          tables.push(table);
          throw error;
        }
        isWhole = false;
      }
  };
  const help = async (): Promise<void> => {
    await using second = await connect(connection, ended, { queryTimeoutMs: 0 });
    await work(second);
  };
  const helping = help().catch(() => undefined);
  try {
    await work(control);
  } catch (error) {
    end.abort();
    throw error;
  } finally {
    await helping;
  }
  await work(control);
  // Where a name does not lead, it goes by number; and it passes over what it may not analyse.
  if (!isWhole) await control.query('analyze');
}
