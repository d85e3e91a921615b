// What must be true of a restored database, asked of the database itself: of any, that all rows came and all indexes and
// constraints hold; of a Mastodon, that it would work. Everything is rolled back or done in a throw-away server.

import { escapeIdentifier, type Client } from 'pg';
import { failed, note, ok, type CheckResult } from './check.ts';
import { checkMastodon } from './mastodon-checks.ts';

/** What the snapshot's manifest says must be there. */
export interface DatabaseExpectations {
  /** Exact rows by `schema.table`, as the archive reader names them. */
  readonly rows: Readonly<Record<string, number>>;
  readonly schemaVersion: string | null;
  readonly dataAt: Date;
}

const shown = 5;

/** Runs all checks, one after the other; what cannot be asked is a failed check. */
export async function checkDatabase(
  client: Client,
  options: DatabaseExpectations & { readonly signal: AbortSignal },
): Promise<readonly CheckResult[]> {
  const checks: readonly (readonly [string, () => Promise<readonly CheckResult[]>])[] = [
    ['rows', async () => [await checkRows(client, options)]],
    ['indexes', async () => [await checkIndexes(client)]],
    ['constraints', async () => [await checkConstraints(client)]],
    ['materialised views', async () => [await checkMaterialisedViews(client)]],
    ['sequences', async () => [await checkSequences(client)]],
    ['amcheck', async () => [await checkTrees(client)]],
    ['Mastodon', async () => checkMastodon(client, options)],
  ];
  const results: CheckResult[] = [];
  for (const [name, run] of checks) {
    options.signal.throwIfAborted();
    try {
      results.push(...(await run()));
    } catch (error) {
      options.signal.throwIfAborted();
      const detail = error instanceof Error ? error.message : String(error);
      results.push(failed(name, { detail: `could not be checked: ${detail}`, remedy: 'Look into the log.' }));
    }
  }
  return results;
}

/** Tables with their exact counts, named as in manifests. */
export async function countRows(client: Client): Promise<ReadonlyMap<string, number>> {
  const { rows: tables } = await client.query<{ schema: string; name: string }>(
    `select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1, 2`,
  );
  const counts = new Map<string, number>();
  for (const { schema, name } of tables) {
    const from = `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;
    const { rows } = await client.query<{ count: string }>(`select count(*) as count from only ${from}`);
    counts.set(`${manifestName(schema)}.${manifestName(name)}`, Number(rows[0]?.count));
  }
  return counts;
}

// As the archive reader writes names into manifests.
function manifestName(name: string): string {
  return /[."]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}

/** Every table of `rows` has as many. */
export async function checkRows(client: Client, { rows }: Pick<DatabaseExpectations, 'rows'>): Promise<CheckResult> {
  const found = await countRows(client);
  const wrong = Object.entries(rows).flatMap(([table, expected]) => {
    const count = found.get(table);
    if (count === expected || table === 'BLOBS') return [];
    return [`${table} has ${count ?? 'no table'} instead of ${expected}`];
  });
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
  if (wrong.length === 0) return ok('rows', `${total} rows in ${Object.keys(rows).length} tables, exactly as dumped`);
  return failed('rows', {
    detail: list(wrong),
    remedy: 'Do not rely on this snapshot: run a new backup and drill again.',
  });
}

/** Every index can be used. */
export async function checkIndexes(client: Client): Promise<CheckResult> {
  const { rows } = await client.query<{ name: string }>(
    'select indexrelid::regclass::text as name from pg_index where not indisvalid or not indisready order by 1',
  );
  if (rows.length > 0) {
    return failed('indexes', {
      detail: `not valid: ${list(rows.map(({ name }) => name))}`,
      remedy: 'Reindex them in the source database: REINDEX INDEX CONCURRENTLY.',
    });
  }
  const { rows: all } = await client.query<{ count: string }>(
    "select count(*) as count from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^pg_'",
  );
  return ok('indexes', `${all[0]?.count ?? 0} indexes, all valid`);
}

// One that the source had not validated yet is validated here, where nothing can be harmed.
async function checkConstraints(client: Client): Promise<CheckResult> {
  const { rows } = await client.query<{ table: string; name: string }>(
    `select conrelid::regclass::text as table, conname as name from pg_constraint
      where not convalidated and conrelid <> 0 and contype in ('f', 'c') order by 1, 2`,
  );
  const broken: string[] = [];
  for (const { table, name } of rows) {
    try {
      await client.query(`alter table ${table} validate constraint ${escapeIdentifier(name)}`);
    } catch (error) {
      broken.push(`${name} of ${table}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (broken.length > 0) {
    return failed('constraints', {
      detail: list(broken),
      remedy: 'Mend the rows in the source database; Mastodon has: tootctl maintenance fix-duplicates.',
    });
  }
  const { rows: all } = await client.query<{ count: string }>(
    "select count(*) as count from pg_constraint where contype = 'f'",
  );
  return ok('constraints', `${all[0]?.count ?? 0} foreign keys, all valid`);
}

async function checkMaterialisedViews(client: Client): Promise<CheckResult> {
  const { rows } = await client.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'm' order by c.oid`,
  );
  const broken: string[] = [];
  for (const { name } of rows) {
    try {
      // As pg_restore does it, where a function that forgets its schema fails.
      await client.query(`set search_path to ''`);
      await client.query(`refresh materialized view ${name}`);
    } catch (error) {
      broken.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      await client.query('reset search_path');
    }
  }
  if (broken.length === 0) return ok('materialised views', `${rows.length}, all of them can be refreshed`);
  return failed('materialised views', {
    detail: list(broken),
    remedy: 'Refresh them in the source database and look why it fails.',
  });
}

async function checkSequences(client: Client): Promise<CheckResult> {
  const { rows } = await client.query<{ sequence: string; schema: string; table: string; column: string }>(
    `select s.oid::regclass::text as sequence, n.nspname as schema, t.relname as table, a.attname as column
       from pg_class s
       join pg_depend d on d.objid = s.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
       join pg_class t on t.oid = d.refobjid join pg_namespace n on n.oid = t.relnamespace
       join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
       left join pg_attrdef f on f.adrelid = t.oid and f.adnum = a.attnum
      where s.relkind = 'S' and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
        and (a.attidentity <> '' or pg_get_expr(f.adbin, f.adrelid) like 'nextval(%')`,
  );
  const behind: string[] = [];
  for (const { sequence, schema, table, column } of rows) {
    const from = `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;
    const { rows: found } = await client.query<{ last: string; highest: string | null }>(
      `select (select last_value from ${sequence}) as last, (select max(${escapeIdentifier(column)}) from ${from}) as highest`,
    );
    const { last = '0', highest = null } = found[0] ?? {};
    if (highest !== null && BigInt(last) < BigInt(highest))
      behind.push(`${sequence} is at ${last}, but ${table}.${column} has ${highest}`);
  }
  if (behind.length === 0) return ok('sequences', `${rows.length}, none behind its table`);
  return failed('sequences', { detail: list(behind), remedy: 'Set them in the source database with setval().' });
}

async function checkTrees(client: Client): Promise<CheckResult> {
  try {
    await client.query('create extension if not exists amcheck');
  } catch {
    return note('amcheck', 'the extension is not there: the trees of the indexes were not walked');
  }
  const { rows } = await client.query<{ oid: number; name: string }>(
    `select c.oid, c.oid::regclass::text as name from pg_index i join pg_class c on c.oid = i.indexrelid
       join pg_am a on a.oid = c.relam join pg_namespace n on n.oid = c.relnamespace
      where a.amname = 'btree' and c.relkind = 'i' and n.nspname !~ '^pg_' and i.indisvalid order by 2`,
  );
  const broken: string[] = [];
  for (const { oid, name } of rows) {
    try {
      await client.query('select bt_index_check($1::oid::regclass)', [oid]);
    } catch (error) {
      broken.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (broken.length === 0) return ok('amcheck', `${rows.length} B-trees walked`);
  return failed('amcheck', { detail: list(broken), remedy: 'Check the memory and disk of this host.' });
}

/** The first few, and how many more there are. */
function list(items: readonly string[]): string {
  const rest = items.length - shown;
  return `${items.slice(0, shown).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
}
