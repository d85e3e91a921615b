// How large a dump will become when none was made yet: a dump has the tables and not their indexes, which are half of a Mastodon's
// database. Read from the catalogue alone: to ask for the size of a table waits for whoever has locked it.

import type { Client } from 'pg';

/** Bytes of all tables and what is stored beside them, without indexes, as of their last vacuum; null: nobody has looked yet. */
export async function estimateDumpBytes(client: Client): Promise<number | null> {
  const { rows } = await client.query<{ readonly bytes: string }>(
    `select coalesce(sum(relpages), 0)::bigint * current_setting('block_size')::bigint as bytes
       from pg_catalog.pg_class
      where relkind in ('r', 'm', 't')
        and relpages > 0
        and relnamespace <> all (array['pg_catalog'::regnamespace, 'information_schema'::regnamespace])`,
  );
  const bytes = Number(rows[0]?.bytes ?? 0);
  return bytes > 0 ? bytes : null;
}
