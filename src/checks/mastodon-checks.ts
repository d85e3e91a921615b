// Mastodon's own conditions: its schema's version, its ids, its newest post. A database that is no Mastodon is said to be none.

import type { Client } from 'pg';
import { failed, note, ok, type CheckResult } from './check.ts';

/** Tables whose ids come from `timestamp_id`. */
const idTables = ['accounts', 'statuses', 'media_attachments'] as const;

/** Runs them. */
export async function checkMastodon(
  client: Client,
  expected: { readonly schemaVersion: string | null; readonly dataAt: Date },
): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ found: boolean }>(
    "select to_regclass('public.schema_migrations') is not null and to_regclass('public.statuses') is not null as found",
  );
  if (rows[0]?.found !== true) {
    const detail = 'this is no Mastodon database: only the general checks were made';
    return expected.schemaVersion === null
      ? [note('Mastodon', detail)]
      : [
          failed('Mastodon', {
            detail: 'the tables of Mastodon did not come back',
            remedy: 'Run a new backup and drill again.',
          }),
        ];
  }
  return [
    await checkSchemaVersion(client, expected.schemaVersion),
    await checkTimestampIds(client),
    await checkNewestStatus(client, expected.dataAt),
  ];
}

/** The schema's version is the manifest's. */
export async function checkSchemaVersion(client: Client, expected: string | null): Promise<CheckResult> {
  const { rows } = await client.query<{ version: string | null }>(
    'select max(version) as version from public.schema_migrations',
  );
  const version = rows[0]?.version ?? null;
  if (version === expected) return ok('schema', `version ${version ?? 'none'}`);
  return failed('schema', {
    detail: `its version is ${version ?? 'none'}, the manifest says ${expected ?? 'none'}`,
    remedy: 'Run a new backup and drill again.',
  });
}

// The last 16 bits come round within a millisecond, so one id a few milliseconds.
async function checkTimestampIds(client: Client): Promise<CheckResult> {
  const { rows: found } = await client.query<{ there: boolean }>(
    "select to_regprocedure('public.timestamp_id(text)') is not null as there",
  );
  if (found[0]?.there !== true) {
    return failed('ids', {
      detail: 'the function timestamp_id is missing',
      remedy: 'Run db:migrate, then a new backup.',
    });
  }
  const wrong: string[] = [];
  await client.query('begin');
  try {
    for (const table of idTables) {
      const ids: bigint[] = [];
      for (let index = 0; index < 3; index += 1) {
        const { rows } = await client.query<{ id: string }>(
          'select public.timestamp_id($1) as id from (select pg_sleep(0.003)) pause',
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
  if (wrong.length === 0) return ok('ids', `timestamp_id gives ascending ids for ${idTables.join(', ')}`);
  return failed('ids', {
    detail: `timestamp_id does not ascend: ${wrong.join('; ')}`,
    remedy: 'Run a new backup and drill again.',
  });
}

// Posts of other servers carry their servers' clocks; ours cannot be newer than the snapshot.
async function checkNewestStatus(client: Client, dataAt: Date): Promise<CheckResult> {
  const { rows: columns } = await client.query<{ name: string }>(
    `select attname as name from pg_attribute where attrelid = 'public.statuses'::regclass and attname in ('local', 'uri') and attnum > 0 and not attisdropped`,
  );
  const names = new Set(columns.map(({ name }) => name));
  const ours = names.has('local') ? 'coalesce(local, true)' : names.has('uri') ? 'uri is null' : 'true';
  const { rows } = await client.query<{ newest: string | null }>(
    `select to_char(max(created_at), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as newest from public.statuses where ${ours}`,
  );
  const newest = rows[0]?.newest ?? null;
  if (newest === null) return note('newest post', 'there is no post of this instance');
  if (Date.parse(newest) <= dataAt.getTime()) return ok('newest post', `of ${newest}, not after the snapshot`);
  return failed('newest post', {
    detail: `the newest post is of ${newest}, after the snapshot of ${dataAt.toISOString()}`,
    remedy: 'Look at the clocks of the database and the web containers.',
  });
}
