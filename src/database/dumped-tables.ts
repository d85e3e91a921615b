// Which tables a dump of the whole database reads, and so has to lock: ordinary and partitioned ones with every partition, in
// every schema that is not the server's own. One that is forgotten here could be emptied or rewritten between the snapshot
// and its data.

import type { Client } from 'pg';

/** A table that is locked before the snapshot is taken. */
export interface DumpedTable {
  readonly oid: number;
  /** `schema.table`, each quoted where SQL wants it. */
  readonly name: string;
}

/** Schemas whose contents are dumped; `n` is pg_namespace. Temporary tables of other sessions are in `pg_temp_…`. */
export const dumpedSchemas = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`;

/**
 * The tables as rows of `oid` and `name`. What this role may not read is left out: where the dump needs it, it is named
 * before; what belongs to an extension is most often not needed.
 */
export const dumpedTablesQuery = `
  select c.oid, format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p') and ${dumpedSchemas}
     and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')`;

/** Asks for the tables, the oldest first. */
export async function listDumpedTables(client: Client): Promise<readonly DumpedTable[]> {
  const { rows } = await client.query<DumpedTable>(`${dumpedTablesQuery} order by c.oid`);
  return rows;
}
