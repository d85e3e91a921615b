// The commands that bring a snapshot back with nothing but stock tools, filled in for one instance. They are pasted into one
// POSIX shell one after the other and share WORK, FROM, MANIFEST and OBJECT, `get` and `pg`; a test runs every one of them.

import type { CompressionName } from '../codec/codec.ts';
import { folders } from '../schedule/tier.ts';
import { shellQuote } from './shell-word.ts';

/** A bucket as the commands need it: no key of it is part of them. */
export interface StockBucket {
  readonly bucket: string;
  /** Null: AWS's own. */
  readonly endpoint: string | null;
  readonly region: string;
  /** Empty, or a folder with one slash at its end. */
  readonly prefix: string;
  readonly provider: 'Cloudflare' | 'AWS' | 'Other';
}

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

/** How an object is encoded. */
export interface StockEncoding {
  readonly compression: CompressionName;
  readonly encrypted: boolean;
}

/** Remembers the directory with the private key, so that the others work from anywhere. */
export const rememberDirectory = 'WORK=$PWD';

/** `get PATTERN` downloads the objects of that name into FROM, with the AWS client. */
export function getWithAws(bucket: StockBucket): readonly string[] {
  const endpoint = bucket.endpoint === null ? '' : ` --endpoint-url ${shellQuote(bucket.endpoint)}`;
  const source = shellQuote(`s3://${bucket.bucket}/${bucket.prefix}`);
  return [
    'FROM=$WORK',
    // Newer clients add checksums that R2 and older gateways refuse.
    `export AWS_DEFAULT_REGION=${shellQuote(bucket.region)} AWS_REQUEST_CHECKSUM_CALCULATION=when_required AWS_RESPONSE_CHECKSUM_VALIDATION=when_required`,
    `get() { aws${endpoint} s3 cp --recursive ${source} "$FROM" --exclude '*' --include "$1"; }`,
  ];
}

/** The same with rclone. */
export function getWithRclone(bucket: StockBucket): readonly string[] {
  const endpoint = bucket.endpoint === null ? '' : ` --s3-endpoint ${shellQuote(bucket.endpoint)}`;
  const source = shellQuote(`:s3:${bucket.bucket}/${bucket.prefix}`);
  const options = `--s3-provider ${bucket.provider} --s3-env-auth --s3-region ${shellQuote(bucket.region)}${endpoint}`;
  return ['FROM=$WORK', `get() { rclone copy ${options} ${source} "$FROM" --include "$1"; }`];
}

/** The same with curl alone, which sees the first 1,000 objects of a tier; none for a folder that needs escapes. */
export function getWithCurl(bucket: StockBucket): readonly string[] {
  if (!/^[\w./-]*$/.test(bucket.prefix)) return [];
  const address = `${bucket.endpoint ?? `https://s3.${bucket.region}.amazonaws.com`}/${bucket.bucket}`;
  const list = `"${address}?list-type=2&prefix=${encodeURIComponent(bucket.prefix)}$TIER%2F"`;
  const column = '<Key>'.length + bucket.prefix.length + 1;
  return [
    'FROM=$WORK',
    // curl 7.88 signs only for servers that do not look, unless it is told what the payload is.
    `s3() { curl -fsS -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --aws-sigv4 aws:amz:${bucket.region}:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$@"; }`,
    // Another name than ours, as one that leads out of the directory, is nobody's backup.
    `keys() { for TIER in ${folders.join(' ')}; do s3 ${list}; done | grep -o '<Key>[^<]*' | cut -c ${column}- | grep -x '[a-z]*/[0-9][0-9TZa-f-]*[.][a-z0-9.-]*'; }`,
    `get() { keys | while read -r KEY; do case $KEY in $1) s3 --create-dirs -o "$FROM/$KEY" "${address}/${bucket.prefix}$KEY" || exit 1;; esac; done; }`,
  ];
}

/** Where the backups are in a directory. */
export function useDirectory(directory: string): string {
  return `FROM=${shellQuote(directory)}`;
}

/** Downloads all manifests. */
export const getManifests = "get '*.json'";

/** Downloads the objects of the snapshot in MANIFEST. */
export const getObjects = 'get "${MANIFEST%.json}.*"';

/** Downloads all signatures of manifests. */
export const getSignatures = "get '*.json.sig'";

/** `signed` passes on those of some manifests below FROM that one of these keys has signed. */
export function checkSignatures(signers: readonly string[]): readonly string[] {
  const lines = signers.map((signer) => shellQuote(`mastodon-backup ${signer}`)).join(' ');
  const verify =
    'ssh-keygen -Y verify -f "$WORK/allowed_signers" -I mastodon-backup -n mastodon-backup -s "$FROM/$ONE.sig" < "$FROM/$ONE"';
  return [
    `printf '%s\\n' ${lines} > "$WORK/allowed_signers"`,
    `signed() { while read -r ONE; do ${verify} > /dev/null 2>&1 && echo "$ONE"; done; }`,
  ];
}

/** Shows whose signature the manifest has. */
export const showSignature =
  'ssh-keygen -Y verify -f "$WORK/allowed_signers" -I mastodon-backup -n mastodon-backup -s "$FROM/$MANIFEST.sig" < "$FROM/$MANIFEST"';

/** Sets MANIFEST to the manifest with the newest data of this instance below FROM, of those that count. */
export function findNewest(
  instance: string,
  { isSigned = false }: { readonly isSigned?: boolean } = {},
): readonly string[] {
  const mark = shellQuote(`"instance": ${JSON.stringify(instance)}`);
  const places = folders.map((folder) => `${folder}/*.json`).join(' ');
  const counting = isSigned ? ' | signed' : '';
  return [
    // A name with a space in it would be two to xargs, of which nobody has looked at the signature.
    `MANIFEST=$(cd "$FROM" && grep -lsF ${mark} ${places} | grep -x '[a-z]*/[0-9a-fTZ-]*[.]json'${counting} | xargs grep -H '"dataAt": ' | sort -t '"' -k 4 | tail -n 1 | cut -d : -f 1)`,
    'test -n "$MANIFEST"',
    'grep -E \'"(dataAt|serverVersion|clientVersion|schemaVersion)"\' "$FROM/$MANIFEST"',
  ];
}

/** Sets OBJECT to the dump. */
export const findObject = 'OBJECT=$(ls "$FROM/${MANIFEST%.json}".dump* | grep -E "dump(.xz|.zst)?(.age)?$")';

/** Whether a file in `$1` has the SHA-256 that the manifest names for it, and for no other: what cannot be read has none. */
export const isWhole =
  'SUM=$(sha256sum < "$1") && grep -A 4 -F "\\"name\\": \\"${1##*/}\\"" "$FROM/$MANIFEST" | grep -qF "\\"sha256\\": \\"${SUM%% *}\\""';

/** Sets OBJECT to the dump, and says whether it is whole; `whole FILE` says it of any part. */
export const checkObject: readonly string[] = [
  findObject,
  `whole() { { ${isWhole}; } && echo "whole: $1" || ! echo "DAMAGED: $1"; }`,
  'whole "$OBJECT"',
];

/** Writes Mastodon's settings to a file beside the others. */
export const openSecrets =
  'whole "$FROM/${MANIFEST%.json}.secrets.env.age" && (umask 077; age -d -i "$WORK/key.txt" "$FROM/${MANIFEST%.json}.secrets.env.age" > "$WORK/.env.production.restored")';

/** Unpacks the extra files into a directory beside the others. */
export const openExtra =
  'whole "$FROM/${MANIFEST%.json}.extra.tar.age" && mkdir "$WORK/extra" && age -d -i "$WORK/key.txt" "$FROM/${MANIFEST%.json}.extra.tar.age" | tar -xf - -C "$WORK/extra"';

/** The fingerprint of the private key's public half, as the kit prints it. */
export const fingerprintCommand = 'age-keygen -y key.txt | sha256sum | cut -c 1-16';

/** What turns OBJECT into the plain archive on stdout. */
export function decodeObject({ compression, encrypted }: StockEncoding): string {
  const decompress = { xz: 'xz -d', zstd: 'zstd -d --long=27', none: null }[compression];
  const first = encrypted ? 'age -d -i "$WORK/key.txt" "$OBJECT"' : null;
  if (decompress === null) return first ?? 'cat "$OBJECT"';
  return first === null ? `${decompress} < "$OBJECT"` : `${first} | ${decompress}`;
}

/** `pg PROGRAM …` runs a PostgreSQL client inside the service `db` of Mastodon's compose file. */
export const clientsInCompose = 'pg() { docker compose exec -T -e PGUSER=postgres db "$@"; }';

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
