// Whether a run could dump the database: as whom pg_dump gets in, what it may read, how old a standby's data is, and whether
// a forgotten transaction keeps a table locked. A green doctor before a run that must fail is worse than none.

import type { Client } from 'pg';
import type { ClientPrograms } from '../database/clients.ts';
import { describeTarget, type ConnectionSettings } from '../database/connection.ts';
import { findMissingRights, missingRightsError } from '../database/dump-rights.ts';
import { tryLogin } from '../database/dump-login.ts';
import { describeSupport } from '../database/major-support.ts';
import { listPreparedTransactions } from '../database/prepared-transactions.ts';
import type { DatabaseFacts } from '../database/server.ts';
import { describeStandby, listUnloggedTables, mostLagMs, readStandby, standbyLagError } from '../database/standby.ts';
import { formatDuration } from '../text/format.ts';
import { problem, type Finding } from './finding.ts';

/** A transaction is prepared for moments. */
const forgottenAfterSeconds = 600;

/** All findings about the source; a check that fails is a finding itself. */
export async function examineSource(
  client: Client,
  {
    facts,
    now,
    heard,
  }: {
    readonly facts: DatabaseFacts;
    readonly now: Date;
    /** Called after each answer. */
    readonly heard: () => void;
  },
): Promise<readonly Finding[]> {
  const checks: readonly (readonly [string, () => Promise<readonly Finding[]>])[] = [
    ['version', async () => examineVersion(facts, now)],
    ['rights', async () => examineRights(client, facts)],
    ['standby', async () => examineStandby(client)],
    ['prepared transactions', async () => examinePrepared(client)],
  ];
  const findings: Finding[] = [];
  for (const [check, run] of checks) {
    try {
      findings.push(...(await run()));
      heard();
    } catch (error) {
      findings.push({ ...problem(check, error), status: 'warning' });
    }
  }
  return findings;
}

/** Only what a person has to do something about. */
export function examineVersion(
  facts: Pick<DatabaseFacts, 'serverMajor' | 'serverVersion'>,
  now: Date,
): readonly Finding[] {
  const { status, text } = describeSupport(facts, now);
  if (status === 'supported') return [];
  const remedy =
    'Plan the way to a newer one, which is rehearsed while Mastodon runs; begin with: mastodon-backup upgrade check.';
  return [{ check: 'version', status: 'warning', detail: text, remedy }];
}

async function examineRights(client: Client, facts: DatabaseFacts): Promise<readonly Finding[]> {
  const rights = await findMissingRights(client);
  const error = missingRightsError(rights, facts);
  if (error !== undefined) return [problem('rights', error)];
  const detail = `the role '${rights.role}' may read every table, sequence and large object`;
  return [{ check: 'rights', status: 'ok', detail, remedy: null }];
}

async function examineStandby(client: Client): Promise<readonly Finding[]> {
  const standby = await readStandby(client);
  if (standby === null) return [];
  const lag = standbyLagError(standby);
  if (lag !== undefined) return [problem('standby', lag)];
  const [general = '', ...late] = describeStandby(standby);
  const unlogged = await listUnloggedTables(client);
  return [
    {
      check: 'standby',
      status: late.length > 0 ? 'warning' : 'ok',
      detail: [...late, general].join('; '),
      remedy:
        late.length > 0
          ? `Look at pg_stat_wal_receiver of the standby: beyond ${formatDuration(mostLagMs)} no backup is made.`
          : null,
    },
    ...(unlogged.length === 0
      ? []
      : [
          {
            check: 'standby',
            status: 'warning' as const,
            detail: `a standby has no rows of unlogged tables: ${unlogged.join(', ')}`,
            remedy:
              'Back up the primary (BACKUP_DATABASE_URL) when these rows matter, or run ALTER TABLE … SET LOGGED there.',
          },
        ]),
  ];
}

async function examinePrepared(client: Client): Promise<readonly Finding[]> {
  const forgotten = (await listPreparedTransactions(client)).filter(
    ({ ageSeconds }) => ageSeconds > forgottenAfterSeconds,
  );
  const [oldest] = forgotten;
  if (oldest === undefined) return [];
  return [
    {
      check: 'prepared transactions',
      status: 'warning',
      detail: `${forgotten.length} prepared and never finished, the oldest '${oldest.gid}' ${formatDuration(oldest.ageSeconds * 1_000)} ago: they keep their locks, also from a backup`,
      remedy: `End it: ROLLBACK PREPARED '${oldest.gid.replaceAll("'", "''")}', or COMMIT PREPARED if it was meant to be.`,
    },
  ];
}

/** Whether pg_dump itself gets in: it reads certificates and passwords with libpq's eyes, not with ours. */
export async function examineLogin(
  connection: ConnectionSettings,
  {
    client,
    facts,
    signal,
  }: { readonly client: ClientPrograms; readonly facts: DatabaseFacts; readonly signal: AbortSignal },
): Promise<readonly Finding[]> {
  try {
    await tryLogin(connection, { client, serverMajor: facts.serverMajor, signal });
    return [];
  } catch (error) {
    return [
      {
        ...problem('client', error),
        detail: `pg_dump cannot log in as ${describeTarget(connection)}: ${problem('client', error).detail}`,
      },
    ];
  }
}
