// Whether a role could run Mastodon on a database: read and write every table, draw from every sequence, create in every
// schema with tables. Asked of the catalogue, so that it costs nothing and changes nothing.

import type { Client } from 'pg';
import { failed, list, ok, type CheckResult } from './check.ts';

/** The role can do with every object of the database what Mastodon does, migrations included. */
export async function checkRoleRights(client: Client, role: string): Promise<CheckResult> {
  const { rows } = await client.query<{ name: string; lacks: string }>(lackQuery, [role]);
  if (rows.length === 0) return ok('role', `'${role}', the role that Mastodon uses, can read and write everything`);
  return failed('role', {
    detail: `'${role}', the role that Mastodon uses, may not: ${list(rows.map(({ name, lacks }) => `${lacks} ${name}`))}`,
    remedy: `Restore as a superuser (BACKUP_DATABASE_URL) with --owner '${role}': everything then belongs to it.`,
  });
}

// A list of rights in has_table_privilege() means any of them, so each is asked for alone. What belongs to an extension is its own.
const lackQuery = `
  with objects as (
    select c.oid, c.relkind, n.nspname, format('%I.%I', n.nspname, c.relname) as name, n.oid as schema, c.relowner
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'S') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  )
  select name, case when relkind = 'S' then 'use' when relkind in ('v', 'm') then 'read' else 'read and write' end as lacks
    from objects
   where case when relkind = 'S' then not (has_sequence_privilege($1, oid, 'usage') and has_sequence_privilege($1, oid, 'select'))
              when relkind in ('v', 'm') then not has_table_privilege($1, oid, 'select')
              else not (has_table_privilege($1, oid, 'select') and has_table_privilege($1, oid, 'insert')
                        and has_table_privilege($1, oid, 'update') and has_table_privilege($1, oid, 'delete')) end
  union all
  select name, 'alter' from objects where relkind in ('r', 'p', 'm') and not pg_has_role($1, relowner, 'usage')
  union all
  select distinct format('schema %I', nspname), 'use and create in' from objects
   where not (has_schema_privilege($1, schema, 'usage') and has_schema_privilege($1, schema, 'create'))
  union all
  select format('database %I', current_database()), 'connect to' where not has_database_privilege($1, current_database(), 'connect')
  order by 2, 1`;
