// Creating the database that a snapshot is restored into: from template0, with the source's encoding and locale, so that text
// sorts and compares as it did.

import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import type { DatabaseLocale } from '../database/server.ts';

/** A locale of libc. */
export function libcLocale(name: string): DatabaseLocale {
  return { collation: name, ctype: name, provider: 'libc', name: null };
}

/** The locale in a few words. */
export function describeLocale({ collation, ctype, provider, name }: DatabaseLocale): string {
  const own = name === null ? '' : ` (${provider} ${name})`;
  return `'${collation}'${ctype === collation ? '' : ` with characters of '${ctype}'`}${own}`;
}

/**
 * Creates a database, ours unless `owner` is another role. Rejects with the server's error, such as a locale that it lacks. `throwAway`:
 * the server is ours and nothing of it is kept, so the template's files are copied as they are, behind a checkpoint that costs nothing
 * there, and not page by page through its log (`STRATEGY FILE_COPY`, CREATE DATABASE).
 */
export async function createDatabase(
  admin: Client,
  options: {
    readonly name: string;
    readonly encoding: string;
    readonly locale: DatabaseLocale;
    readonly owner?: string;
    readonly connectionLimit?: number;
    readonly throwAway?: boolean;
  },
): Promise<void> {
  const { name, encoding, locale, owner, connectionLimit = -1, throwAway = false } = options;
  const { rows } = await admin.query<{ num: string }>("select current_setting('server_version_num') as num");
  const own = locale.name === null ? '' : ` ${locale.provider}_locale ${escapeLiteral(locale.name)}`;
  // Before version 15 there was only libc, and only the files were copied. Left out, the provider would be template0's.
  const since15 =
    Number(rows[0]?.num) < 150_000
      ? ''
      : `locale_provider ${locale.provider}${own} ${throwAway ? 'strategy file_copy' : ''}`;
  await admin.query(
    `create database ${escapeIdentifier(name)} ${owner === undefined ? '' : `owner ${escapeIdentifier(owner)}`}
       template template0 encoding ${escapeLiteral(encoding)}
       lc_collate ${escapeLiteral(locale.collation)} lc_ctype ${escapeLiteral(locale.ctype)} ${since15} connection limit ${connectionLimit}`,
  );
}

/** Which of these extensions the server does not have. */
export async function missingExtensions(client: Client, extensions: readonly string[]): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>('select name from pg_available_extensions');
  const there = new Set(rows.map(({ name }) => name));
  return extensions.filter((extension) => !there.has(extension));
}
