// The settings that belong to a database and are in none of its tables (ALTER DATABASE … SET, ALTER ROLE … IN DATABASE … SET):
// without them a Mastodon in a schema of its own finds none of its tables, and a database that took another's place behaves
// differently from it.

import { escapeIdentifier, type Client } from 'pg';
import { unquoted, type ArchiveItem } from '../database/archive-contents.ts';
import { note, type CheckResult } from '../checks/check.ts';
import { describeError } from '../errors.ts';
import type { Manifest } from '../snapshots/manifest.ts';

/** One setting. */
export interface DatabaseSetting {
  /** Null: of everybody in the database. */
  readonly role: string | null;
  readonly name: string;
  readonly value:
    | { readonly kind: 'words'; /** As SQL, literals and commas. */ readonly sql: string }
    | { readonly kind: 'text'; /** As pg_db_role_setting has it. */ readonly text: string };
}

const identifier = String.raw`(?:"(?:[^"]|"")+"|\w+)`;
const literal = String.raw`E?'(?:[^'\\]|''|\\\\)*'`;
const statement = new RegExp(
  String.raw`^ALTER (?:DATABASE ${identifier}|ROLE (${identifier}) IN DATABASE ${identifier}) SET ("?[\w.]+"?) TO (${literal}(?:, ${literal})*);$`,
  'gm',
);

/** Those that the archive has of its source: pg_dump writes them for `--create`. */
export function settingsInArchive(contents: readonly ArchiveItem[]): readonly DatabaseSetting[] {
  const definitions = contents.filter(({ kind }) => kind === 'DATABASE PROPERTIES').map(({ definition }) => definition);
  return definitions.flatMap((definition) =>
    [...definition.matchAll(statement)].map(([, role, name = '', sql = '']) => ({
      role: role === undefined ? null : unquoted(role),
      name: unquoted(name),
      value: { kind: 'words', sql } as const,
    })),
  );
}

/** Those of a database on this server. */
export async function readSettings(admin: Client, database: string): Promise<readonly DatabaseSetting[]> {
  const { rows } = await admin.query<{ role: string | null; setting: string }>(
    `select r.rolname as role, unnest(s.setconfig) as setting
       from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase left join pg_roles r on r.oid = s.setrole
      where d.datname = $1 order by 1 nulls first, 2`,
    [database],
  );
  return rows.map(({ role, setting }) => {
    const at = setting.indexOf('=');
    return { role, name: setting.slice(0, at), value: { kind: 'text', text: setting.slice(at + 1) } };
  });
}

/**
 * Sets what can be set, as `role`; answers what was taken over, and what was not. What a dump says is taken only as far as
 * every role may set it for itself: nothing of an archive must reach a superuser's sessions.
 */
export async function applySettings(
  client: Client,
  options: {
    readonly database: string;
    readonly settings: readonly DatabaseSetting[];
    readonly from: 'the dump' | 'the old database';
    /** Null: as we are. */
    readonly role: string | null;
  },
): Promise<readonly CheckResult[]> {
  const { database, settings, from, role } = options;
  if (settings.length === 0) return [];
  const taken: string[] = [];
  const not: string[] = [];
  const ordinary = from === 'the dump' ? await readOrdinarySettings(client) : null;
  if (role !== null) await client.query(`set role ${escapeIdentifier(role)}`);
  for (const setting of settings) {
    const value = setting.value.kind === 'text' ? setting.value.text : setting.value.sql;
    const label = `${setting.name}=${value}${setting.role === null ? '' : ` of ${setting.role}`}`;
    try {
      if (ordinary !== null && !setting.name.includes('.') && !ordinary.has(setting.name.toLowerCase()))
        throw new Error('only a superuser may set it');
      await apply(client, { database, setting });
      taken.push(label);
    } catch (error) {
      not.push(`${label} (${describeError(error)})`);
    }
  }
  if (role !== null) await client.query('reset role');
  return [
    ...(taken.length === 0 ? [] : [note('settings', `taken over from ${from}: ${taken.join(', ')}`)]),
    ...(not.length === 0 ? [] : [note('settings', `not taken over from ${from}: ${not.join(', ')}`)]),
  ];
}

/** The settings that every role may have for itself, in lower case. */
export async function readOrdinarySettings(client: Client): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ name: string }>(
    "select lower(name) as name from pg_settings where context = 'user'",
  );
  return new Set(rows.map(({ name }) => name));
}

async function apply(
  client: Client,
  { database, setting }: { readonly database: string; readonly setting: DatabaseSetting },
): Promise<void> {
  const { role, name, value } = setting;
  const whose =
    role === null
      ? `database ${escapeIdentifier(database)}`
      : `role ${escapeIdentifier(role)} in database ${escapeIdentifier(database)}`;
  const parameter = name.split('.').map(escapeIdentifier).join('.');
  if (value.kind === 'words') {
    await client.query(`alter ${whose} set ${parameter} to ${value.sql}`);
    return;
  }
  // Quoted as a whole, a list such as a search_path would become one word.
  await client.query('begin');
  try {
    await client.query('select set_config($1, $2, true)', [name, value.text]);
    await client.query(`alter ${whose} set ${parameter} from current`);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/** The schemas in which the application must find its tables without naming them; none when that cannot be told. */
export function neededSchemas({ database }: Pick<Manifest, 'database'>): readonly string[] {
  const tables = Object.keys(database.rows).map(parseName);
  const ofRails = tables.find(({ table }) => table === 'schema_migrations');
  if (ofRails !== undefined) return [ofRails.schema];
  const schemas = [...new Set(tables.map(({ schema }) => schema))];
  return schemas.length === 1 ? schemas : [];
}

/** Has the role find these schemas in the database, where it would not. Says what it did. */
export async function ensureSearchPath(
  client: Client,
  options: { readonly database: string; readonly role: string; readonly needed: readonly string[] },
): Promise<readonly CheckResult[]> {
  const { database, role, needed } = options;
  const { rows } = await client.query<{ path: string; of_role: boolean }>(
    `with settings as (
       select setrole as role, setdatabase as db, substr(line, length('search_path=') + 1) as path
         from pg_db_role_setting, unnest(setconfig) line where line like 'search\\_path=%')
     select coalesce(
              (select path from settings where role = r.oid and db = d.oid),
              (select path from settings where role = r.oid and db = 0),
              (select path from settings where role = 0 and db = d.oid),
              (select boot_val from pg_settings where name = 'search_path')) as path,
            exists (select from settings where role = r.oid) as of_role
       from pg_roles r, pg_database d where r.rolname = $1 and d.datname = $2`,
    [role, database],
  );
  const [row] = rows;
  if (row === undefined) return [];
  const found = await client.query<{ name: string }>(
    `select trim(both '"' from replace(trim(name), '""', '"')) as name from regexp_split_to_table($1, ',') name`,
    [row.path],
  );
  const visible = new Set(found.rows.map(({ name }) => (name === '$user' ? role : name)));
  const lacking = needed.filter((schema) => !visible.has(schema));
  if (lacking.length === 0) return [];
  const path = [...needed, ...(needed.includes('public') ? [] : ['public'])].map(escapeIdentifier).join(', ');
  const whose = row.of_role
    ? `role ${escapeIdentifier(role)} in database ${escapeIdentifier(database)}`
    : `database ${escapeIdentifier(database)}`;
  await client.query(`alter ${whose} set search_path = ${path}`);
  return [
    note(
      'search path',
      `set to ${path} for this database: without it Mastodon would not find its tables in ${lacking.join(', ')}`,
    ),
  ];
}

/** `schema.table` of a manifest, taken apart. */
function parseName(name: string): { readonly schema: string; readonly table: string } {
  const [, schema = '', table = ''] = /^("(?:[^"]|"")*"|[^.]*)\.(.*)$/s.exec(name) ?? [];
  return { schema: unquoted(schema), table: unquoted(table) };
}
