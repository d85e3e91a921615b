// Sessions that wait behind the dump: pg_dump holds a lock on every table to its end, so a migration's ALTER TABLE waits for
// it, and everybody else waits behind the migration. Seen here, the dump can give way.

import type { Client } from 'pg';
import type { Turns } from './turns.ts';

const longestPollMs = 2_000;

/** A watch that ends with `stop`. */
export interface WaitingWatch {
  stop(): void;
}

/**
 * Looks every two seconds for sessions that wait for these backends, for a lock of any kind, `virtualxid` included, and calls
 * `onOverdue` once when one of them has waited for `limitMs`. What cannot be asked is passed over.
 */
export function watchWaitingSessions(options: {
  readonly control: Client;
  readonly turns: Turns;
  /** Process ids of the dump's sessions, as far as they are known. */
  readonly backends: () => readonly number[];
  readonly limitMs: number;
  readonly onOverdue: (waitedMs: number) => void;
}): WaitingWatch {
  const { control, turns, limitMs } = options;
  const firstSeen = new Map<number, number>();
  const pollMs = Math.max(100, Math.min(longestPollMs, limitMs / 4));
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  async function look(): Promise<void> {
    const backends = options.backends();
    const waiting = backends.length === 0 ? [] : await turns.take(async () => findWaiting(control, backends));
    const now = performance.now();
    for (const pid of firstSeen.keys()) if (!waiting.includes(pid)) firstSeen.delete(pid);
    for (const pid of waiting) if (!firstSeen.has(pid)) firstSeen.set(pid, now);
    const waitedMs = now - Math.min(now, ...firstSeen.values());
    if (stopped || waitedMs < limitMs) return;
    stopped = true;
    options.onOverdue(waitedMs);
  }
  const next = (): void => {
    timer = setTimeout(() => {
      look()
        // A broken control connection is the dump's own trouble, and shows itself there.
        .catch(() => undefined)
        .finally(() => {
          if (!stopped) next();
        });
    }, pollMs);
  };
  next();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

// pg_locks is open to every role; pg_stat_activity would hide what other roles' sessions wait for.
async function findWaiting(control: Client, backends: readonly number[]): Promise<readonly number[]> {
  const { rows } = await control.query<{ pid: number }>(
    `select w.pid from (select distinct pid from pg_locks where not granted and pid is not null) w
      where $1::int[] && pg_blocking_pids(w.pid) and w.pid <> all($1::int[])`,
    [backends],
  );
  return rows.map(({ pid }) => pid);
}
