// The database that a restore fills before it has its real name: made like the source, marked as unfinished, named at the end
// in one transaction, dropped when anything fails. Without the mark nobody could tell a half database from a whole one.

import { randomBytes } from 'node:crypto';
import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { pause } from '../stream/patience.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { DatabaseLocale } from '../database/server.ts';
import { createDatabase, describeLocale } from './database-creation.ts';
import { isVisited, readVisitors } from './target.ts';

/** The comment of a database of ours that is not finished. */
const unfinished = 'mastodon-backup: unfinished restore';
const cleanUpMs = 60_000;
const retryMs = 500;
/** SQLSTATE of a database that somebody is in; PostgreSQL's appendix A. */
const objectInUse = '55006';
/** Bytes of the real name in the names made from it; `_before_20261123T120000Z` is the rest of PostgreSQL's 63. */
const stemBytes = 39;

/** A server on which databases are made; its connection's database is the last of those that are tried to get in. */
export interface DatabaseServer {
  readonly connection: ConnectionSettings;
  readonly role: string;
}

/** A database that is being filled. */
export interface TemporaryDatabase {
  readonly name: string;
  /** Takes the mark away: from now on no later restore drops it. */
  markWhole(signal: AbortSignal): Promise<void>;
  /** Gives it the real name; answers what the database that had it is called now, null: there was none. Rejects with AppError `restore`. */
  giveName(options: {
    readonly moveAside: boolean;
    readonly now: Date;
    readonly signal: AbortSignal;
  }): Promise<string | null>;
  /** Drops it, also when we were interrupted; failing that, says so in the log. */
  drop(): Promise<void>;
}

/** Creates one for `name`, and has it prepared by us. Rejects with AppError `restore`; nothing is left then. */
export async function createTemporary(
  admin: Client,
  options: {
    readonly server: DatabaseServer;
    readonly name: string;
    readonly encoding: string;
    readonly locale: DatabaseLocale;
    readonly owner: string;
    /** What is done in it before it is filled. */
    readonly prepare: (inside: Client) => Promise<void>;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<TemporaryDatabase> {
  const { server, name, encoding, locale, owner, prepare, log, signal } = options;
  const temporary = `${stemOf(name)}_restoring_${randomBytes(3).toString('hex')}`;
  const drop = async (): Promise<void> => dropTemporary(server, { name, temporary, log });
  try {
    await createDatabase(admin, { name: temporary, encoding, locale, owner });
  } catch (error) {
    signal.throwIfAborted();
    throw cannotCreate(error, { encoding, locale });
  }
  // Whoever is in it is not taken for a restore that was interrupted, also while nothing is filled in yet.
  let presence: (Client & AsyncDisposable) | undefined;
  try {
    presence = await connect({ ...server.connection, database: temporary }, signal);
    await admin.query(`comment on database ${escapeIdentifier(temporary)} is ${escapeLiteral(unfinished)}`);
    await prepare(presence);
  } catch (error) {
    await presence?.[Symbol.asyncDispose]();
    await drop();
    signal.throwIfAborted();
    throw error;
  }
  return {
    name: temporary,
    async drop() {
      await presence[Symbol.asyncDispose]();
      await drop();
    },
    async markWhole(late) {
      // A connection that was idle while the restore took its hours may be gone.
      await using connected = await connectToServer(server.connection, { name, signal: late });
      await connected.query(`comment on database ${escapeIdentifier(temporary)} is null`);
    },
    async giveName({ moveAside, now, signal: late }) {
      await presence[Symbol.asyncDispose]();
      try {
        await using connected = await connectToServer(server.connection, { name, signal: late });
        return await rename(connected, { temporary, name, moveAside, now });
      } catch (error) {
        throw namingFailed(error, { temporary, name, moveAside });
      }
    },
  };
}

/** Drops what interrupted restores into `name` left: only what carries our mark, has our form of name and nobody in it. */
export async function removeUnfinished(
  admin: Client,
  { name, log }: { readonly name: string; readonly log: Log },
): Promise<void> {
  const { rows } = await admin.query<{ name: string }>(
    `select datname as name from pg_database d
      where shobj_description(d.oid, 'pg_database') = $1 and datname like $2 escape '!'
        and not exists (select from pg_stat_activity a where a.datname = d.datname)`,
    [unfinished, `${stemOf(name).replaceAll(/[!%_]/g, '!$&')}!_restoring!_%`],
  );
  for (const { name: leftover } of rows) {
    log.warn({ database: leftover }, 'Dropping the unfinished database that an interrupted restore left behind');
    await admin.query(`drop database ${escapeIdentifier(leftover)}`).catch((error: unknown) => {
      log.warn({ err: error, database: leftover }, 'It could not be dropped');
    });
  }
}

/**
 * Connects to the server, not to `name`, which may have to be renamed: through `postgres`, which every server has unless
 * somebody dropped it.
 */
export async function connectToServer(
  connection: ConnectionSettings,
  { name, signal }: { readonly name: string; readonly signal: AbortSignal },
): Promise<Client & AsyncDisposable> {
  let firstError: unknown;
  const candidates = new Set(['postgres', 'template1', connection.database].filter((database) => database !== name));
  for (const database of candidates) {
    try {
      return await connect({ ...connection, database }, signal, { queryTimeoutMs: 0 });
    } catch (error) {
      signal.throwIfAborted();
      firstError ??= error;
    }
  }
  throw firstError;
}

// In one transaction, so that there is a database of that name at every moment.
async function rename(
  admin: Client,
  options: {
    readonly temporary: string;
    readonly name: string;
    readonly moveAside: boolean;
    readonly now: Date;
  },
): Promise<string | null> {
  const { temporary, name, moveAside, now } = options;
  const visitors = await readVisitors(admin, name);
  if (visitors.length > 0) throw isVisited(name, visitors);
  const stamp = now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  const aside = moveAside ? `${stemOf(name)}_before_${stamp}Z` : null;
  await admin.query('begin');
  try {
    if (aside !== null)
      await admin.query(`alter database ${escapeIdentifier(name)} rename to ${escapeIdentifier(aside)}`);
    await admin.query(`alter database ${escapeIdentifier(temporary)} rename to ${escapeIdentifier(name)}`);
    await admin.query('commit');
    return aside;
  } catch (error) {
    await admin.query('rollback').catch(() => undefined);
    throw error;
  }
}

// A time of its own: whoever is interrupted drops it too. A plain DROP sends autovacuum away and waits for it; WITH (FORCE) may
// not when the role is an ordinary one. Sessions of our own are ended first.
async function dropTemporary(
  { connection }: DatabaseServer,
  { name, temporary, log }: { readonly name: string; readonly temporary: string; readonly log: Log },
): Promise<void> {
  const signal = AbortSignal.timeout(cleanUpMs);
  try {
    await using admin = await connectToServer(connection, { name, signal });
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
  } catch (error) {
    log.error(
      { err: error, database: temporary },
      'The unfinished database could not be dropped; the next restore tries again',
    );
  }
}

function cannotCreate(
  error: unknown,
  { encoding, locale }: { readonly encoding: string; readonly locale: DatabaseLocale },
): AppError {
  const text = describeError(error);
  const message = `A database with encoding ${encoding} and collation ${describeLocale(locale)} could not be created: ${text}`;
  const hint = /locale|collat/i.test(text)
    ? 'Choose a collation that the target server has, such as --locale C.UTF-8; see: SELECT collname FROM pg_collation.'
    : /read-only/i.test(text)
      ? 'This is a replica: restore into a server that may be written to, named by DB_HOST or BACKUP_DATABASE_URL.'
      : 'Look into the log of the target server.';
  return new AppError('restore', message, { cause: error, hint });
}

function namingFailed(
  error: unknown,
  names: { readonly temporary: string; readonly name: string; readonly moveAside: boolean },
): AppError {
  const hint = error instanceof AppError ? error.hint : undefined;
  const [name, temporary] = [escapeIdentifier(names.name), escapeIdentifier(names.temporary)];
  const aside = names.moveAside
    ? `ALTER DATABASE ${name} RENAME TO ${escapeIdentifier(`${stemOf(names.name)}_before`)}; `
    : '';
  return new AppError(
    'restore',
    `The snapshot is restored and whole, but still called '${names.temporary}': ${describeError(error)}`,
    {
      cause: error,
      hint: `${hint ?? 'Look who is connected: SELECT * FROM pg_stat_activity.'} Then rename it: ${aside}ALTER DATABASE ${temporary} RENAME TO ${name}.`,
    },
  );
}

function stemOf(name: string): string {
  let text = '';
  for (const character of name) {
    if (Buffer.byteLength(text + character) > stemBytes) break;
    text += character;
  }
  return text;
}
