// What the manifest and the plan must know of a database before it is dumped: asked once, over our own connection.

import type { Client } from 'pg';
import type { AppError } from '../errors.ts';
import { refusedQuery } from './damage.ts';

/** How text sorts and compares. */
export interface DatabaseLocale {
  /** LC_COLLATE. */
  readonly collation: string;
  /** LC_CTYPE: which characters are letters, and their case. */
  readonly ctype: string;
  /** PostgreSQL 14 has libc alone. */
  readonly provider: 'libc' | 'icu' | 'builtin';
  /** The provider's own locale; null with libc. */
  readonly name: string | null;
}

/** An extension, and the schema its objects are in. */
export interface DatabaseExtension {
  readonly name: string;
  readonly version: string;
  readonly schema: string;
}

/** A database and its server. */
export interface DatabaseFacts {
  readonly name: string;
  /** Major version, such as 14. */
  readonly serverMajor: number;
  /** As the server says it, such as `14.23 (Debian 14.23-1)`. */
  readonly serverVersion: string;
  /** Tells one cluster from its copies; null when this role may not ask. */
  readonly systemIdentifier: string | null;
  /** pg_database_size, in bytes. */
  readonly sizeBytes: number;
  readonly encoding: string;
  readonly locale: DatabaseLocale;
  /** In the order of their creation, in which one that needs another comes after it. */
  readonly extensions: readonly DatabaseExtension[];
  /** Ordinary and partitioned tables outside the system schemas. */
  readonly tableCount: number;
}

/** Asks the server. Throws AppError `database`. */
export async function readDatabaseFacts(client: Client): Promise<DatabaseFacts> {
  try {
    const { rows } = await client.query<Record<string, string>>(factsQuery);
    const row = rows[0] ?? {};
    const number = Number(row['version_number']);
    return {
      name: row['name'] ?? '',
      serverMajor: Math.floor(number / 10_000),
      serverVersion: row['version'] ?? '',
      systemIdentifier: await readSystemIdentifier(client),
      sizeBytes: Number(row['size']),
      encoding: row['encoding'] ?? '',
      locale: {
        collation: row['collation'] ?? '',
        ctype: row['ctype'] ?? '',
        provider: providers[row['provider'] ?? ''] ?? 'libc',
        name: row['locale'] ?? null,
      },
      extensions: JSON.parse(row['extensions'] ?? '[]') as DatabaseExtension[],
      tableCount: Number(row['tables']),
    };
  } catch (error) {
    throw unanswered(error, 'The database cannot be asked about itself');
  }
}

/** What the server's clock says. Throws AppError `database`. */
export async function readServerClock(client: Client): Promise<Date> {
  try {
    const { rows } = await client.query<{ now: number }>('select extract(epoch from clock_timestamp())::float8 as now');
    return new Date((rows[0]?.now ?? 0) * 1_000);
  } catch (error) {
    throw unanswered(error, 'The database does not say what time it is');
  }
}

function unanswered(error: unknown, message: string): AppError {
  return refusedQuery(error, { message, hint: 'Check that the database accepts ordinary queries from this role.' });
}

// datlocprovider of pg_database.
const providers: Readonly<Record<string, DatabaseLocale['provider']>> = { c: 'libc', i: 'icu', b: 'builtin' };

// Columns that not every version has are asked for as JSON.
const factsQuery = `
  select current_database()::text as name,
         current_setting('server_version_num') as version_number,
         current_setting('server_version') as version,
         pg_database_size(d.oid)::text as size,
         pg_encoding_to_char(d.encoding)::text as encoding,
         d.datcollate::text as collation,
         d.datctype::text as ctype,
         to_jsonb(d) ->> 'datlocprovider' as provider,
         coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale,
         (select coalesce(json_agg(json_build_object('name', extname, 'version', extversion, 'schema', nspname) order by e.oid), '[]')
            from pg_extension e join pg_namespace n on n.oid = extnamespace)::text as extensions,
         (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'p') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema')::text as tables
    from pg_database d where d.datname = current_database()`;

async function readSystemIdentifier(client: Client): Promise<string | null> {
  try {
    const { rows } = await client.query<{ id: string }>(
      'select system_identifier::text as id from pg_control_system()',
    );
    return rows[0]?.id ?? null;
  } catch {
    return null;
  }
}
