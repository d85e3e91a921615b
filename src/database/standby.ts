// How far a standby's data goes. Its own clock says nothing of it: a standby whose replay is paused, or whose link is dead,
// answers every query with the data of the day it stopped.

import type { Client } from 'pg';
import { AppError } from '../errors.ts';
import { formatDuration } from '../text/format.ts';
import { dumpedSchemas } from './dumped-tables.ts';

/** A standby at a moment. Times are seconds since 1970. */
export interface Standby {
  /** Nothing that the primary committed until then is missing; null: that cannot be known. */
  readonly replayedAtSeconds: number | null;
  /** How old the data is, in milliseconds; 0 when all of what the primary has is here. Null: that cannot be known. */
  readonly lagMs: number | null;
  readonly paused: boolean;
  /** Whether it has a connection to its primary. */
  readonly connected: boolean;
  /** How old its last transaction is, in milliseconds, where that is suspicious although nothing is behind. */
  readonly quietMs?: number;
}

/** Older data is not backed up as if it were new, in milliseconds. */
export const mostLagMs = 3_600_000;
/** From here on it is said, in milliseconds. */
const noticeableLagMs = 60_000;

// The functions of a standby's recovery fail on a primary, hence the case. What this role may not see of the receiver is null.
const query = `
  select extract(epoch from clock_timestamp())::float8 as now,
         extract(epoch from pg_last_xact_replay_timestamp())::float8 as replayed,
         case when pg_is_in_recovery() then pg_is_wal_replay_paused() end as paused,
         pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() as all_replayed,
         (select coalesce(pg_last_wal_replay_lsn() >= (to_jsonb(w) ->> 'latest_end_lsn')::pg_lsn, true)
            from pg_stat_wal_receiver w where coalesce(w.status, 'streaming') = 'streaming') as all_received,
         (select extract(epoch from (to_jsonb(w) ->> 'last_msg_send_time')::timestamptz)::float8 from pg_stat_wal_receiver w) as heard,
         (select setting::float8 / 1000 from pg_settings where name = 'wal_receiver_timeout') as patience
   where pg_is_in_recovery()`;

/** What a standby answers; times are seconds since 1970. */
export interface StandbyAnswers {
  readonly now: number;
  readonly replayed: number | null;
  readonly paused: boolean;
  readonly all_replayed: boolean | null;
  readonly all_received: boolean | null;
  readonly heard: number | null;
  readonly patience: number;
}

/** Asks a standby; null: the server is none. Asked inside a transaction, what its snapshot holds is not younger. */
export async function readStandby(client: Client): Promise<Standby | null> {
  const { rows } = await client.query<StandbyAnswers>(query);
  const [row] = rows;
  if (row === undefined) return null;
  const checkpoint = row.replayed === null ? await readCheckpointTime(client) : null;
  return judgeStandby(row, checkpoint);
}

/** What a standby's answers mean; `checkpoint` is the moment it started from, for one that has replayed no transaction since. */
export function judgeStandby(row: StandbyAnswers, checkpoint: number | null): Standby {
  const complete = !row.paused && row.all_replayed === true && row.all_received === true;
  // Behind another standby that has lost its primary everything looks complete, and only the last transaction grows old.
  const quietMs = row.replayed === null ? 0 : Math.max(0, row.now - row.replayed) * 1_000;
  const quiet = complete && quietMs > mostLagMs;
  // With everything replayed the data is as new as the primary's last word. A role that may not see when that was knows
  // that a receiver which hears nothing for its time-out hangs up.
  const heard = complete && !quiet ? (row.heard ?? (row.patience > 0 ? row.now - row.patience : null)) : null;
  const moments = [heard, row.replayed].filter((moment) => moment !== null);
  const replayed = moments.length === 0 ? checkpoint : Math.max(...moments);
  const replayedAtSeconds = replayed === null ? null : Math.min(replayed, row.now);
  const lagMs = replayedAtSeconds === null ? null : Math.max(0, row.now - replayedAtSeconds) * 1_000;
  return {
    replayedAtSeconds,
    lagMs: complete ? 0 : lagMs,
    paused: row.paused,
    connected: row.all_received !== null,
    ...(quiet ? { quietMs } : {}),
  };
}

// No transaction was replayed since the standby started: then none is younger than the checkpoint it started from.
async function readCheckpointTime(client: Client): Promise<number | null> {
  const { rows } = await client.query<{ at: number }>(
    'select extract(epoch from checkpoint_time)::float8 as at from pg_control_checkpoint()',
  );
  return rows[0]?.at ?? null;
}

/** The error for a standby whose data is too old to be backed up as today's; undefined when it is not. */
export function standbyLagError({ lagMs, paused, connected }: Standby): AppError | undefined {
  if (lagMs !== null && lagMs <= mostLagMs) return undefined;
  const age = lagMs === null ? 'an unknown time' : formatDuration(lagMs);
  return new AppError(
    'database',
    `The server is a standby that is ${age} behind its primary${why({ paused, connected })}`,
    {
      hint: paused
        ? 'Let it go on (select pg_wal_replay_resume()), or back up the primary: set BACKUP_DATABASE_URL.'
        : "Look at the standby's log, its primary_conninfo and pg_stat_wal_receiver, or back up the primary: set BACKUP_DATABASE_URL.",
    },
  );
}

/** What to know of a backup from a standby, a sentence each. */
export function describeStandby({ lagMs, paused, connected, quietMs }: Standby): readonly string[] {
  const lag =
    lagMs === null || lagMs < noticeableLagMs
      ? []
      : [`The standby is ${formatDuration(lagMs)} behind its primary${why({ paused, connected })}; so are its backups`];
  const quiet =
    quietMs === undefined
      ? []
      : [
          `The last transaction of this standby is ${formatDuration(quietMs)} old, and its backups are of then: if its primary is in use, the standby that it follows has lost it`,
        ];
  return [
    'The server is a replica: a long dump may be cancelled by replay (max_standby_streaming_delay)',
    ...lag,
    ...quiet,
  ];
}

function why({ paused, connected }: Pick<Standby, 'paused' | 'connected'>): string {
  if (paused) return ': its replay is paused';
  return connected ? '' : ': it has no connection to it';
}

/** Tables whose rows a standby does not have, and pg_dump leaves out there. */
export async function listUnloggedTables(client: Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'r' and c.relpersistence = 'u' and ${dumpedSchemas} order by 1`,
  );
  return rows.map(({ name }) => name);
}
