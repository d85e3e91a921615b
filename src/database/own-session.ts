// Makes a new connection a session of our own: nobody between us and the server, and no time limit that an administrator set
// for the site's short queries. Through a pooler a dump would leave its own session settings to the site's queries, which
// then find no table any more; a limit would end the session that holds a dump's snapshot.

import type { Client } from 'pg';
import { AppError } from '../errors.ts';

// Set to nothing where the server knows them; the last one makes it notice within a second that we are gone while it waits
// for a lock.
const settings = {
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  lock_timeout: '0',
  transaction_timeout: '0',
  client_connection_check_interval: '1s',
} as const;

const query = `
  select pid, case when pid = $1::int then
           (select count(set_config(name, $2::jsonb ->> name, false))::int from pg_settings where $2::jsonb ? name)
         end as lifted
    from (select pg_backend_pid() as pid) own`;

/**
 * Lifts the limits. Throws AppError `database`, having changed nothing, when the process that answers is not the one that the
 * server said hello as: PgBouncer and its like give out keys of their own (PostgreSQL's protocol, BackendKeyData).
 */
export async function makeOwnSession(client: Client, { target }: { readonly target: string }): Promise<void> {
  const { processID: greeted } = client as unknown as { readonly processID: number | null };
  const { rows } = await client.query<{ pid: number; lifted: number | null }>(query, [greeted ?? 0, settings]);
  if (rows[0]?.lifted === null) throw poolerError(target);
}

function poolerError(target: string): AppError {
  return new AppError('database', `${target} is not PostgreSQL itself, but a pooler such as PgBouncer before it`, {
    reason: 'misconfigured',
    hint: "Set BACKUP_DATABASE_URL to a direct connection (postgresql://user:password@host:5432/database): through a pooler a dump's session settings would break the site's own queries.",
  });
}
