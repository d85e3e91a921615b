// Nobody may write into the old database between the last dump and the switch: what is written then is lost without a sound.
// Who is connected is waited for and named; and what was written all the same is found by the server's own counters, also by
// somebody who came and went between two looks.

import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import { applicationName } from '../database/connection.ts';
import { AppError } from '../errors.ts';
import { readVisitors } from '../restore/target.ts';
import { pause } from '../stream/patience.ts';
import { formatSpan } from '../text/format.ts';

const pollMs = 1_000;
/** Counters of a session that ended reach the view within a second; PostgreSQL's monitoring chapter. */
const statisticsDelayMs = 1_500;

/** Waits until nobody but us is in `database`. @throws AppError `usage` after `limitMs`, with who is left. */
export async function waitUntilNobodyIsIn(
  client: Client,
  {
    database,
    limitMs,
    signal,
    onWaiting,
  }: {
    readonly database: string;
    readonly limitMs: number;
    readonly signal: AbortSignal;
    readonly onWaiting: (visitors: readonly string[]) => void;
  },
): Promise<void> {
  const endsAt = performance.now() + limitMs;
  let shown = '';
  for (;;) {
    signal.throwIfAborted();
    // We ourselves only read, be it a backup by the daemon.
    const visitors = (await readVisitors(client, database)).filter((one) => !one.startsWith(applicationName));
    if (visitors.length === 0) return;
    if (performance.now() >= endsAt) {
      throw new AppError(
        'usage',
        `Somebody is still connected to '${database}' after ${formatSpan(limitMs)}: ${visitors.join(', ')}`,
        { hint: 'Stop Mastodon, then run this again: docker compose stop web streaming sidekiq.' },
      );
    }
    if (shown !== visitors.join(', ')) onWaiting(visitors);
    shown = visitors.join(', ');
    await pause(pollMs, signal);
  }
}

/**
 * What has been written into the user's tables so far, as one short text: it is another one after any row was written, any
 * table made, dropped, emptied or rewritten, and any number drawn from a sequence. Also after a crash, which forgets the counters: then somebody
 * has to look again. `client` is in the database.
 */
export async function readWrites(client: Client, { signal }: { readonly signal: AbortSignal }): Promise<string> {
  await pause(statisticsDelayMs, signal);
  const { rows: tables } = await client.query<Record<string, string>>(
    `select c.oid, c.relfilenode, pg_stat_get_tuples_inserted(c.oid) as inserted, pg_stat_get_tuples_updated(c.oid) as updated,
            pg_stat_get_tuples_deleted(c.oid) as deleted
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'm') and n.nspname !~ '^pg_(?!toast)' and n.nspname <> 'information_schema' order by 1`,
  );
  const { rows: sequences } = await client.query<Record<string, string>>(
    'select schemaname, sequencename, last_value from pg_sequences order by 1, 2',
  );
  // Another moment after a crash, and the same one after a restart.
  const { rows: resets } = await client.query<{ at: string | null }>(
    'select stats_reset::text as at from pg_stat_database where datname = current_database()',
  );
  return createHash('sha256')
    .update(JSON.stringify([tables.map(Object.values), sequences.map(Object.values), resets[0]?.at ?? null]))
    .digest('hex')
    .slice(0, 32);
}
