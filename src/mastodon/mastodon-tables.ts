// Whether a database is Mastodon's, told by its tables and not by its name: other Rails applications have schema_migrations
// too, some have statuses, and none of them is to be judged as a Mastodon.

import { escapeIdentifier, type Client } from 'pg';
import { releaseOf } from './releases.ts';

/** Where Mastodon is in a database, and which one. */
export interface MastodonTables {
  /** The schema its tables are in. */
  readonly schema: string;
  /** The newest of its migrations. */
  readonly schemaVersion: string;
  /** Such as `4.5`; null when it is not known. */
  readonly release: string | null;
}

// Columns that every Mastodon since the first has, and hardly another application.
const signature = `
  select n.nspname as schema from pg_namespace n
   where n.nspname !~ '^pg_' and not exists (
     select from (values ('schema_migrations', 'version'), ('accounts', 'username'), ('accounts', 'domain'),
                         ('statuses', 'account_id'), ('statuses', 'reblog_of_id')) wanted (relation, attribute)
      where not exists (
        select from pg_class c join pg_attribute a on a.attrelid = c.oid
         where c.relnamespace = n.oid and c.relkind in ('r', 'p') and c.relname = wanted.relation
           and a.attname = wanted.attribute and not a.attisdropped))
   order by n.nspname <> 'public', n.nspname limit 1`;

/** Finds Mastodon's tables; null when there are none. Rejects as the client does. */
export async function findMastodon(client: Client): Promise<MastodonTables | null> {
  const { rows: found } = await client.query<{ schema: string }>(signature);
  const [place] = found;
  if (place === undefined) return null;
  const { rows } = await client.query<{ version: string }>(
    `select version::text as version from ${escapeIdentifier(place.schema)}.schema_migrations order by 1`,
  );
  const versions = rows.map(({ version }) => version);
  const newest = versions.at(-1);
  return newest === undefined ? null : { schema: place.schema, schemaVersion: newest, release: releaseOf(versions) };
}

/**
 * The condition under which a row of statuses is a post of this instance: `local or uri is null`. Old rows have null in
 * `local`, also those of other servers.
 */
export async function ownPosts(client: Client, schema: string): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    `select attname as name from pg_attribute
      where attrelid = $1::regclass and attname in ('local', 'uri') and attnum > 0 and not attisdropped order by 1`,
    [`${escapeIdentifier(schema)}.statuses`],
  );
  return rows.length === 0
    ? 'true'
    : `(${rows.map(({ name }) => (name === 'local' ? 'local' : 'uri is null')).join(' or ')})`;
}

/** The kind of oddity that `askFuturePosts` finds. */
export const futurePosts = 'future-posts';

/** Asks whether posts of this instance are dated after now, as a clock that ran ahead leaves them. */
export async function askFuturePosts(
  client: Client,
  { schema }: Pick<MastodonTables, 'schema'>,
): Promise<readonly { readonly name: string; readonly detail: string }[]> {
  const { rows } = await client.query<{ found: boolean }>(
    `select exists (select from ${escapeIdentifier(schema)}.statuses
                     where ${await ownPosts(client, schema)} and created_at > clock_timestamp() at time zone 'UTC') as found`,
  );
  return rows[0]?.found === true ? [{ name: `${schema}.statuses`, detail: 'posts dated after the backup' }] : [];
}
