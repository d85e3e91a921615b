// Sequences that would hand out a number their table already has. Where a sequence is never used that harms nobody, but it
// looks exactly like a backup that lost the sequence's position.

import { escapeIdentifier, type Client } from 'pg';

/** A sequence that is behind the column it belongs to. */
export interface SequenceBehind extends Pick<OwnedSequence, 'schema' | 'sequence' | 'table' | 'column'> {
  /** Where it stands. */
  readonly last: string;
  /** What the column has, in the sequence's direction the furthest. */
  readonly furthest: string;
}

interface OwnedSequence {
  readonly sequence_schema: string;
  readonly sequence: string;
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  readonly ascending: boolean;
}

/** Sequences that are asked about in one statement. */
const batch = 100;

// Those that a column's default takes its value from, and of which the furthest value is at the end of an index. A sequence
// that starts again from its beginning is behind by nature.
const ownedQuery = `
  select sn.nspname as sequence_schema, s.relname as sequence, n.nspname as schema, t.relname as table,
         a.attname as column, q.seqincrement > 0 as ascending
    from pg_class s
    join pg_namespace sn on sn.oid = s.relnamespace
    join pg_sequence q on q.seqrelid = s.oid
    join pg_depend d on d.objid = s.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
    join pg_class t on t.oid = d.refobjid join pg_namespace n on n.oid = t.relnamespace
    join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
    left join pg_attrdef f on f.adrelid = t.oid and f.adnum = a.attnum
   where s.relkind = 'S' and not q.seqcycle and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
     and (a.attidentity <> '' or pg_get_expr(f.adbin, f.adrelid) like 'nextval(%')
     and case when s.relkind = 'S' then has_sequence_privilege(s.oid, 'SELECT') end and has_column_privilege(t.oid, a.attnum, 'SELECT')
     and (not $1::boolean or exists (
           select from pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
            where i.indrelid = t.oid and i.indkey[0] = a.attnum and i.indpred is null and i.indisvalid and m.amname = 'btree'))
   order by 3, 4, 5`;

/**
 * Finds them, and says of how many it asked. With `indexedOnly` only columns whose furthest value an index tells at once.
 * What this role may not read is left out.
 */
export async function findSequencesBehind(
  client: Client,
  { indexedOnly }: { readonly indexedOnly: boolean },
): Promise<{ readonly asked: number; readonly behind: readonly SequenceBehind[] }> {
  const { rows: owned } = await client.query<OwnedSequence>(ownedQuery, [indexedOnly]);
  const behind: SequenceBehind[] = [];
  for (let from = 0; from < owned.length; from += batch) {
    const some = owned.slice(from, from + batch);
    const { rows } = await client.query<{ at: number; last: string; called: boolean; furthest: string | null }>(
      some.map(question).join(' union all '),
    );
    for (const { at, last, called, furthest } of rows) {
      const one = some[at];
      if (one === undefined || furthest === null) continue;
      const next = called ? BigInt(last) : BigInt(last) - (one.ascending ? 1n : -1n);
      if (one.ascending ? next >= BigInt(furthest) : next <= BigInt(furthest)) continue;
      const { sequence_schema: schema, sequence, column } = one;
      behind.push({ schema, sequence, table: `${one.schema}.${one.table}`, column, last, furthest });
    }
  }
  return { asked: owned.length, behind };
}

function question(one: OwnedSequence, at: number): string {
  const sequence = `${escapeIdentifier(one.sequence_schema)}.${escapeIdentifier(one.sequence)}`;
  const table = `${escapeIdentifier(one.schema)}.${escapeIdentifier(one.table)}`;
  const furthest = `${one.ascending ? 'max' : 'min'}(${escapeIdentifier(one.column)})`;
  return `select ${at} as at, s.last_value::text as last, s.is_called as called,
                 (select ${furthest} from ${table})::text as furthest from ${sequence} s`;
}
