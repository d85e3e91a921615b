// What must be true of a restored database, asked of the database itself: of any, that all rows came and all indexes and
// constraints hold; of a Mastodon, that it would work. Everything is rolled back or done in a throw-away server.

import { escapeIdentifier, type Client } from 'pg';
import { qualifiedName } from '../database/archive-contents.ts';
import type { Oddity } from '../database/oddities.ts';
import { findSequencesBehind } from '../database/sequences.ts';
import { describeError } from '../errors.ts';
import { plural } from '../text/table.ts';
import { failed, list, note, ok, type CheckResult } from './check.ts';
import { createSource, type Source } from './source.ts';
import { checkMastodon } from './mastodon-checks.ts';
import { checkTrees } from './tree-check.ts';
import { askEach, leftOpen, tookTooLong } from './unanswered.ts';

/** What the snapshot's manifest says must be there. */
export interface DatabaseExpectations {
  /** Exact rows by `schema.table`, as the archive reader names them. */
  readonly rows: Readonly<Record<string, number>>;
  readonly schemaVersion: string | null;
  readonly dataAt: Date;
  /** What was so in the source. */
  readonly oddities: readonly Oddity[];
}

/** Runs all checks, one after the other; what cannot be asked is a failed check. */
export async function checkDatabase(
  client: Client,
  options: DatabaseExpectations & { readonly signal: AbortSignal },
): Promise<readonly CheckResult[]> {
  const source = createSource(options.oddities);
  const checks: readonly (readonly [string, () => Promise<readonly CheckResult[]>])[] = [
    ['rows', async () => [await checkRows(client, options)]],
    ['indexes', async () => checkIndexes(client, source)],
    ['constraints', async () => checkConstraints(client)],
    ['materialised views', async () => checkMaterialisedViews(client)],
    ['sequences', async () => [await checkSequences(client)]],
    ['amcheck', async () => checkTrees(client)],
    ['Mastodon', async () => checkMastodon(client, { ...options, source })],
    ['source', async () => source.notes()],
  ];
  const results: CheckResult[] = [];
  for (const [name, run] of checks) {
    options.signal.throwIfAborted();
    try {
      results.push(...(await run()));
    } catch (error) {
      options.signal.throwIfAborted();
      if (tookTooLong(error)) {
        results.push(...leftOpen([name]));
        continue;
      }
      const detail = `could not be checked: ${describeError(error)}`;
      results.push(failed(name, { detail, remedy: 'Look into the log.' }));
    }
  }
  return results;
}

// Tables with their exact counts, named as in manifests: those that are asked for alone, since a table of an extension may be
// one that this role may not read.
async function countRows(client: Client, wanted: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
  const { rows: tables } = await client.query<{ schema: string; name: string; hidden: boolean }>(
    `select n.nspname as schema, c.relname as name, row_security_active(c.oid) as hidden from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1, 2`,
  );
  const counts = new Map<string, number>();
  for (const { schema, name, hidden } of tables) {
    const table = qualifiedName({ schema, name });
    if (!wanted.has(table)) continue;
    const from = `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;
    counts.set(table, hidden ? await countHidden(client, from) : await countAll(client, from));
  }
  return counts;
}

async function countAll(client: Client, from: string): Promise<number> {
  const { rows } = await client.query<{ count: string }>(`select count(*) as count from only ${from}`);
  return Number(rows[0]?.count);
}

// Where row security is forced, it hides rows from their owner too. Nobody else is in a database that is being checked.
async function countHidden(client: Client, from: string): Promise<number> {
  await client.query('begin');
  try {
    await client.query(`alter table only ${from} no force row level security`);
    return await countAll(client, from);
  } finally {
    await client.query('rollback');
  }
}

/** Every table of `rows` has as many. */
export async function checkRows(client: Client, { rows }: Pick<DatabaseExpectations, 'rows'>): Promise<CheckResult> {
  const found = await countRows(client, new Set(Object.keys(rows)));
  const wrong = Object.entries(rows).flatMap(([table, expected]) => {
    const count = found.get(table);
    if (count === expected || table === 'BLOBS') return [];
    return [`${table} has ${count ?? 'no table'} instead of ${expected}`];
  });
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
  if (wrong.length === 0)
    return ok('rows', `${plural(total, 'row')} in ${plural(Object.keys(rows).length, 'table')}, exactly as dumped`);
  return failed('rows', {
    detail: list(wrong),
    remedy: 'Do not rely on this snapshot: run a new backup and drill again.',
  });
}

/** Every index can be used, but for those that could not be in the source. */
export async function checkIndexes(client: Client, source: Source): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ schema: string; name: string }>(
    `select n.nspname as schema, c.relname as name from pg_index i join pg_class c on c.oid = i.indexrelid
       join pg_namespace n on n.oid = c.relnamespace where not i.indisvalid or not i.indisready order by 1, 2`,
  );
  const names = rows.map(({ schema, name }) => `${schema}.${name}`);
  const broken = names.filter((name) => !source.had('invalid-index', name));
  if (broken.length > 0) {
    return [
      failed('indexes', {
        detail: `not valid: ${list(broken)}`,
        remedy: 'Reindex them in the source database: REINDEX INDEX CONCURRENTLY.',
      }),
    ];
  }
  const { rows: all } = await client.query<{ count: string }>(
    "select count(*) as count from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^pg_'",
  );
  const count = Number(all[0]?.count ?? 0);
  return [
    ok(
      'indexes',
      names.length === 0
        ? `${plural(count, 'index', 'indexes')}, all valid`
        : `${count - names.length} valid, as in the source`,
    ),
  ];
}

// One that the source had not validated yet is validated here, where nothing can be harmed: what it finds was in the source.
async function checkConstraints(client: Client): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ table: string; name: string }>(
    `select x.conrelid::regclass::text as table, x.conname as name from pg_constraint x
      where not x.convalidated and x.conrelid <> 0 and x.contype in ('f', 'c', 'n')
        and to_jsonb(x) ->> 'conenforced' is distinct from 'false' order by 1, 2`,
  );
  const { broken, open } = await askEach(rows, {
    name: ({ table, name }) => `${name} of ${table}`,
    ask: async ({ table, name }) => client.query(`alter table ${table} validate constraint ${escapeIdentifier(name)}`),
  });
  const { rows: all } = await client.query<{ valid: string }>(
    "select count(*) filter (where convalidated) as valid from pg_constraint where contype = 'f'",
  );
  const whole = ok('constraints', `${plural(Number(all[0]?.valid ?? 0), 'foreign key')}, all valid`);
  const unanswered = leftOpen(open);
  if (broken.length === 0) return [whole, ...unanswered];
  return [
    whole,
    ...unanswered,
    note(
      'constraints of the source',
      `not validated in the source, and old rows break them: ${list(broken.map(({ text }) => text))}`,
      {
        remedy: 'Delete or mend those rows in the source when there is time, then: ALTER TABLE … VALIDATE CONSTRAINT.',
      },
    ),
  ];
}

// What was never filled in the source is not filled by a restore either; whether it could be is asked all the same.
async function checkMaterialisedViews(client: Client): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ name: string; filled: boolean }>(
    `select format('%I.%I', n.nspname, c.relname) as name, c.relispopulated as filled
       from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'm' order by c.oid`,
  );
  // As pg_restore does it, where a function that forgets its schema fails.
  await client.query(`set search_path to ''`);
  const { broken, open } = await askEach(rows, {
    name: ({ name }) => name,
    ask: async ({ name }) => client.query(`refresh materialized view ${name}`),
  });
  await client.query('reset search_path');
  const [lost, never] = [true, false].map((filled) =>
    broken.filter(({ item }) => item.filled === filled).map(({ text }) => text),
  );
  const notes = [
    ...leftOpen(open),
    ...(never === undefined || never.length === 0
      ? []
      : [note('views of the source', `never filled in the source, and cannot be: ${list(never)}`)]),
  ];
  if (lost === undefined || lost.length === 0) {
    const count = rows.length - (never?.length ?? 0) - open.length;
    return [ok('materialised views', `${count}, all of them can be refreshed`), ...notes];
  }
  return [
    failed('materialised views', {
      detail: list(lost),
      remedy: 'Refresh them in the source database and look why it fails.',
    }),
    ...notes,
  ];
}

// They stand where they stood: that is compared with the archive. One that stands behind its table stood there before.
async function checkSequences(client: Client): Promise<CheckResult> {
  const { asked, behind } = await findSequencesBehind(client, { indexedOnly: false });
  if (behind.length === 0) return ok('sequences', `${asked}, none behind its table`);
  const words = ({ schema, sequence, table, column }: (typeof behind)[number]): readonly [string, string] => [
    `${schema}.${sequence}`,
    `${table}.${column}`,
  ];
  return note(
    'sequences',
    `behind their tables, as in the source: ${list(
      behind.map((one) => `${words(one)[0]} is at ${one.last}, but ${words(one)[1]} has ${one.furthest}`),
    )}`,
    {
      detailWithoutValues: `behind their tables, as in the source: ${list(behind.map((one) => words(one).join(' behind ')))}`,
      remedy:
        'Set those that are used in the source database with setval(); a table that is filled with ids of another one never uses its own.',
    },
  );
}
