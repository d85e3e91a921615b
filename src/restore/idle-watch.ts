// Whether a restore still moves. pg_restore has no progress of its own: when it has read all of an archive, its last indexes may take
// hours, and that is well as long as the server works. A pg_restore that hangs, or that somebody has stopped, looks the same from
// here; only the server sees that it has nothing to do.

import { connect, type ConnectionSettings } from '../database/connection.ts';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { pauseOrEnd } from '../stream/patience.ts';
import { startStallClock } from '../stream/stall-clock.ts';
import { formatSpan } from '../text/format.ts';

/** A watch; its disposer ends it. */
export interface IdleWatch extends AsyncDisposable {
  /** Aborts when it stood still, with the AppError `stalled` that says so. */
  readonly signal: AbortSignal;
}

/** Longest pause between two looks, in milliseconds. */
const longestPauseMs = 30_000;

/** Watches the sessions of `connection`'s login in its database. A server that cannot be asked is taken for one that works. */
export function watchIdleness(options: {
  readonly connection: ConnectionSettings;
  /** How long it may stand still, in milliseconds. */
  readonly stallTimeoutMs: number;
  /** Whether pg_restore is what is waited for, rather than the bytes that it is to get. */
  readonly isWaitedFor: () => boolean;
  readonly log: Log;
  readonly signal: AbortSignal;
}): IdleWatch {
  const { connection, stallTimeoutMs, log } = options;
  const ended = new AbortController();
  const stalled = new AbortController();
  const clock = startStallClock({
    timeoutMs: stallTimeoutMs,
    waiting: options.isWaitedFor,
    onStall() {
      stalled.abort(
        new AppError(
          'stalled',
          `pg_restore stood still for ${formatSpan(stallTimeoutMs)}: the server had nothing to do for it`,
          {
            hint: 'Look whether this machine has stopped it, such as for its memory, then restore again; BACKUP_STALL_TIMEOUT says how long to wait.',
          },
        ),
      );
    },
  });
  const signal = AbortSignal.any([options.signal, ended.signal, stalled.signal]);
  const watching = look({
    connection,
    pauseMs: Math.min(longestPauseMs, stallTimeoutMs / 5),
    onWork: () => clock.moved(),
    log,
    signal,
  });
  return {
    signal: stalled.signal,
    async [Symbol.asyncDispose]() {
      clock[Symbol.dispose]();
      ended.abort();
      await watching;
    },
  };
}

// As monitoring-stats in PostgreSQL's manual has it, table 28.4: what waits for its client has nothing to do.
const sessions = `
  select coalesce(bool_or(wait_event_type is distinct from 'Client'), false) as works,
         string_agg(format('%s %s %s', pid, query_start, state_change), ',' order by pid) as seen
    from pg_stat_activity
   where datname = current_database() and usename = current_user and pid <> pg_backend_pid()`;

async function look(options: {
  readonly connection: ConnectionSettings;
  readonly pauseMs: number;
  readonly onWork: () => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { connection, pauseMs, onWork, log, signal } = options;
  // Only what lasts is asked about: most restores are over before that.
  let before: string | null | undefined;
  while (await passed(pauseMs, signal)) {
    try {
      await using control = await connect(connection, signal);
      for (;;) {
        const { rows } = await control.query<{ works: boolean; seen: string | null }>(sessions);
        const [found] = rows;
        if (found === undefined || found.works || found.seen !== before) onWork();
        before = found?.seen;
        if (!(await passed(pauseMs, signal))) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      log.debug({ err: error }, 'The sessions of the restore cannot be seen');
      onWork();
    }
  }
}

async function passed(pauseMs: number, signal: AbortSignal): Promise<boolean> {
  await pauseOrEnd(pauseMs, signal);
  return !signal.aborted;
}
