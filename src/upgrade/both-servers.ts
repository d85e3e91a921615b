// The old and the new database side by side, both alive: rows of every table, where every sequence stands, and how many
// indexes, constraints, views and functions there are. A restore compares with the archive; this compares with what people use.

import type { Client } from 'pg';
import { failed, list, ok, type CheckResult } from '../checks/check.ts';
import { compareRows } from '../checks/row-comparison.ts';
import { countLiveRows } from '../database/row-counts.ts';
import { plural } from '../text/table.ts';

const again = 'Do not switch, but run it again: mastodon-backup upgrade run';

/** Compares; `failed` findings mean that the new database is not the old one. Both clients are in Mastodon's database. */
export async function compareServers(
  clients: { readonly old: Client; readonly new: Client },
  {
    limitMs,
    signal,
  }: { /** How long the counting may take on each. */ readonly limitMs: number; readonly signal: AbortSignal },
): Promise<readonly CheckResult[]> {
  return [
    await compareTables(clients, { limitMs, signal }),
    await compareSequences(clients),
    ...(await compareObjects(clients)),
  ];
}

async function compareTables(
  clients: { readonly old: Client; readonly new: Client },
  options: { readonly limitMs: number; readonly signal: AbortSignal },
): Promise<CheckResult> {
  const counting = { ...options, expected: new Set<string>(), onCounted: () => undefined };
  const [before, now] = await Promise.all([countLiveRows(clients.old, counting), countLiveRows(clients.new, counting)]);
  const uncounted = [...before.uncounted, ...now.uncounted];
  const { changed, same } = compareRows({
    before: Object.fromEntries(before.rows),
    now: now.rows,
    uncounted: new Set(uncounted.map(({ table }) => table)),
  });
  const differences = changed.map(
    (one) => `${one.table} has ${one.now ?? 'no table'} instead of ${one.before ?? 'no table'}`,
  );
  if (changed.length > 0) return failed('rows on both servers', { detail: list(differences), remedy: again });
  if (uncounted.length > 0) {
    return failed('rows on both servers', {
      detail: `not counted: ${list(uncounted.map(({ table, reason }) => `${table} (${reason})`))}`,
      remedy: again,
    });
  }
  const total = [...now.rows.values()].reduce((sum, rows) => sum + rows, 0);
  return ok('rows on both servers', `${total} in ${plural(same, 'table')}, the same here and there`);
}

async function compareSequences(clients: { readonly old: Client; readonly new: Client }): Promise<CheckResult> {
  const read = async (client: Client): Promise<ReadonlyMap<string, string>> => {
    const { rows } = await client.query<{ name: string; last: string | null }>(
      "select format('%I.%I', schemaname, sequencename) as name, last_value as last from pg_sequences order by 1",
    );
    return new Map(rows.map(({ name, last }) => [name, last ?? 'unused']));
  };
  const [before, now] = [await read(clients.old), await read(clients.new)];
  const names = [...new Set([...before.keys(), ...now.keys()])];
  const different = names.filter((name) => before.get(name) !== now.get(name));
  if (different.length === 0) return ok('sequences on both servers', `${names.length}, each where it stood`);
  return failed('sequences on both servers', {
    detail: list(
      different.map((name) => `${name} is at ${now.get(name) ?? 'none'} instead of ${before.get(name) ?? 'none'}`),
    ),
    remedy: again,
  });
}

// What belongs to an extension differs from version to version.
const objectsQuery = `
  with own as (
    select 'pg_class'::regclass as class, c.oid,
           case c.relkind when 'i' then 'indexes' when 'I' then 'indexes' when 'v' then 'views' when 'm' then 'materialised views' else 'tables' end as kind
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'i', 'I', 'v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    union all
    select 'pg_constraint'::regclass, c.oid, 'constraints' from pg_constraint c join pg_namespace n on n.oid = c.connamespace
     where c.contype in ('c', 'f', 'p', 'u', 'x') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    union all
    select 'pg_proc'::regclass, p.oid, 'functions' from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    union all
    select 'pg_trigger'::regclass, t.oid, 'triggers' from pg_trigger t where not t.tgisinternal
  )
  select kind, count(*)::int as count from own
   where not exists (select from pg_depend d where d.classid = own.class and d.objid = own.oid and d.deptype = 'e')
   group by 1 order by 1`;

async function compareObjects(clients: {
  readonly old: Client;
  readonly new: Client;
}): Promise<readonly CheckResult[]> {
  const read = async (client: Client): Promise<ReadonlyMap<string, number>> => {
    const { rows } = await client.query<{ kind: string; count: number }>(objectsQuery);
    return new Map(rows.map(({ kind, count }) => [kind, count]));
  };
  const [before, now] = [await read(clients.old), await read(clients.new)];
  const different = [...new Set([...before.keys(), ...now.keys()])].filter(
    (kind) => (before.get(kind) ?? 0) !== (now.get(kind) ?? 0),
  );
  if (different.length === 0) {
    const all = [...now].map(([kind, count]) => countOf(kind, count));
    return [ok('objects on both servers', `${all.join(', ')}, the same here and there`)];
  }
  return [
    failed('objects on both servers', {
      detail: different
        .map((kind) => `${countOf(kind, now.get(kind) ?? 0)} instead of ${before.get(kind) ?? 0}`)
        .join(', '),
      remedy: again,
    }),
  ];
}

function countOf(kind: string, count: number): string {
  return plural(count, kind === 'indexes' ? 'index' : kind.replace(/s$/, ''), kind);
}
