// Transactions that were prepared and never finished. No process shows them, yet they keep their locks through every restart:
// what one of them altered can be neither read nor backed up until somebody ends it.

import type { Client } from 'pg';

/** A transaction of this database that waits for its second phase. */
export interface PreparedTransaction {
  readonly gid: string;
  /** In seconds. */
  readonly ageSeconds: number;
}

/** Asks for those of this database, the oldest first. */
export async function listPreparedTransactions(client: Client): Promise<readonly PreparedTransaction[]> {
  const { rows } = await client.query<PreparedTransaction>(
    `select gid, extract(epoch from clock_timestamp() - prepared)::float8 as "ageSeconds"
       from pg_prepared_xacts where database = current_database() order by prepared`,
  );
  return rows;
}
