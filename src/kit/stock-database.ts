// The commands that make a database of a snapshot that was fetched, with nothing but stock tools, and compare it with its manifest. They
// follow those of stock-objects.ts in the same shell, and share with them WORK, MANIFEST, OBJECT and `pg`; a test runs every one of them.

import type { DatabaseLocale } from '../database/server.ts';
import { shellQuote } from './shell-word.ts';
import { decodeObject, type StockEncoding } from './stock-objects.ts';

/** What a restored database is called, and what is special about the dump. */
export interface StockDatabase {
  readonly name: string;
  readonly role: string;
  readonly encoding: string;
  /** How it sorts and compares; null where nobody knows it. */
  readonly locale: DatabaseLocale | null;
  /** Extensions to create first; the schema is null where nobody knows it. */
  readonly extensions: readonly { readonly name: string; readonly schema: string | null }[];
}

/** `pg PROGRAM …` runs a PostgreSQL client inside the service `db` of Mastodon's compose file. */
export const clientsInCompose = 'HERE=; pg() { docker compose exec -T -e PGUSER=postgres db "$@"; }';

/** The same on a server that this machine has of Debian's packages, by root, who has no login of its own there; others come by TCP. */
export const clientsOfServer = 'HERE=PGHOST=127.0.0.1; pg() { (cd / && runuser -u postgres -- "$@"); }';

/** The same with the clients of this machine. */
export const clientsHere = 'HERE=; pg() { "$@"; }';

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

// What was made of the same name in a database is never found before the server's own, and no notice is printed.
const careful = `PGOPTIONS='-c search_path=pg_catalog -c client_min_messages=error'`;

/** `ask` is psql of the superuser, which prints values alone and stops at the first error; `login` runs a client as LOGIN. */
export const defineSessions: readonly string[] = [
  `ask() { pg env ${careful} psql -qXAt -v ON_ERROR_STOP=1 "$@"; }`,
  // Its password is in a file, for it must not stand in a list of processes.
  `login() { pg env -u PGPASSWORD PGUSER="$LOGIN" PGPASSFILE="$PASSFILE" ${careful} $HERE "$@"; }`,
];

/** The remark by which a restore by this program knows such a login, and drops it where it was left. */
export const loginMark = 'mastodon-backup: restoring';

/** Kinds of entries that are made by a superuser, or not at all; as parts of a pattern. */
export const notRestored = [
  'EXTENSION',
  'COMMENT - EXTENSION',
  'COMMENT - SCHEMA',
  'EVENT TRIGGER',
  'PUBLICATION',
  'SUBSCRIPTION',
] as const;

/**
 * Creates role and database, restores OBJECT into it and has the planner's statistics made. A dump is code of whoever could write into the
 * database: it runs in a login that has no rights, for `reset role` undoes a mere --role, and what it made is handed over at the end.
 */
export function restoreDatabase(database: StockDatabase, encoding: StockEncoding): readonly string[] {
  const inside = `-d ${shellQuote(connectionName(database.name))}`;
  const roleExists = sqlCommand(`select 1 from pg_roles where rolname = '${database.role.replaceAll("'", "''")}'`);
  const isWizards = database.name === wizardDatabase.name;
  const server = isWizards ? 'template1' : 'postgres';
  const move = sqlCommand(`alter database ${wizardDatabase.name} rename to ${wizardDatabase.aside}`);
  const temporary = '$(pg mktemp /tmp/restore.XXXXXX < /dev/null)';
  // /dev/null: `docker compose exec -T` would swallow what is pasted behind it.
  return [
    `pg psql -d ${server} -tAc ${roleExists} < /dev/null | grep -q 1 || pg createuser ${argument(database.role)} < /dev/null`,
    ...(isWizards ? [`pg psql -d ${server} -c ${move} < /dev/null`] : []),
    'random() { tr -dc 0-9a-f < /dev/urandom | head -c $1; }',
    `LOGIN=mastodon_backup_$(random 12) PASSWORD=$(random 40) PASSFILE=${temporary} LIST=${temporary}`,
    'echo "*:*:*:*:$PASSWORD" | pg sh -c "cat > $PASSFILE"',
    `echo "create role $LOGIN login password '$PASSWORD'; comment on role $LOGIN is '${loginMark}'" | ask -d template1`,
    createDatabase(database, { server, isWizards }),
    ...extensionStatements(database).map((sql) => `pg psql ${inside} -c ${sql} < /dev/null`),
    `${decodeObject(encoding)} | pg sh -c ${shellQuote(listEntries(database))} "$LIST"`,
    `${decodeObject(encoding)} | login pg_restore --exit-on-error --no-owner --no-privileges -L "$LIST" ${inside}`,
    `login psql -qX ${inside} -c analyze < /dev/null`,
    `ask ${inside} -c "reassign owned by $LOGIN to "${shellQuote(sqlName(database.role))} -c "drop owned by $LOGIN; drop role $LOGIN" < /dev/null`,
    'pg rm -f "$LIST" "$PASSFILE" < /dev/null',
  ];
}

// In the collation of the source; a server that lacks it gets the one that every server has, and only sorting differs.
function createDatabase(
  { name, encoding, locale }: StockDatabase,
  { server, isWizards }: { readonly server: string; readonly isWizards: boolean },
): string {
  const words = localeArguments(locale);
  const create = (sorting: string): string =>
    `pg createdb${isWizards ? ` --maintenance-db=${server}` : ''} -T template0 -E ${shellQuote(encoding)}${sorting} -O "$LOGIN" ${argument(name)} < /dev/null`;
  const usual = ` --locale=${everywhere}`;
  return words === '' || words === usual ? create(words) : `{ ${create(words)} || ${create(usual)}; }`;
}

const everywhere = 'C.UTF-8';

function localeArguments(locale: DatabaseLocale | null): string {
  if (locale === null) return '';
  const { collation, ctype, provider, name } = locale;
  const libc =
    collation === ctype
      ? ` --locale=${shellQuote(collation)}`
      : ` --lc-collate=${shellQuote(collation)} --lc-ctype=${shellQuote(ctype)}`;
  if (provider === 'libc' || name === null) return libc;
  return `${libc} --locale-provider=${provider} --${provider}-locale=${shellQuote(name)}`;
}

/** Schemas that the archive would create, after the extensions in them had to be there. */
function extensionSchemas({ extensions }: StockDatabase): readonly string[] {
  const schemas = extensions.map(({ schema }) => schema ?? 'public');
  return [...new Set(schemas.filter((schema) => schema !== 'public' && schema !== 'pg_catalog'))];
}

// As words of a shell; a superuser's, while nothing of the dump is there.
function extensionStatements(database: StockDatabase): readonly string[] {
  return [
    ...extensionSchemas(database).map(
      (schema) => `${shellQuote(`create schema if not exists ${sqlName(schema)} authorization `)}"$LOGIN"`,
    ),
    ...database.extensions.map(({ name, schema }) =>
      sqlCommand(
        `create extension if not exists ${sqlName(name)}${schema === null ? '' : ` with schema ${sqlName(schema)}`} cascade`,
      ),
    ),
  ];
}

// What is there already, and what Mastodon's role may not create. The list has a name that nobody can have taken before.
function listEntries(database: StockDatabase): string {
  const schemas = extensionSchemas(database).map(
    (schema) => `SCHEMA - ${schema.replaceAll(/[^\w ]/g, String.raw`\$&`)}`,
  );
  const pattern = `^[0-9]+; [0-9]+ [0-9]+ (${[...notRestored, ...schemas].join('|')}) `;
  return `pg_restore -l | grep -vE '${pattern.replaceAll("'", String.raw`'\''`)}' > "$0"`;
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
    `DIFFERENT=$(${withManifest(compareAllRows)} | ask -d ${shellQuote(connectionName(name))})`,
    `{ test -z "$DIFFERENT" || ! echo "$DIFFERENT"; }`,
  ];
}

/** Prints for psql: the manifest as the column of a table, and what is asked of it; in that stands no single quote. */
export function withManifest(sql: string): string {
  return String.raw`{ printf 'create temp table kit (manifest text);\ncopy kit from stdin;\n'; tr -d '\n' < "$FROM/$MANIFEST" | sed 's/\\/\\\\/g'; printf '\n\\.\n%s\n' '${sql}'; }`;
}

/** Asks of every table of the manifest whether it is a table (a view would run what is in it) with as many rows. */
export const compareAllRows = ((): string => {
  // As `database/archive-reader.ts` writes a name: in double quotes where it has a dot or one of these.
  const part = String.raw`("(?:[^"]|"")*"|[^."]+)`;
  const plain = (which: 1 | 2): string =>
    String.raw`pg_catalog.replace(pg_catalog.regexp_replace(m[${which}], $$\A"(.*)"\Z$$, $$\1$$), $$""$$, $$"$$)`;
  const count = '$$select %1$L, pg_catalog.count(*), %2$s from %3$I.%4$I having pg_catalog.count(*) <> %2$s $$';
  const missing = '$$select %1$L, $m$missing$m$, %2$s $$';
  const isTable =
    'exists (select from pg_catalog.pg_class where oid = pg_catalog.to_regclass(pg_catalog.format($$%I.%I$$, s, t)) and relkind in ($$r$$, $$p$$))';
  return String.raw`select pg_catalog.format(case when ${isTable} then ${count} else ${missing} end, key, value::bigint, s, t) from pg_temp.kit, pg_catalog.json_each_text(manifest::json->$$database$$->$$rows$$), pg_catalog.regexp_matches(key, $$\A${part}\.${part}\Z$$) m, lateral (select ${plain(1)} s, ${plain(2)} t) n where manifest <> $$$$ \gexec`;
})();

/**
 * Creates the extensions of the manifest in a new database, and the schemas that they are in for its owner; prints the entries of an
 * archive that would create those schemas.
 */
export const makeExtensions = ((): string => {
  const owner =
    '(select pg_catalog.pg_get_userbyid(datdba) from pg_catalog.pg_database where datname = pg_catalog.current_database())';
  const schema = `case when not exists (select from pg_catalog.pg_namespace where nspname = e->>$$schema$$) then pg_catalog.format($$create schema if not exists %I authorization %I$$, e->>$$schema$$, ${owner}) end`;
  const extension =
    'pg_catalog.format($$create extension if not exists %I with schema %I cascade$$, e->>$$name$$, e->>$$schema$$)';
  const made =
    'select $$SCHEMA - $$ || nspname || $$ $$ from pg_catalog.pg_namespace where nspname !~ $$^(pg_|information_schema)$$';
  return String.raw`select ${schema}, ${extension} from pg_temp.kit, pg_catalog.json_array_elements(manifest::json->$$database$$->$$extensions$$) e \gexec
${made};`;
})();

/** How far sequences are moved ahead: more than any instance hands out between two backups. */
export const sequencesAhead = 1_000_000;

/** Moves every sequence ahead, so that no id comes again that other servers have seen since the backup; prints how many. */
export function moveSequences({ name }: Pick<StockDatabase, 'name'>): string {
  return `ask -d ${shellQuote(connectionName(name))} -c "${moveAllSequences}" < /dev/null`;
}

/** The statement that does it, without a character that means anything between double quotes. */
export const moveAllSequences = `select pg_catalog.count(pg_catalog.setval(pg_catalog.format('%I.%I', schemaname, sequencename)::regclass, last_value + ${sequencesAhead})) from pg_catalog.pg_sequences where last_value <= max_value - ${sequencesAhead} and increment_by > 0 and not cycle`;

// In double quotes where that leaves the SQL as one would write it.
function sqlCommand(sql: string): string {
  return /^[\w '=]+$/.test(sql) ? `"${sql}"` : shellQuote(sql);
}
