// The first connection of a restore, on a server that may be a fresh one: what it lacks then is told with the commands that
// make it, for on that day nobody remembers them.

import { escapeIdentifier, type Client } from 'pg';
import type { ConnectionSettings } from '../database/connection.ts';
import { AppError } from '../errors.ts';
import { connectToServer } from './server-connection.ts';

/** Connects to the server, not to `name`. Rejects with AppError `restore` when it knows the role not yet. */
export async function connectForRestore(
  connection: ConnectionSettings,
  { name, signal }: { readonly name: string; readonly signal: AbortSignal },
): Promise<Client & AsyncDisposable> {
  try {
    return await connectToServer(connection, { name, signal });
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const role = escapeIdentifier(connection.user);
    const create = `as a superuser: CREATE ROLE ${role} LOGIN CREATEDB; then \\password ${role} in psql`;
    const asSuperuser =
      'or restore as one with --create-role: BACKUP_DATABASE_URL=postgresql://postgres:…@host:5432/postgres';
    if (/role ".*" does not exist/i.test(error.message)) {
      throw new AppError('restore', `The target server has no role '${connection.user}': ${error.message}`, {
        cause: error,
        hint: `Create it ${create}; ${asSuperuser}.`,
      });
    }
    // A server that asks for passwords does not tell one from the other.
    if (/password authentication failed/i.test(error.message)) {
      throw new AppError('restore', error.message, {
        cause: error,
        hint: `${error.hint ?? 'Check DB_USER and DB_PASS.'} On a fresh server the role may be missing: create it ${create}; ${asSuperuser}.`,
      });
    }
    throw error;
  }
}
