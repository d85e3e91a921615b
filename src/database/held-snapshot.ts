// The moment of a dump: locks first, snapshot after. pg_dump by itself takes its snapshot and then waits for its locks; a
// table that is rewritten, or emptied and filled again, while it waits is empty in that snapshot (PostgreSQL's manual,
// 13.6), and the backup would be a good one without its rows.

import type { Client } from 'pg';
import { AppError, describeError } from '../errors.ts';
import { pause } from '../stream/patience.ts';
import { formatSpan } from '../text/format.ts';
import { applicationName } from './connection.ts';
import { dumpedTablesQuery, listDumpedTables, type DumpedTable } from './dumped-tables.ts';
import { isGone, waitForTable, type LockPatience } from './lock-wait.ts';
import { lockNotAvailable, outOfMemory, sqlStateOf } from './sql-state.ts';

/** A snapshot that others may take part in until it is released. */
export interface HeldSnapshot {
  /** For `pg_dump --snapshot`. */
  readonly id: string;
  /** When it was taken, in seconds since 1970 by the server's clock. */
  readonly takenAtSeconds: number;
  /** Process id of the session that holds it. */
  readonly processId: number;
  /** Ends the transaction that holds snapshot and locks; the session stays. Never rejects. */
  release(): Promise<void>;
}

/** Tables a statement locks at once. */
const batch = 200;
const retryPauseMs = 50;
/** The session's name while it holds locks, so that an administrator sees whose they are. */
const holderName = `${applicationName} snapshot`;
const letGo = `rollback; set application_name = '${applicationName}'`;

/**
 * Locks every table in ACCESS SHARE mode, which only keeps others from altering or emptying it, and then takes a snapshot.
 * It never waits for one lock while it holds another. Throws AppError `dump` when a lock does not come in time.
 * `control` is an open connection to the database outside any transaction; until the release it is inside one, and a
 * statement that fails on it ends the snapshot.
 */
export async function holdSnapshot(
  control: Client,
  { patience, signal }: { readonly patience: LockPatience; readonly signal: AbortSignal },
): Promise<HeldSnapshot> {
  // A connection that is gone holds nothing any more.
  const release = async (): Promise<void> => void (await control.query(letGo).catch(() => undefined));
  try {
    const processId = await readProcessId(control);
    for (;;) {
      signal.throwIfAborted();
      const tables = await listDumpedTables(control);
      // A transaction's snapshot is that of its first query, and LOCK TABLE is none.
      await control.query(`set application_name = '${holderName}'; begin isolation level repeatable read read only`);
      const busy = await lockAll(control, tables);
      const taken = busy ? null : await takeSnapshot(control);
      if (taken !== null) return { ...taken, processId, release };
      await control.query(letGo);
      await waitForBusy(control, { tables, patience, signal });
    }
  } catch (error) {
    await release();
    signal.throwIfAborted();
    throw error instanceof AppError ? error : holdError(error);
  }
}

async function readProcessId(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid ?? Number.NaN;
}

// Whether a table is in somebody else's hands, or not what it was when it was listed.
async function lockAll(client: Client, tables: readonly DumpedTable[]): Promise<boolean> {
  try {
    for (let at = 0; at < tables.length; at += batch) {
      const names = tables.slice(at, at + batch).map(({ name }) => `only ${name}`);
      await client.query(`lock table ${names.join(', ')} in access share mode nowait`);
    }
    return false;
  } catch (error) {
    if (sqlStateOf(error) === lockNotAvailable || isGone(error)) return true;
    throw error;
  }
}

// Null: the snapshot has a table that is not locked. It came, or came again, after the tables were listed.
async function takeSnapshot(client: Client): Promise<{ readonly id: string; readonly takenAtSeconds: number } | null> {
  const { rows } = await client.query<{ id: string; now: number }>(
    'select pg_export_snapshot() as id, extract(epoch from clock_timestamp())::float8 as now',
  );
  const { rows: strangers } = await client.query(
    `select from (${dumpedTablesQuery}) t
      where t.oid not in (select l.relation from pg_locks l
                           where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.relation is not null and l.granted)
      limit 1`,
  );
  const [row] = rows;
  return row === undefined || strangers.length > 0 ? null : { id: row.id, takenAtSeconds: row.now };
}

const busyQuery = `
  select distinct l.relation as oid from pg_locks l
   where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.relation = any($1::oid[])
     and l.database = (select oid from pg_database where datname = current_database())
     and l.pid is distinct from pg_backend_pid()`;

async function waitForBusy(
  control: Client,
  {
    tables,
    patience,
    signal,
  }: { readonly tables: readonly DumpedTable[]; readonly patience: LockPatience; readonly signal: AbortSignal },
): Promise<void> {
  const { rows } = await control.query<{ oid: number }>(busyQuery, [tables.map(({ oid }) => oid)]);
  const busy = new Set(rows.map(({ oid }) => oid));
  for (const table of tables) if (busy.has(table.oid)) await waitForTable(control, { table, patience });
  if (busy.size > 0) return;
  if (performance.now() > patience.deadlineMs) throw unsettledError(patience);
  await pause(retryPauseMs, signal);
}

function unsettledError({ lockWaitMs }: LockPatience): AppError {
  return new AppError('dump', `The tables did not stay the same for a moment within ${formatSpan(lockWaitMs)}`, {
    hint: 'Run the backup again when the migration is done; BACKUP_LOCK_WAIT says how long it may take.',
  });
}

function holdError(error: unknown): AppError {
  const full = sqlStateOf(error) === outOfMemory;
  return new AppError('dump', `The tables cannot be locked for the dump: ${describeError(error)}`, {
    cause: error,
    hint: full
      ? 'Raise max_locks_per_transaction of the server: a dump locks every table.'
      : "Look into the database's log, then run the backup again.",
  });
}
