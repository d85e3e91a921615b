// What a manifest says of the source besides its rows, asked in the snapshot that is dumped: which Mastodon it is, and what
// is odd about it already.

import type { Client } from 'pg';
import { refusedQuery } from '../database/damage.ts';
import { generalQuestions, readOddities, type Oddity } from '../database/oddities.ts';
import { lockNotAvailable, sqlStateOf } from '../database/sql-state.ts';
import type { Turns } from '../database/turns.ts';
import { askFuturePosts, findMastodon, futurePosts, type MastodonTables } from '../mastodon/mastodon-tables.ts';

/** What was asked. */
export interface SourceState {
  /** Null: it is no Mastodon. */
  readonly mastodon: MastodonTables | null;
  readonly oddities: readonly Oddity[];
}

const longestWaitMs = 300_000;

/** Asks it inside the open transaction of `client`. Throws AppError `database`. */
export async function readSourceState(
  client: Client,
  { lockWaitMs, turns }: { readonly lockWaitMs: number; readonly turns: Turns },
): Promise<SourceState> {
  const mastodon = await readMastodon(client, { lockWaitMs });
  const ofMastodon =
    mastodon === null ? [] : [{ kind: futurePosts, ask: async (asked: Client) => askFuturePosts(asked, mastodon) }];
  return { mastodon, oddities: await readOddities(client, { questions: [...generalQuestions, ...ofMastodon], turns }) };
}

async function readMastodon(
  client: Client,
  { lockWaitMs }: { readonly lockWaitMs: number },
): Promise<MastodonTables | null> {
  try {
    await client.query("select set_config('lock_timeout', $1, false)", [String(Math.min(lockWaitMs, longestWaitMs))]);
    return await findMastodon(client);
  } catch (error) {
    const locked = sqlStateOf(error) === lockNotAvailable;
    throw refusedQuery(error, {
      message: "Mastodon's schema_migrations cannot be read",
      hint: locked
        ? 'A migration holds it for longer than BACKUP_LOCK_WAIT: run the backup again when it is done.'
        : 'Dump as the role that owns the tables: check DB_USER.',
    });
  }
}
