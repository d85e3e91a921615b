// The database that a restore fills before it has its real name: made like the source, marked as unfinished, named at the end
// in one transaction, dropped when anything fails. Without the mark nobody could tell a half database from a whole one.

import { randomBytes } from 'node:crypto';
import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import { whenReachable } from '../database/clean-up.ts';
import { connect } from '../database/connection.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { DatabaseLocale } from '../database/server.ts';
import { createDatabase, describeLocale } from './database-creation.ts';
import type { Remains } from '../stream/remains.ts';
import { connectToServer } from './server-connection.ts';
import { isVisited, readVisitors } from './target.ts';
import {
  cleanUpMs,
  dropTemporary,
  stemOf,
  unfinished,
  unfinishedLimit,
  type DatabaseServer,
} from './unfinished-database.ts';

/** A database that is being filled. */
export interface TemporaryDatabase {
  readonly name: string;
  /**
   * Takes the mark away and gives it the real name, in one transaction; answers what the database that had it is called now,
   * null: there was none. Rejects with AppError `restore`; it is kept then under the name it has, and no later restore drops it.
   * Cut off in between, nobody would know what is called what: it takes a moment, and has a limit of its own.
   */
  giveName(options: { readonly moveAside: boolean; readonly now: Date }): Promise<string | null>;
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
    readonly remains: Remains;
    /** What is done in it before it is filled; `id` is its oid. */
    readonly prepare: (inside: Client, id: string) => Promise<void>;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<TemporaryDatabase> {
  const { server, name, encoding, locale, owner, prepare, log, signal } = options;
  const temporary = `${stemOf(name)}_restoring_${randomBytes(3).toString('hex')}`;
  const remaining = options.remains.add(
    `the unfinished database ${temporary}: the next restore into '${name}' drops it, or: DROP DATABASE ${escapeIdentifier(temporary)}`,
  );
  const drop = async (creator?: number): Promise<void> => {
    await dropTemporary(server, { name, temporary, creator, log });
    remaining[Symbol.dispose]();
  };
  const { rows } = await admin.query<{ pid: number }>('select pg_backend_pid() as pid');
  try {
    await createDatabase(admin, { name: temporary, encoding, locale, owner, connectionLimit: unfinishedLimit });
  } catch (error) {
    // The server goes on creating it for whoever has hung up, and for whom it cannot reach any more.
    const isLost = error instanceof AppError;
    if (signal.aborted || isLost) await drop(rows[0]?.pid);
    signal.throwIfAborted();
    if (isLost) throw error;
    throw cannotCreate(error, { encoding, locale });
  }
  // Whoever is in it is not taken for a restore that was interrupted, also while nothing is filled in yet.
  let presence: (Client & AsyncDisposable) | undefined;
  let id: string;
  try {
    presence = await connect({ ...server.connection, database: temporary }, signal);
    id = await idOf(presence);
    await admin.query(`comment on database ${escapeIdentifier(temporary)} is ${escapeLiteral(unfinished)}`);
    await prepare(presence, id);
  } catch (error) {
    await presence?.[Symbol.asyncDispose]();
    await drop();
    signal.throwIfAborted();
    throw error;
  }
  // A connection that was idle while the restore took its hours may be gone.
  const atServer = async <Result>(work: (connected: Client) => Promise<Result>): Promise<Result> => {
    await using connected = await connectToServer(server.connection, { name, signal: AbortSignal.timeout(cleanUpMs) });
    return await work(connected);
  };
  return {
    name: temporary,
    async drop() {
      await presence[Symbol.asyncDispose]();
      await drop();
    },
    async giveName({ moveAside, now }) {
      const leave = async (): Promise<void> => presence[Symbol.asyncDispose]();
      let aside: string | null = null;
      let isNamed = false;
      try {
        await atServer(async (connected) => {
          if (moveAside) aside = await nameAside(connected, { name, now });
          await rename(connected, { temporary, name, aside, leave });
        });
        remaining[Symbol.dispose]();
        return aside;
      } catch (error) {
        const keep = async (): Promise<void> =>
          atServer(async (connected) => {
            isNamed = (await nameOf(connected, id)) === name;
            if (!isNamed) await connected.query(markingWhole(temporary));
          });
        // A restart of the server may be why it could not be named, or why nobody said that it was.
        await whenReachable(keep, { signal: AbortSignal.timeout(cleanUpMs) }).then(
          () => remaining[Symbol.dispose](),
          (reason: unknown) =>
            log.error(
              { err: reason, database: temporary },
              'It still counts as unfinished: the next restore drops it, unless it is renamed before',
            ),
        );
        if (isNamed) return aside;
        throw namingFailed(error, { temporary, name, moveAside });
      } finally {
        await leave();
      }
    },
  };
}

// Of two restores within a second the later one's is called after the next.
async function nameAside(admin: Client, { name, now }: { readonly name: string; readonly now: Date }): Promise<string> {
  for (let at = now.getTime(); ; at += 1_000) {
    const stamp = new Date(at).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
    const aside = `${stemOf(name)}_before_${stamp}Z`;
    const { rows } = await admin.query('select from pg_database where datname = $1', [aside]);
    if (rows.length === 0) return aside;
  }
}

async function idOf(inside: Client): Promise<string> {
  const { rows } = await inside.query<{ id: string }>(
    'select oid::text as id from pg_database where datname = current_database()',
  );
  return rows[0]?.id ?? '0';
}

async function nameOf(admin: Client, id: string): Promise<string | null> {
  const { rows } = await admin.query<{ name: string }>('select datname as name from pg_database where oid = $1::oid', [
    id,
  ]);
  return rows[0]?.name ?? null;
}

// One message, one transaction.
function markingWhole(temporary: string): string {
  const quoted = escapeIdentifier(temporary);
  return `comment on database ${quoted} is null; alter database ${quoted} connection limit -1`;
}

// In one transaction, so that there is a database of that name at every moment, and none without a mark that nobody asked for.
// Nobody may be in what is renamed; but what bears a mark and has nobody in it, another restore would drop. The comment locks it
// against that, and is made before we leave.
async function rename(
  admin: Client,
  options: {
    readonly temporary: string;
    readonly name: string;
    /** What the database that has the name is to be called; null: there is none. */
    readonly aside: string | null;
    /** Ends our own presence in it. */
    readonly leave: () => Promise<void>;
  },
): Promise<void> {
  const { temporary, name, aside, leave } = options;
  const visitors = await readVisitors(admin, name);
  if (visitors.length > 0) throw isVisited(name, visitors);
  await admin.query('begin');
  try {
    await admin.query(`${markingWhole(temporary)}; savepoint whole`);
    await leave();
    if (aside !== null)
      await admin.query(`alter database ${escapeIdentifier(name)} rename to ${escapeIdentifier(aside)}`);
    await admin.query(`alter database ${escapeIdentifier(temporary)} rename to ${escapeIdentifier(name)}`);
    await admin.query('commit');
  } catch (error) {
    // The mark goes before the lock does: another restore may be about to drop what has one.
    await admin.query('rollback to savepoint whole; commit').catch(() => undefined);
    throw error;
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
