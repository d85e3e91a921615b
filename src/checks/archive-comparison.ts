// A restored database against the table of contents of its archive: every table, index, constraint, view and sequence that
// was dumped must be there, and every sequence where it stood.

import { escapeIdentifier, type Client } from 'pg';
import type { ArchiveItem } from '../database/archive-contents.ts';
import { plural } from '../text/table.ts';
import { failed, list, ok, type CheckResult } from './check.ts';

const relationKinds: ReadonlySet<string> = new Set([
  'TABLE',
  'INDEX',
  'SEQUENCE',
  'VIEW',
  'MATERIALIZED VIEW',
  'FOREIGN TABLE',
]);
const constraintKinds: ReadonlySet<string> = new Set(['CONSTRAINT', 'FK CONSTRAINT', 'CHECK CONSTRAINT']);

/** Compares them; two findings, for what there is and for where the sequences stand. */
export async function compareWithArchive(
  client: Client,
  contents: readonly ArchiveItem[],
): Promise<readonly CheckResult[]> {
  return [await compareObjects(client, contents), await compareSequences(client, contents)];
}

async function compareObjects(client: Client, contents: readonly ArchiveItem[]): Promise<CheckResult> {
  const { rows: relations } = await client.query<{ schema: string; name: string }>(
    'select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace',
  );
  const { rows: constraints } = await client.query<{ schema: string; name: string }>(
    // Of tables, and of domains.
    `select n.nspname as schema, coalesce(c.relname, t.typname) || ' ' || x.conname as name from pg_constraint x
       left join pg_class c on c.oid = x.conrelid left join pg_type t on t.oid = x.contypid
       join pg_namespace n on n.oid = coalesce(c.relnamespace, t.typnamespace)`,
  );
  const there = new Set([...relations, ...constraints].map(({ schema, name }) => JSON.stringify([schema, name])));
  const expected = contents.filter(({ kind }) => relationKinds.has(kind) || constraintKinds.has(kind));
  const missing = expected.filter(({ schema, name }) => !there.has(JSON.stringify([schema, name])));
  if (missing.length === 0)
    return ok('contents', `${plural(expected.length, 'object')} of the archive, all of them there`);
  const named = missing.map(({ kind, schema, name }) => `${kind.toLowerCase()} ${schema}.${name}`);
  return failed('contents', { detail: `missing: ${list(named)}`, remedy: 'Restore another snapshot.' });
}

async function compareSequences(client: Client, contents: readonly ArchiveItem[]): Promise<CheckResult> {
  const wrong: { readonly name: string; readonly detail: string }[] = [];
  const sequences = contents.flatMap(({ schema, name, setval }) => {
    const [, last, called] = /, (-?\d+), (true|false)\);?\s*$/.exec(setval ?? '') ?? [];
    return last === undefined ? [] : [{ schema, name, last, called: called === 'true' }];
  });
  for (const { schema, name, last, called } of sequences) {
    const { rows } = await client.query<{ last_value: string; is_called: boolean }>(
      `select last_value, is_called from ${escapeIdentifier(schema)}.${escapeIdentifier(name)}`,
    );
    if (rows[0]?.last_value !== last || rows[0].is_called !== called)
      wrong.push({ name: `${schema}.${name}`, detail: `is at ${rows[0]?.last_value} instead of ${last}` });
  }
  if (wrong.length === 0) return ok('sequence positions', `${sequences.length}, each where it stood`);
  return failed('sequence positions', {
    detail: list(wrong.map(({ name, detail }) => `${name} ${detail}`)),
    detailWithoutValues: `elsewhere than they stood: ${list(wrong.map(({ name }) => name))}`,
    remedy: 'Set them with setval(), or restore again.',
  });
}
