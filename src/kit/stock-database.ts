// The commands that make a database of a snapshot that was fetched, with nothing but stock tools, and compare it with its manifest. They
// follow those of stock-objects.ts in the same shell, and share with them WORK, MANIFEST, OBJECT and `pg`; a test runs every one of them.

import { shellQuote } from './shell-word.ts';
import { decodeObject, type StockEncoding } from './stock-objects.ts';

/** What a restored database is called, and what is special about the dump. */
export interface StockDatabase {
  readonly name: string;
  readonly role: string;
  readonly encoding: string;
  /** How it sorts and compares; null where nobody knows it. */
  readonly locale: StockLocale | null;
  /** Extensions to create first; the schema is null where nobody knows it. */
  readonly extensions: readonly { readonly name: string; readonly schema: string | null }[];
}

/** How a database sorts and compares, as its manifest says it. */
export interface StockLocale {
  readonly collation: string;
  readonly ctype: string;
  readonly provider: 'libc' | 'icu' | 'builtin';
  readonly name: string | null;
}

/** `pg PROGRAM …` runs a PostgreSQL client inside the service `db` of Mastodon's compose file. */
export const clientsInCompose = 'pg() { docker compose exec -T -e PGUSER=postgres db "$@"; }';

/** The same on a server that this machine has of Debian's packages, by root, who has no login of its own there. */
export const clientsOfServer = 'pg() { (cd / && runuser -u postgres -- "$@"); }';

/** The same with the clients of this machine. */
export const clientsHere = 'pg() { "$@"; }';

// With an equals sign, or like an address, a bare name would be taken for a connection string.
function connectionName(name: string): string {
  return /=|^postgres(?:ql)?:/.test(name) ? `dbname='${name.replaceAll(/[\\']/g, String.raw`\$&`)}'` : name;
}

// A name that begins with a hyphen is no option.
function argument(name: string): string {
  return `${name.startsWith('-') ? '-- ' : ''}${shellQuote(name)}`;
}

/** Where a database of the server itself, in which Mastodon's wizard under Docker puts everything, is moved. */
export const wizardDatabase = { name: 'postgres', aside: 'postgres_before' } as const;

/** Creates role and database, restores OBJECT into it and has the planner's statistics made. */
export function restoreDatabase(database: StockDatabase, encoding: StockEncoding): readonly string[] {
  const role = shellQuote(database.role);
  const inside = `-d ${shellQuote(connectionName(database.name))}`;
  const roleExists = sqlCommand(`select 1 from pg_roles where rolname = '${database.role.replaceAll("'", "''")}'`);
  const isWizards = database.name === wizardDatabase.name;
  const server = isWizards ? 'template1' : 'postgres';
  const move = sqlCommand(`alter database ${wizardDatabase.name} rename to ${wizardDatabase.aside}`);
  // /dev/null: `docker compose exec -T` would swallow what is pasted behind it.
  return [
    `pg psql -d ${server} -tAc ${roleExists} < /dev/null | grep -q 1 || pg createuser ${argument(database.role)} < /dev/null`,
    ...(isWizards ? [`pg psql -d ${server} -c ${move} < /dev/null`] : []),
    createDatabase(database, { server, isWizards }),
    ...extensionStatements(database).map((sql) => `pg psql ${inside} -c ${sqlCommand(sql)} < /dev/null`),
    `${decodeObject(encoding)} | pg sh -c ${shellQuote(listEntries(database))}`,
    `${decodeObject(encoding)} | pg pg_restore --exit-on-error --no-owner --no-privileges --role=${role} -L ${listFile} ${inside}`,
    `pg vacuumdb --analyze-only ${inside} < /dev/null`,
  ];
}

// In the collation of the source; a server that lacks it gets the one that every server has, and only sorting differs.
function createDatabase(
  { name, role, encoding, locale }: StockDatabase,
  { server, isWizards }: { readonly server: string; readonly isWizards: boolean },
): string {
  const words = localeArguments(locale);
  const create = (sorting: string): string =>
    `pg createdb${isWizards ? ` --maintenance-db=${server}` : ''} -T template0 -E ${shellQuote(encoding)}${sorting} -O ${shellQuote(role)} ${argument(name)} < /dev/null`;
  const usual = ` --locale=${everywhere}`;
  return words === '' || words === usual ? create(words) : `{ ${create(words)} || ${create(usual)}; }`;
}

const everywhere = 'C.UTF-8';

function localeArguments(locale: StockLocale | null): string {
  if (locale === null) return '';
  const { collation, ctype, provider, name } = locale;
  const libc =
    collation === ctype
      ? ` --locale=${shellQuote(collation)}`
      : ` --lc-collate=${shellQuote(collation)} --lc-ctype=${shellQuote(ctype)}`;
  if (provider === 'libc' || name === null) return libc;
  return `${libc} --locale-provider=${provider} --${provider}-locale=${shellQuote(name)}`;
}

const listFile = '/tmp/restore.list';

/** Schemas that the archive would create, after the extensions in them had to be there. */
function extensionSchemas({ extensions }: StockDatabase): readonly string[] {
  const schemas = extensions.map(({ schema }) => schema ?? 'public');
  return [...new Set(schemas.filter((schema) => schema !== 'public' && schema !== 'pg_catalog'))];
}

function extensionStatements(database: StockDatabase): readonly string[] {
  return [
    ...extensionSchemas(database).map(
      (schema) => `create schema if not exists ${sqlName(schema)} authorization ${sqlName(database.role)}`,
    ),
    ...database.extensions.map(
      ({ name, schema }) =>
        `create extension if not exists ${sqlName(name)}${schema === null ? '' : ` with schema ${sqlName(schema)}`} cascade`,
    ),
  ];
}

// What is there already, and what Mastodon's role may not create.
function listEntries(database: StockDatabase): string {
  const schemas = extensionSchemas(database).map(
    (schema) => `SCHEMA - ${schema.replaceAll(/[^\w ]/g, String.raw`\$&`)}`,
  );
  const kinds = [
    'EXTENSION',
    'COMMENT - EXTENSION',
    'COMMENT - SCHEMA',
    'EVENT TRIGGER',
    'PUBLICATION',
    'SUBSCRIPTION',
  ];
  const pattern = `^[0-9]+; [0-9]+ [0-9]+ (${[...kinds, ...schemas].join('|')}) `;
  return `pg_restore -l | grep -vE '${pattern.replaceAll("'", String.raw`'\''`)}' > ${listFile}`;
}

function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * Prints every table whose rows are not as many as the manifest says, and fails: nothing, when all is well. Whoever may write the
 * bucket names those tables: the manifest is data to psql, the server quotes each name, and nothing is read on when that goes wrong.
 */
export function compareRows({ name }: Pick<StockDatabase, 'name'>): readonly string[] {
  return [
    `DIFFERENT=$(${questionsOfRows()} | ${asking} -d ${shellQuote(connectionName(name))})`,
    `{ test -z "$DIFFERENT" || ! echo "$DIFFERENT"; }`,
  ];
}

/** `psql` that prints values alone and stops at the first error. */
export const asking = 'pg psql -qXAt -v ON_ERROR_STOP=1';

/** Prints what psql is asked, for every table of the manifest: whether it has as many rows. */
export function questionsOfRows(): string {
  // As `database/archive-reader.ts` writes a name: in double quotes where it has a dot or one of these.
  const part = String.raw`("(?:[^"]|"")*"|[^."]+)`;
  const plain = (which: 1 | 2): string =>
    String.raw`replace(regexp_replace(m[${which}], $$\A"(.*)"\Z$$, $$\1$$), $$""$$, $$"$$)`;
  const count = '$$select %1$L, count(*), %2$s from %3$I.%4$I having count(*) <> %2$s $$';
  const missing = '$$select %1$L, $m$missing$m$, %2$s $$';
  const sql = String.raw`select format(case when to_regclass(format($$%I.%I$$, s, t)) is null then ${missing} else ${count} end, key, value::bigint, s, t) from kit, json_each_text(manifest::json->$$database$$->$$rows$$), regexp_matches(key, $$\A${part}\.${part}\Z$$) m, lateral (select ${plain(1)} s, ${plain(2)} t) n where manifest <> $$$$ \gexec`;
  return String.raw`{ printf 'create temp table kit (manifest text);\ncopy kit from stdin;\n'; tr -d '\n' < "$FROM/$MANIFEST" | sed 's/\\/\\\\/g'; printf '\n\\.\n%s\n' '${sql}'; }`;
}

/** How far sequences are moved ahead: more than any instance hands out between two backups. */
export const sequencesAhead = 1_000_000;

/** Moves every sequence ahead, so that no id comes again that other servers have seen since the backup; prints how many. */
export function moveSequences({ name }: Pick<StockDatabase, 'name'>): string {
  return `${asking} -d ${shellQuote(connectionName(name))} -c "${moveAllSequences()}" < /dev/null`;
}

/** The statement that does it, without a character that means anything between double quotes. */
export function moveAllSequences(): string {
  const sequence = '(quote_ident(schemaname) || chr(46) || quote_ident(sequencename))::regclass';
  return `select count(setval(${sequence}, last_value + ${sequencesAhead})) from pg_sequences where last_value <= max_value - ${sequencesAhead} and increment_by > 0 and not cycle`;
}

// In double quotes where that leaves the SQL as one would write it.
function sqlCommand(sql: string): string {
  return /^[\w '=]+$/.test(sql) ? `"${sql}"` : shellQuote(sql);
}
