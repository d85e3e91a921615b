// What a dump of the whole database needs and this role lacks, asked before the dump: pg_dump names the first table that it
// may not read, and the next one a night later.

import type { Client } from 'pg';
import { AppError } from '../errors.ts';
import { dumpedSchemas } from './dumped-tables.ts';

/** Something a dump reads and this role may not. */
export interface MissingRight {
  /** `rows`: row security hides some of the table's. */
  readonly kind: 'schema' | 'table' | 'sequence' | 'rows' | 'large object';
  /** Quoted where SQL wants it; without `public`, as the server names it. */
  readonly name: string;
  readonly owner: string;
}

/** What is missing, and whom. */
export interface DumpRights {
  readonly role: string;
  readonly missing: readonly MissingRight[];
}

const mostLargeObjects = 20;

// A table of an extension is dumped only when the extension says that it holds the user's rows. What is in a schema that may
// not be entered is told by the schema.
const relationsQuery = `
  with relations as (
    select c.oid, c.relkind, c.relname, c.relowner, n.oid as schema, n.nspname, n.nspowner
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'S') and ${dumpedSchemas}
       and (not exists (select from pg_depend d
                         where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
            or exists (select from pg_extension e where c.oid = any(e.extconfig))))
  select distinct 'schema' as kind, quote_ident(nspname) as name, pg_get_userbyid(nspowner)::text as owner
    from relations where not has_schema_privilege(schema, 'usage')
  union all
  select case when relkind = 'S' then 'sequence' when not has_table_privilege(oid, 'select') then 'table' else 'rows' end,
         case when nspname = 'public' then quote_ident(relname) else format('%I.%I', nspname, relname) end,
         pg_get_userbyid(relowner)::text
    from relations
   where has_schema_privilege(schema, 'usage')
     and case when relkind = 'S' then not has_sequence_privilege(oid, 'select')
              -- The rows are read partition by partition; what hides them in the whole hides none of them there.
              else not has_table_privilege(oid, 'select') or (relkind = 'r' and row_security_active(oid)) end
   order by 1, 2`;

// lo_open asks for SELECT; pg_read_all_data does not bring it.
const largeObjectsQuery = `
  select 'large object' as kind, m.oid::text as name, pg_get_userbyid(m.lomowner)::text as owner
    from pg_largeobject_metadata m
   where not current_setting('lo_compat_privileges')::boolean and not pg_has_role(m.lomowner, 'usage')
     and not exists (select from aclexplode(m.lomacl) a
                      where a.privilege_type = 'SELECT' and (a.grantee = 0 or pg_has_role(a.grantee, 'usage')))
   limit ${mostLargeObjects}`;

/** Asks for every schema, table, sequence and large object; a superuser lacks nothing. */
export async function findMissingRights(client: Client): Promise<DumpRights> {
  const { rows: own } = await client.query<{ role: string; superuser: boolean }>(
    'select current_user::text as role, rolsuper as superuser from pg_roles where rolname = current_user',
  );
  const role = own[0]?.role ?? '';
  if (own[0]?.superuser === true) return { role, missing: [] };
  const { rows } = await client.query<MissingRight>(relationsQuery);
  const { rows: largeObjects } = await client.query<MissingRight>(largeObjectsQuery);
  return { role, missing: [...rows, ...largeObjects] };
}

const mostNamed = 5;

/** The error for rights that are missing, with what brings them; undefined when none is. */
export function missingRightsError(rights: DumpRights, { serverMajor }: { serverMajor: number }): AppError | undefined {
  const { role, missing } = rights;
  if (missing.length === 0) return undefined;
  const named = missing.slice(0, mostNamed).map(({ kind, name, owner }) => {
    const what = kind === 'rows' ? `row security hides rows of table ${name}` : `permission denied for ${kind} ${name}`;
    return `${what} (owner ${owner})`;
  });
  const more = missing.length > mostNamed ? `, and ${missing.length - mostNamed} more` : '';
  return new AppError('dump', `The role '${role}' may not read the whole database: ${named.join(', ')}${more}`, {
    reason: 'access-denied',
    hint: `Run as a superuser: ${remedies(rights, serverMajor).join('; ')}. Or dump as the role that owns all of it: check DB_USER.`,
  });
}

function remedies({ role, missing }: DumpRights, serverMajor: number): readonly string[] {
  const has = (kind: MissingRight['kind']): boolean => missing.some((one) => one.kind === kind);
  const to = `"${role.replaceAll('"', '""')}"`;
  const first = (kind: MissingRight['kind']): string => missing.find((one) => one.kind === kind)?.name ?? '';
  const found: string[] = [];
  if (has('schema') || has('table') || has('sequence')) {
    if (serverMajor >= 14) found.push(`GRANT pg_read_all_data TO ${to}`);
    else {
      if (has('schema')) found.push(`GRANT USAGE ON SCHEMA ${first('schema')} TO ${to}`);
      found.push(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${to}`);
      found.push(`GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO ${to}`);
    }
  }
  if (has('rows')) found.push(`ALTER ROLE ${to} BYPASSRLS`);
  if (has('large object')) found.push(`GRANT SELECT ON LARGE OBJECT ${first('large object')} TO ${to}`);
  return found;
}
