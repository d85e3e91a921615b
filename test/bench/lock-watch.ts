// How long transactions that hold locks on tables last: as long can none of these be altered, and VACUUM removes nothing that has
// died since.

import { Client } from 'pg';
import type { ConnectionSettings } from '../../src/database/connection.ts';

/** A look at the locks of one database, again and again. */
export interface LockWatch extends AsyncDisposable {
  /** The longest since it was asked last, in seconds. */
  longest(): number;
}

/** Between two looks, in milliseconds. */
const lookEveryMs = 200;

/** Looks as the role of `connection`, which must be one that sees the sessions of others. */
export async function watchLocks(connection: ConnectionSettings): Promise<LockWatch> {
  const client = new Client({ ...connection, ssl: false });
  await client.connect();
  let longest = 0;
  let looking = Promise.resolve();
  let failure: Error | null = null;
  const look = async (): Promise<void> => {
    const { rows } = await client.query<{ readonly seconds: string | null }>(
      `select max(extract(epoch from clock_timestamp() - a.xact_start)) as seconds from pg_stat_activity a
       where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid() and exists (select from pg_locks l
         where l.pid = a.pid and l.locktype = 'relation' and l.granted and l.relation >= 16384)`,
    );
    longest = Math.max(longest, Number(rows[0]?.seconds ?? 0));
  };
  const timer = setInterval(() => {
    looking = looking.then(look).catch((error: unknown) => {
      failure ??= error instanceof Error ? error : new Error(String(error));
    });
  }, lookEveryMs);
  return {
    longest() {
      const found = longest;
      longest = 0;
      return found;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await looking;
      await client.end();
      if (failure !== null) throw failure;
    },
  };
}
