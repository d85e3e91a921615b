// What the restore's own sessions may build an index with. The 64 MB of a server that nobody tuned sort those of a large table in
// many passes over the disk, and leave a parallel build one worker instead of two: PostgreSQL gives none less than 32 MB.

import { connect, type ConnectionSettings } from '../database/connection.ts';

const kib = 1024;
/** For all jobs together, in KiB: a server of 2 GB has as much to spare. */
const wantedKib = 256 * kib;

/**
 * Settings of PostgreSQL for the sessions of `jobs` jobs; never less than the server gives by itself.
 * @throws AppError `database`.
 */
export async function indexSettings(
  connection: ConnectionSettings,
  { jobs, signal }: { readonly jobs: number; readonly signal: AbortSignal },
): Promise<Readonly<Record<string, string>>> {
  await using client = await connect(connection, signal);
  const { rows } = await client.query<{ kib: string }>(
    "select setting as kib from pg_settings where name = 'maintenance_work_mem'",
  );
  const wanted = Math.floor(wantedKib / jobs);
  return Number(rows[0]?.kib) >= wanted ? {} : { maintenance_work_mem: `${wanted}kB` };
}
