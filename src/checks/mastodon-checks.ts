// Mastodon's own conditions: its schema's version, its ids, its newest post. A database that is no Mastodon is said to be none.

import { escapeIdentifier, type Client } from 'pg';
import { findMastodon, futurePosts, ownPosts } from '../mastodon/mastodon-tables.ts';
import { failed, note, ok, type CheckResult } from './check.ts';
import type { Source } from './source.ts';

/** Runs them. */
export async function checkMastodon(
  client: Client,
  expected: { readonly schemaVersion: string | null; readonly dataAt: Date; readonly source: Source },
): Promise<readonly CheckResult[]> {
  const found = await findMastodon(client);
  if (expected.schemaVersion === null) {
    return [note('Mastodon', 'this is no Mastodon database: only the general checks were made')];
  }
  if (found === null) {
    return [
      failed('Mastodon', {
        detail: 'the tables of Mastodon did not come back',
        remedy: 'Run a new backup and drill again.',
      }),
    ];
  }
  return [
    await checkSchemaVersion(client, expected.schemaVersion),
    await checkTimestampIds(client, found.schema),
    await checkNewestStatus(client, { ...expected, schema: found.schema }),
  ];
}

/** The schema's version is the manifest's. */
export async function checkSchemaVersion(client: Client, expected: string | null): Promise<CheckResult> {
  const found = await findMastodon(client);
  const version = found?.schemaVersion ?? null;
  const release = found === null || found.release === null ? '' : `, Mastodon ${found.release}`;
  if (version === expected) return ok('schema', `version ${version ?? 'none'}${release}`);
  return failed('schema', {
    detail: `its version is ${version ?? 'none'}, the manifest says ${expected ?? 'none'}`,
    remedy: 'Run a new backup and drill again.',
  });
}

// The last 16 bits come round within a millisecond, so one id a few milliseconds.
async function checkTimestampIds(client: Client, schema: string): Promise<CheckResult> {
  const { rows: found } = await client.query<{ table: string }>(
    `select t.relname as table from pg_class t join pg_attribute a on a.attrelid = t.oid and a.attname = 'id'
       join pg_attrdef f on f.adrelid = t.oid and f.adnum = a.attnum
      where t.relnamespace = $1::regnamespace and pg_get_expr(f.adbin, f.adrelid) like '%timestamp_id(%' order by 1`,
    [escapeIdentifier(schema)],
  );
  const tables = found.map(({ table }) => table);
  // A default without its function would not have come back.
  if (tables.length === 0) return note('ids', 'no table takes its ids from timestamp_id, as in the source');
  const wrong: string[] = [];
  await client.query('begin');
  try {
    // The function finds its sequences by the search path.
    await client.query(`set local search_path to ${escapeIdentifier(schema)}`);
    for (const table of tables) {
      const ids: bigint[] = [];
      for (let index = 0; index < 3; index += 1) {
        const { rows } = await client.query<{ id: string }>(
          'select timestamp_id($1) as id from (select pg_sleep(0.003)) pause',
          [table],
        );
        ids.push(BigInt(rows[0]?.id ?? 0));
      }
      const ascending = ids.every((id, index) => index === 0 || id > (ids[index - 1] ?? 0n));
      if (!ascending) wrong.push(`${table}: ${ids.join(', ')}`);
    }
  } finally {
    await client.query('rollback');
  }
  if (wrong.length === 0) return ok('ids', `timestamp_id gives ascending ids for ${tables.join(', ')}`);
  return failed('ids', {
    detail: `timestamp_id does not ascend: ${wrong.join('; ')}`,
    remedy: 'Run a new backup and drill again.',
  });
}

// Posts of other servers carry their servers' clocks; ours cannot be newer than the snapshot, unless they were so before.
async function checkNewestStatus(
  client: Client,
  { dataAt, schema, source }: { readonly dataAt: Date; readonly schema: string; readonly source: Source },
): Promise<CheckResult> {
  const { rows } = await client.query<{ newest: string | null }>(
    `select to_char(max(created_at), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as newest
       from ${escapeIdentifier(schema)}.statuses where ${await ownPosts(client, schema)}`,
  );
  const newest = rows[0]?.newest ?? null;
  if (newest === null) return note('newest post', 'there is no post of this instance');
  if (Date.parse(newest) <= dataAt.getTime()) return ok('newest post', `of ${newest}, not after the snapshot`);
  const remedy = 'Look at the clocks of the database and the web containers.';
  const detail = `the newest post is of ${newest}, after the snapshot of ${dataAt.toISOString()}`;
  const withoutValues = `the newest post is dated after the snapshot of ${dataAt.toISOString()}`;
  if (source.had(futurePosts, `${schema}.statuses`)) {
    return note('newest post', `${detail}, as in the source`, {
      detailWithoutValues: `${withoutValues}, as in the source`,
      remedy,
    });
  }
  return failed('newest post', { detail, detailWithoutValues: withoutValues, remedy });
}
