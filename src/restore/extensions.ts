// The extensions of a dump in a database that is being restored: created before the archive, each in its own schema and in
// the order of need, and emptied of the rows that they bring along and the dump brings again.

import { escapeIdentifier, type Client } from 'pg';
import { AppError, describeError } from '../errors.ts';
import { failed, ok, type CheckResult } from '../checks/check.ts';
import { qualifiedName, type ArchiveItem } from '../database/archive-contents.ts';
import { plural } from '../text/table.ts';
import { missingExtensions } from './database-creation.ts';
import { countOfKind } from './kinds.ts';
import { dependentsOf, list, type WantedExtension } from './restore-plan.ts';

/** @throws AppError `restore` naming what the target server lacks, and what could not be restored without it. */
export async function assertExtensions(
  client: Client,
  { wanted, contents }: { readonly wanted: readonly string[]; readonly contents: readonly ArchiveItem[] },
): Promise<void> {
  const missing = await missingExtensions(client, wanted);
  if (missing.length === 0) return;
  const dependents = dependentsOf(contents, missing);
  const needs =
    dependents.length === 0
      ? 'nothing in the dump depends on them'
      : `on them depend ${dependents.map((one) => `${countOfKind(one)} (${list(one.names)})`).join(', ')}`;
  throw new AppError(
    'restore',
    `The target server does not have what the dump needs: ${missing.join(', ')}; ${needs}`,
    {
      hint: `Install these extensions on the target server (Debian: postgresql-contrib), or leave them out with all that depends on them: ${missing.map((name) => `--without-extension ${name}`).join(' ')}.`,
    },
  );
}

/** Creates them and what they need; schemas of theirs belong to `owner`. Rejects with AppError `restore`. */
export async function createExtensions(
  client: Client,
  options: {
    readonly extensions: readonly WantedExtension[];
    /** Schemas that the archive creates: an extension in one of them needs it now. */
    readonly schemas: ReadonlySet<string>;
    readonly owner: string;
    readonly role: string;
  },
): Promise<void> {
  const { extensions, schemas, owner, role } = options;
  for (const { name, schema } of extensions) {
    try {
      if (schema !== null && schemas.has(schema))
        await client.query(
          `create schema if not exists ${escapeIdentifier(schema)} authorization ${escapeIdentifier(owner)}`,
        );
      const where = schema === null ? '' : `with schema ${escapeIdentifier(schema)}`;
      // Without a schema it goes where the path leads, and ours leads nowhere.
      const path = schema === null ? 'set search_path to public;' : '';
      await client.query(`${path} create extension if not exists ${escapeIdentifier(name)} ${where} cascade`);
      if (schema === null) await client.query('reset search_path');
    } catch (error) {
      const message = `The extension '${name}' could not be created by '${role}': ${describeError(error)}`;
      throw new AppError('restore', message, {
        cause: error,
        hint: `Restore as a superuser, and it will belong to '${owner}' all the same: set BACKUP_DATABASE_URL=postgresql://postgres:…@host:5432/postgres for this command; or leave the extension out with all that depends on it: --without-extension ${name}.`,
      });
    }
  }
  try {
    await prepareConfiguration(client, owner);
  } catch (error) {
    throw new AppError('restore', `A table of an extension could not be made ready: ${describeError(error)}`, {
      cause: error,
      hint: 'Restore as a superuser: set BACKUP_DATABASE_URL, or leave the extension out with --without-extension.',
    });
  }
}

// Tables marked by pg_extension_config_dump(): their rows are in the dump, the ones that the extension's script has just
// made as well. Left, they would be there twice, or their key would end the restore.
async function prepareConfiguration(client: Client, owner: string): Promise<void> {
  for (const { name, schema, kind, condition } of await readConfiguration(client)) {
    const to = escapeIdentifier(owner);
    if (kind === 'S') await client.query(`grant usage, select, update on sequence ${name} to ${to}`);
    else {
      await client.query(`delete from only ${name} ${condition}`);
      await client.query(`grant usage on schema ${escapeIdentifier(schema)} to ${to}`);
      await client.query(`grant select, insert on ${name} to ${to}`);
    }
  }
}

/** A table or sequence of an extension whose rows are dumped: those that its condition (a WHERE clause, or nothing) says. */
export interface ConfigurationTable {
  readonly schema: string;
  readonly table: string;
  /** Quoted, with its schema. */
  readonly name: string;
  readonly kind: string;
  readonly condition: string;
}

/** The configuration tables of the extensions in a database; the conditions are the extensions' own SQL. */
export async function readConfiguration(client: Client): Promise<readonly ConfigurationTable[]> {
  const { rows } = await client.query<ConfigurationTable>(
    `select n.nspname as schema, c.relname as table, format('%I.%I', n.nspname, c.relname) as name, c.relkind as kind, x.condition
       from pg_extension e, unnest(e.extconfig, e.extcondition) x(oid, condition)
       join pg_class c on c.oid = x.oid join pg_namespace n on n.oid = c.relnamespace order by 1, 2`,
  );
  return rows;
}

/** The rows of the dump are in the extensions' own tables, each once. */
export async function checkConfiguration(
  client: Client,
  {
    configuration,
    rows,
  }: { readonly configuration: readonly ConfigurationTable[]; readonly rows: Readonly<Record<string, number>> },
): Promise<readonly CheckResult[]> {
  const tables = Object.entries(rows);
  if (tables.length === 0) return [];
  const wrong: string[] = [];
  for (const [table, expected] of tables) {
    const found = configuration.find(({ schema, table: name }) => qualifiedName({ schema, name }) === table);
    if (found === undefined) continue;
    const counted = await client.query<{ count: string }>(
      `select count(*) as count from only ${found.name} ${found.condition}`,
    );
    const count = Number(counted.rows[0]?.count);
    if (count !== expected) wrong.push(`${table} has ${count} instead of ${expected}`);
  }
  if (wrong.length === 0)
    return [
      ok('extension tables', `the rows of the dump are in the ${plural(tables.length, 'table')} that extensions keep`),
    ];
  return [
    failed('extension tables', { detail: list(wrong), remedy: 'Restore without the extension: --without-extension.' }),
  ];
}
