// The login that an archive runs in: never a superuser's. What a dump holds is code (checks, functional indexes, views), and
// in a superuser's session it could read every file of the server; `reset role` undoes a mere --role.

import { randomBytes } from 'node:crypto';
import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import { whenReachable } from '../database/clean-up.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { scramVerifier } from '../database/scram-verifier.ts';
import { sqlStateOf } from '../database/sql-state.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Remains } from '../stream/remains.ts';
import { connectToServer } from './server-connection.ts';

/** Whose session fills and checks a database. */
export interface RestoringLogin {
  /** Reaches the server; the database in it is the caller's to change. */
  readonly connection: ConnectionSettings;
  /** For pg_restore's --role; null: the login itself. */
  readonly role: string | null;
  /** Who owns everything until it is handed over. */
  readonly owner: string;
  /** Whether a superuser's session is what runs the archive, because the server lets no other login in. */
  readonly isSuperuser: boolean;
  /** Gives what the login made in the database, and the database itself, to `owner`; `inside` is a superuser's session there. */
  handOver(inside: Client, owner: string): Promise<void>;
  /** Removes the login where it was made for this restore, also when we were interrupted; `name` is the database restored into. */
  remove(connection: ConnectionSettings, options: { readonly name: string }): Promise<void>;
}

/** SQLSTATEs of a login that is refused: by pg_hba.conf or peer, or for its password; PostgreSQL's appendix A. */
const refusals: ReadonlySet<string | undefined> = new Set(['28000', '28P01']);
const mark = 'mastodon-backup: restoring';
const validDays = 7;
const cleanUpMs = 15_000;
const temporaryName = /^mastodon_backup_[0-9a-f]{12}$/;

/** Our own role, which is no superuser: what it makes it makes as `owner`. */
export function ownLogin(connection: ConnectionSettings, owner: string): RestoringLogin {
  const role = owner === connection.user ? null : owner;
  const nothing = async (): Promise<void> => undefined;
  return { connection, role, owner, isSuperuser: false, handOver: nothing, remove: nothing };
}

/** Makes a role without rights for one restore; where the server lets nobody else in (peer), it is ours with a warning. */
export async function createLogin(
  admin: Client,
  options: {
    readonly connection: ConnectionSettings;
    /** The database that is to be restored, in which nobody may be. */
    readonly restored: string;
    readonly owner: string;
    readonly remains: Remains;
    readonly now: Date;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<RestoringLogin> {
  const { owner, log, signal } = options;
  const name = `mastodon_backup_${randomBytes(6).toString('hex')}`;
  const password = randomBytes(24).toString('base64url');
  const quoted = escapeIdentifier(name);
  const until = new Date(options.now.getTime() + validDays * 86_400_000).toISOString();
  const remaining = options.remains.add(
    `the role ${name}: the next restore by a superuser drops it, or: DROP ROLE ${quoted}`,
  );
  const remove: RestoringLogin['remove'] = async (from, { name: target }) => {
    const limit = AbortSignal.timeout(cleanUpMs);
    const drop = async (): Promise<void> => {
      // A connection of its own: the other may be gone, or cut off.
      await using client = await connectToServer(from, { name: target, signal: limit });
      await client.query(`drop role if exists ${quoted}`);
    };
    try {
      await whenReachable(drop, { signal: limit });
      remaining[Symbol.dispose]();
    } catch (error) {
      log.error(
        { err: error, role: name },
        'The role of this restore could not be dropped; the next restore tries again',
      );
    }
  };
  // Statements of one message are one transaction: without the mark nobody would remove it.
  try {
    await admin.query(
      `create role ${quoted} login nosuperuser nocreatedb nocreaterole password ${escapeLiteral(scramVerifier(password))}
       valid until ${escapeLiteral(until)};
     comment on role ${quoted} is ${escapeLiteral(mark)}`,
    );
  } catch (error) {
    // Who has hung up does not know whether it was made.
    await remove(options.connection, { name: options.restored });
    signal.throwIfAborted();
    throw error;
  }
  const connection = { ...options.connection, user: name, password };
  try {
    const database = await findOpenDatabase(admin, { role: name, restored: options.restored });
    if (database !== undefined) await (await connect({ ...connection, database }, signal))[Symbol.asyncDispose]();
  } catch (error) {
    await remove(options.connection, { name: options.restored });
    signal.throwIfAborted();
    // A server that is merely full would let it in at another time.
    if (!(error instanceof AppError) || !refusals.has(sqlStateOf(error.cause))) throw error;
    log.warn(
      { reason: describeError(error) },
      'The server lets no role in that was made for this restore: the archive runs in the superuser session, as its owner',
    );
    const role = owner === options.connection.user ? null : owner;
    return { ...ownLogin(options.connection, owner), role, isSuperuser: true };
  }
  return {
    connection,
    role: null,
    owner: name,
    isSuperuser: false,
    async handOver(inside, to) {
      await inside.query(`reassign owned by ${quoted} to ${escapeIdentifier(to)}`);
      // What was granted to it.
      await inside.query(`drop owned by ${quoted}`);
    },
    remove,
  };
}

// Undefined: there is none that just anybody may connect to, and so the login is not tried before it is used.
async function findOpenDatabase(
  admin: Client,
  { role, restored }: { readonly role: string; readonly restored: string },
): Promise<string | undefined> {
  const { rows } = await admin.query<{ name: string }>(
    `select datname as name from pg_database
      where datallowconn and datname <> $2 and has_database_privilege($1, oid, 'connect')
      order by datname <> 'postgres', datname <> 'template1', datname limit 1`,
    [role, restored],
  );
  return rows[0]?.name;
}

/** Drops the logins that interrupted restores left: only what has our mark and form of name, and nobody in it. */
export async function removeLeftLogins(admin: Client, { log }: { readonly log: Log }): Promise<void> {
  const { rows } = await admin.query<{ name: string }>(
    `select rolname as name from pg_roles r
      where shobj_description(r.oid, 'pg_authid') = $1 and not rolsuper
        and not exists (select from pg_stat_activity a where a.usesysid = r.oid)
        and not exists (select from pg_database d where d.datdba = r.oid)`,
    [mark],
  );
  for (const { name } of rows.filter((row) => temporaryName.test(row.name))) {
    log.warn({ role: name }, 'Dropping the role that an interrupted restore left behind');
    await admin.query(`drop role ${escapeIdentifier(name)}`).catch((error: unknown) => {
      log.warn({ err: error, role: name }, 'It could not be dropped');
    });
  }
}
