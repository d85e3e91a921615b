// What must be so of a server whose log is followed, asked before anything is changed on it.

import type { Client } from 'pg';
import { AppError, toAppError } from '../errors.ts';

/** The server, as far as following its log asks for. */
export interface PitrSource {
  readonly major: number;
  readonly version: string;
  readonly segmentBytes: number;
  /** The role with the id 10. */
  readonly superuser: string;
  /** All databases of it, in bytes. */
  readonly dataBytes: number;
}

/** Asks. @throws AppError `database` for a standby, for `wal_level=minimal`, and for tablespaces. */
export async function readPitrSource(client: Client): Promise<PitrSource> {
  const { rows } = await client
    .query<Record<string, string>>(
      `select current_setting('server_version_num') as number, current_setting('server_version') as version,
              current_setting('wal_level') as level, pg_is_in_recovery()::text as standby,
              (select setting from pg_settings where name = 'wal_segment_size') as segment,
              (select rolname::text from pg_roles where oid = 10) as superuser,
              (select count(*)::text from pg_tablespace where spcname not in ('pg_default', 'pg_global')) as spaces,
              (select coalesce(sum(pg_database_size(oid)), 0)::text from pg_database) as size`,
    )
    .catch((error: unknown) => {
      throw toAppError(error, {
        code: 'database',
        message: 'The server cannot be asked about its log',
        hint: 'Connect as a superuser, as the stock compose file does, or grant pg_monitor to this role.',
      });
    });
  const row = rows[0] ?? {};
  const refuse = (message: string, hint: string): AppError =>
    new AppError('database', message, { hint, reason: 'unsupported' });
  // Not for good: a server that is restored, or promoted, answers like this until it is.
  if (row['standby'] === 'true')
    throw new AppError('database', 'This server is a standby or recovers, and its log is that of another', {
      hint: 'Wait until it has recovered, or set BACKUP_DATABASE_URL to the primary.',
    });
  if (row['level'] === 'minimal')
    throw refuse(
      'wal_level is minimal: the log of this server does not suffice for restoring',
      "Run ALTER SYSTEM SET wal_level = 'replica' and restart the database.",
    );
  if (row['spaces'] !== '0')
    throw refuse(
      'The server has tablespaces, which a base backup here does not take',
      'Set BACKUP_PITR=off, or drop them after ALTER TABLE … SET TABLESPACE pg_default.',
    );
  return {
    major: Math.floor(Number(row['number']) / 10_000),
    version: row['version'] ?? '',
    segmentBytes: Number(row['segment']),
    superuser: row['superuser'] ?? 'postgres',
    dataBytes: Number(row['size']),
  };
}
