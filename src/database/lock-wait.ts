// Waiting for a table that somebody else has locked, while holding nothing: a backup that waited for one lock while it held
// others could be half of a deadlock, and the server might then end the migration instead of the backup.

import type { Client } from 'pg';
import { AppError } from '../errors.ts';
import { lockNotAvailable, sqlStateOf, undefinedSchema, undefinedTable, wrongObjectType } from './sql-state.ts';
import type { DumpedTable } from './dumped-tables.ts';

/** How long locks may be waited for, all together. */
export interface LockPatience {
  readonly lockWaitMs: number;
  /** By `performance.now()`. */
  readonly deadlineMs: number;
}

const gone: ReadonlySet<string | undefined> = new Set([undefinedTable, undefinedSchema, wrongObjectType]);

/** Whether it was dropped meanwhile, alone or with its schema, or something else has its name now. */
export function isGone(error: unknown): boolean {
  return gone.has(sqlStateOf(error));
}

/**
 * Waits in the table's own queue until the lock could be had, and lets it go at once. A table that vanishes is no longer
 * waited for. Throws AppError `dump` when the time is over.
 */
export async function waitForTable(
  client: Client,
  { table, patience }: { readonly table: DumpedTable; readonly patience: LockPatience },
): Promise<void> {
  const leftMs = Math.max(1, Math.ceil(patience.deadlineMs - performance.now()));
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = ${leftMs}`);
    await client.query(`lock table only ${table.name} in access share mode`);
  } catch (error) {
    if (sqlStateOf(error) === lockNotAvailable) {
      await client.query('rollback');
      throw await lockWaitError(client, { table, patience });
    }
    if (!isGone(error)) throw error;
  } finally {
    await client.query('rollback').catch(() => undefined);
  }
}

/** The error for a table whose lock did not come in time, with whoever has it. */
async function lockWaitError(
  client: Client,
  { table, patience }: { readonly table: DumpedTable; readonly patience: LockPatience },
): Promise<AppError> {
  const { rows } = await client.query<LockHolder>(holdersQuery, [table.oid]);
  const holders = rows.length === 0 ? '' : `; it is held by ${rows.map(describeHolder).join(' and ')}`;
  const seconds = Math.round(patience.lockWaitMs / 1_000);
  const gid = rows.find((row) => row.gid !== null)?.gid ?? null;
  return new AppError('dump', `LOCK TABLE ${table.name} was not granted within ${seconds} s${holders}`, {
    hint:
      gid === null
        ? 'A table was locked for longer than BACKUP_LOCK_WAIT, often by a migration: run the backup again when it is done.'
        : `A table was locked for longer than BACKUP_LOCK_WAIT, by a prepared transaction that nobody finished: end it with COMMIT PREPARED or ROLLBACK PREPARED ${quoted(gid)}.`,
  });
}

interface LockHolder {
  readonly pid: number | null;
  readonly role: string | null;
  readonly application: string | null;
  readonly gid: string | null;
}

const holdersQuery = `
  select l.pid, a.usename as role, a.application_name as application, x.gid
    from pg_locks l
    left join pg_stat_activity a on a.pid = l.pid
    left join pg_locks t on l.pid is null and t.pid is null and t.locktype = 'transactionid'
                        and t.virtualtransaction = l.virtualtransaction
    left join pg_prepared_xacts x on x.transaction = t.transactionid
   where l.locktype = 'relation' and l.relation = $1::oid and l.mode = 'AccessExclusiveLock'
     and l.database = (select oid from pg_database where datname = current_database())
   order by l.granted desc limit 3`;

function describeHolder({ pid, role, application, gid }: LockHolder): string {
  if (gid !== null) return `the prepared transaction ${quoted(gid)}`;
  if (pid === null) return 'a prepared transaction';
  const name = application === null || application === '' ? '' : `, ${quoted(application)}`;
  return `process ${pid} (role ${quoted(role ?? 'unknown')}${name})`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
