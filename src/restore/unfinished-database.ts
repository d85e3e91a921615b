// The end of databases that no restore finished: its own when something fails, and what was left when nothing could clean up any
// more. They carry a mark from the first moment on; without it nobody could tell a half database from a whole one.

import { escapeIdentifier, type Client } from 'pg';
import type { ConnectionSettings } from '../database/connection.ts';
import { whenReachable } from '../database/clean-up.ts';
import type { Log } from '../log.ts';
import { pause } from '../stream/patience.ts';
import { connectToServer } from './server-connection.ts';

/** The comment of a database of ours that is not finished. */
export const unfinished = 'mastodon-backup: unfinished restore';
/** The same as a limit of connections, which no server reaches: it is there from the creation on, and a comment comes after it. */
export const unfinishedLimit = 1_234_567_891;
/** Also the limit of what must not be cut off. */
export const cleanUpMs = 60_000;
const retryMs = 500;
/** How long the drop of another's database waits for a lock, in milliseconds; whoever connects has one for a moment. */
const lockedMs = 100;
const endingPauseMs = 50;
/** SQLSTATE of a database that somebody is in; PostgreSQL's appendix A. */
const objectInUse = '55006';
/** Bytes of the real name in the names made from it; `_before_20261123T120000Z` is the rest of PostgreSQL's 63. */
const stemBytes = 39;

/** A server on which databases are made; its connection's database is the last of those that are tried to get in. */
export interface DatabaseServer {
  readonly connection: ConnectionSettings;
  readonly role: string;
}

/**
 * Drops what interrupted restores into `name` left: only what carries our mark, has our form of name and nobody in it. Autovacuum,
 * which has no user, is nobody: a plain DROP sends it away.
 */
export async function removeUnfinished(
  admin: Client,
  { name, log }: { readonly name: string; readonly log: Log },
): Promise<void> {
  const { rows } = await admin.query<{ name: string }>(
    `select datname as name from pg_database d
      where (shobj_description(d.oid, 'pg_database') = $1 or datconnlimit = $3) and datname like $2 escape '!'
        and not exists (select from pg_stat_activity a where a.datname = d.datname and a.usesysid is not null)`,
    [unfinished, `${stemOf(name).replaceAll(/[!%_]/g, '!$&')}!_restoring!_%`, unfinishedLimit],
  );
  if (rows.length === 0) return;
  // Who has locked it gives it its name just now, and it may be whole when the lock is ours.
  await admin.query(`set lock_timeout = '${lockedMs}ms'`);
  for (const { name: leftover } of rows) {
    log.warn({ database: leftover }, 'Dropping the unfinished database that an interrupted restore left behind');
    await admin.query(`drop database ${escapeIdentifier(leftover)}`).catch((error: unknown) => {
      log.warn({ err: error, database: leftover }, 'It could not be dropped');
    });
  }
  await admin.query('set lock_timeout = 0');
}

/**
 * Drops a database that is not finished, in a time of its own: whoever is interrupted drops it too. Never rejects. A plain DROP
 * sends autovacuum away and waits for it; WITH (FORCE) may not when the role is an ordinary one. Our own sessions are ended first.
 */
export async function dropTemporary(
  { connection }: DatabaseServer,
  {
    name,
    temporary,
    creator,
    log,
  }: {
    readonly name: string;
    readonly temporary: string;
    /** The process that may still be creating it. */
    readonly creator: number | undefined;
    readonly log: Log;
  },
): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpMs);
  const drop = async (): Promise<void> => {
    await using admin = await connectToServer(connection, { name, signal });
    if (creator !== undefined) await endSession(admin, { processId: creator, signal });
    for (;;) {
      try {
        // pg_restore's and the checks', under whatever login of ours.
        await admin.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
            where datname = $1 and pid <> pg_backend_pid() and usesysid is not null and pg_has_role(current_user, usesysid, 'member')`,
          [temporary],
        );
        await admin.query(`drop database if exists ${escapeIdentifier(temporary)}`);
        return;
      } catch (error) {
        if ((error as { readonly code?: unknown }).code !== objectInUse) throw error;
        await pause(retryMs, signal);
      }
    }
  };
  try {
    await whenReachable(drop, { signal });
  } catch (error) {
    log.error(
      { err: error, database: temporary },
      'The unfinished database could not be dropped; the next restore tries again',
    );
  }
}

async function endSession(
  admin: Client,
  { processId, signal }: { readonly processId: number; readonly signal: AbortSignal },
): Promise<void> {
  for (;;) {
    const { rows } = await admin.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and usename = session_user',
      [processId],
    );
    if (rows.length === 0) return;
    await pause(endingPauseMs, signal);
  }
}

/** The beginning of a name, as far as names that are made from it leave room. */
export function stemOf(name: string): string {
  let text = '';
  for (const character of name) {
    if (Buffer.byteLength(text + character) > stemBytes) break;
    text += character;
  }
  return text;
}
