// What a pg_dump that failed is told to people as: its own last words, and the remedy for the usual reasons.

import { AppError } from '../errors.ts';
import type { ChildExit } from '../stream/child.ts';
import { brokeOffAt, damageHint, speaksOfDamage } from './damage.ts';
import { connectionHint, describeTarget, type ConnectionSettings } from './connection.ts';

/** What is said when an object went away while pg_dump described it, or its catalog is broken; only a second try can tell. */
const goneWords =
  /cache lookup failed|could not open relation with OID|(?:relation|schema|type|function|column|language) with OID \d+ does not exist|could not find (?:parent|block ID)|invalid snapshot identifier|relation ".*" does not exist/i;

/** Whether pg_dump met a definition that was there when it looked first, and then was not. */
export function metChange({ stderrTail }: ChildExit): boolean {
  return goneWords.test(stderrTail);
}

/** The error for a pg_dump that did not exit well. */
export function dumpError(exit: ChildExit, options: { readonly connection: ConnectionSettings }): AppError {
  const how = exit.signal === null ? `exited with status ${exit.code}` : `was ended by ${exit.signal}`;
  const words = exit.stderrTail
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-5)
    .join(' | ');
  return new AppError(
    'dump',
    `pg_dump of ${describeTarget(options.connection)} ${how}${words === '' ? '' : `: ${words}`}`,
    {
      cause: brokeOffAt(exit.stderrTail),
      hint: dumpHint(exit),
      reason: speaksOfDamage(exit.stderrTail) ? 'damaged-source' : undefined,
    },
  );
}

/** The error for a dump that others had to wait for too long. */
export function yieldError(waitedMs: number): AppError {
  const seconds = Math.round(waitedMs / 1_000);
  return new AppError('yielded', `The dump gave way to a session that had waited ${seconds} s for its locks`, {
    hint: 'Most often that is a migration: run the backup again when it is done. BACKUP_YIELD_AFTER says how long others may wait.',
  });
}

function dumpHint({ stderrTail, signal }: ChildExit): string {
  // pg_dump implements --lock-wait-timeout with statement_timeout.
  if (/canceling statement due to (statement|lock) timeout[\s\S]*LOCK TABLE/i.test(stderrTail)) {
    return 'A table was locked for longer than BACKUP_LOCK_WAIT, often by a migration: run the backup again when it is done.';
  }
  if (speaksOfDamage(stderrTail)) return damageHint;
  if (/row-level security/i.test(stderrTail)) {
    return 'Dump as a role that row security does not hide rows from: ALTER ROLE … BYPASSRLS, or the owner of the tables.';
  }
  if (/permission denied/i.test(stderrTail)) return 'Dump as the role that owns the tables: check DB_USER.';
  if (/conflict with recovery/i.test(stderrTail)) {
    return 'Raise max_standby_streaming_delay of this standby, or set hot_standby_feedback = on, so that replay lets a long dump finish.';
  }
  if (/out of shared memory/i.test(stderrTail)) {
    return 'Raise max_locks_per_transaction of the server: a dump locks every table.';
  }
  if (/out of memory|could not resize shared memory/i.test(stderrTail))
    return 'Give the database container more memory.';
  if (/terminating connection|server closed the connection/i.test(stderrTail)) {
    return 'The database ended the connection; look into its log, then run the backup again.';
  }
  // It answered us a moment before.
  if (
    /Connection refused|No such file or directory[\s\S]*socket|the database system is (starting up|shutting down|in recovery|not yet)/i.test(
      stderrTail,
    )
  ) {
    return 'The database went away while the dump began; look into its log, then run the backup again.';
  }
  // Begun anew as often as may be: somebody who changes things would be done by now.
  if (/cache lookup failed/i.test(stderrTail)) {
    return 'The catalogue of the database is damaged, or somebody keeps on changing tables: look into the log of the server.';
  }
  if (signal === 'SIGKILL') return 'Something killed pg_dump, often the kernel for want of memory: look into dmesg.';
  return (
    connectionHint(stderrTail) ?? "Read pg_dump's words above; the log with BACKUP_LOG_LEVEL=debug has all of them."
  );
}
