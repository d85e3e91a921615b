// Creating the database that a snapshot is restored into: from template0, with the source's encoding and collation, so that
// text sorts and compares as it did.

import { escapeIdentifier, escapeLiteral, type Client } from 'pg';

/** Creates a database. Rejects with the server's error, such as a locale that does not exist there. */
export async function createDatabase(
  admin: Client,
  { name, encoding, locale }: { readonly name: string; readonly encoding: string; readonly locale: string },
): Promise<void> {
  await admin.query(
    `create database ${escapeIdentifier(name)} template template0 encoding ${escapeLiteral(encoding)}
       lc_collate ${escapeLiteral(locale)} lc_ctype ${escapeLiteral(locale)}`,
  );
}

/** Which of these extensions the server does not have. */
export async function missingExtensions(client: Client, extensions: readonly string[]): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>('select name from pg_available_extensions');
  const there = new Set(rows.map(({ name }) => name));
  return extensions.filter((extension) => !there.has(extension));
}
