// Whether the log could be followed, and what that would cost, for `doctor`: found out before the setting is switched on for good,
// and not by a gap.

import type { Client } from 'pg';
import type { PitrSettings } from '../config/settings.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { problem, type Finding } from '../doctor/finding.ts';
import { AppError, describeError } from '../errors.ts';
import { formatBytes, formatSpan } from '../text/format.ts';
import { slotName } from './guard.ts';
import { connectForReplication, identifySystem } from './replication-connection.ts';
import { readPitrSource } from './source.ts';

const dayMs = 86_400_000;
/** What is left of the log of a busy server; of an idle one it is less. */
const compressed = 0.45;
/** A receiver and a base backup at the same time. */
const sendersNeeded = 2;
/** R2 in late 2026: dollars for a GB in a month, for a million of writes, and what of both is free. */
const prices = { storedGb: 0.015, millionWrites: 4.5, freeGb: 10, freeWrites: 1_000_000 } as const;

/** Looks at the server. Nothing is changed on it. */
export async function examinePitr(
  connection: ConnectionSettings,
  {
    settings,
    instance,
    isSigned,
    signal,
  }: {
    readonly settings: PitrSettings;
    readonly instance: string;
    /** Whether each object of the log gets a signature beside it. */
    readonly isSigned: boolean;
    readonly signal: AbortSignal;
  },
): Promise<readonly Finding[]> {
  const check = 'point-in-time recovery';
  try {
    await using client = await connect(connection, signal);
    const source = await readPitrSource(client);
    const rights = await examineRights(client);
    if (rights !== null) return [rights];
    await assertReplication(connection, signal);
    return [
      { check, status: 'ok', detail: `the log of PostgreSQL ${source.version} can be followed`, remedy: null },
      ...(await examineRoom(client, instance)),
      ...(await examineLimit(client, settings)),
      ...(await estimate(client, { settings, isSigned, dataBytes: source.dataBytes })),
    ];
  } catch (error) {
    signal.throwIfAborted();
    return [problem(check, error)];
  }
}

async function examineRights(client: Client): Promise<Finding | null> {
  const { rows } = await client.query<{ role: string; may: boolean }>(
    'select rolname::text as role, rolsuper or rolreplication as may from pg_roles where rolname = current_user',
  );
  const [row] = rows;
  if (row === undefined || row.may) return null;
  return {
    check: 'point-in-time recovery',
    status: 'problem',
    detail: `the role '${row.role}' may not replicate`,
    remedy: `Run as a superuser: ALTER ROLE "${row.role}" REPLICATION; or set BACKUP_DATABASE_URL to a superuser, as the stock compose file has it.`,
  };
}

async function assertReplication(connection: ConnectionSettings, signal: AbortSignal): Promise<void> {
  try {
    await using client = await connectForReplication(connection, signal);
    await identifySystem(client, connection);
  } catch (error) {
    signal.throwIfAborted();
    const isFull = /max_wal_senders/.test(describeError(error));
    throw new AppError('database', `No connection for replication: ${describeError(error)}`, {
      cause: error,
      hint: isFull
        ? 'Raise max_wal_senders by ALTER SYSTEM and restart the database, or end what uses them: select * from pg_stat_replication.'
        : 'A pooler (PgBouncer) does not pass it on: set BACKUP_DATABASE_URL to the server itself.',
    });
  }
}

async function examineRoom(client: Client, instance: string): Promise<readonly Finding[]> {
  const { rows } = await client.query<{ slots: number; senders: number }>(
    `select current_setting('max_replication_slots')::int
              - (select count(*)::int from pg_replication_slots where slot_name <> $1) as slots,
            current_setting('max_wal_senders')::int
              - (select count(*)::int from pg_stat_replication where application_name not like 'mastodon-backup%') as senders`,
    [slotName(instance)],
  );
  const { slots = 1, senders = sendersNeeded } = rows[0] ?? {};
  const findings: Finding[] = [];
  const lack = (what: string, setting: string): number =>
    findings.push({
      check: 'replication',
      status: 'problem',
      detail: `there is no ${what} left on the server`,
      remedy: `Raise ${setting} by ALTER SYSTEM and restart the database, or end what uses them: select * from pg_stat_replication; select * from pg_replication_slots.`,
    });
  if (slots < 1) lack('replication slot', 'max_replication_slots');
  if (senders < sendersNeeded) lack('WAL sender', 'max_wal_senders');
  return findings;
}

async function examineLimit(client: Client, { slotLimitBytes }: PitrSettings): Promise<readonly Finding[]> {
  const { rows } = await client.query<{ megabytes: string; super: boolean; version: number }>(
    `select setting as megabytes, (select rolsuper from pg_roles where rolname = current_user) as super,
            current_setting('server_version_num')::int as version
       from pg_settings where name = 'max_slot_wal_keep_size'`,
  );
  const [row] = rows;
  if (row === undefined) return [];
  const limit = Number(row.megabytes);
  const may = row.super || (await mayAlterSystem(client, row.version));
  if (limit >= 0 || may) {
    const bytes = limit >= 0 ? limit * 1024 * 1024 : slotLimitBytes;
    return [
      {
        check: 'slot limit',
        status: 'ok',
        detail: `the server keeps at most ${formatBytes(bytes)} of its log for us${limit >= 0 ? '' : ', once the daemon has set it'}`,
        remedy: null,
      },
    ];
  }
  return [
    {
      check: 'slot limit',
      status: 'warning',
      detail:
        'max_slot_wal_keep_size is -1, and this role may not set it: there will be no slot, and what the server forgets while we are away is a gap',
      remedy: `Run as a superuser: ALTER SYSTEM SET max_slot_wal_keep_size = '${Math.ceil(slotLimitBytes / 1024 ** 2)}MB'; SELECT pg_reload_conf().`,
    },
  ];
}

async function mayAlterSystem(client: Client, version: number): Promise<boolean> {
  if (version < 150_000) return false;
  const { rows } = await client.query<{ may: boolean }>(
    "select has_parameter_privilege('max_slot_wal_keep_size', 'alter system') as may",
  );
  return rows[0]?.may === true;
}

async function estimate(
  client: Client,
  {
    settings,
    isSigned,
    dataBytes,
  }: { readonly settings: PitrSettings; readonly isSigned: boolean; readonly dataBytes: number },
): Promise<readonly Finding[]> {
  const { rows } = await client.query<{ bytes: string; ms: string }>(
    `select wal_bytes::text as bytes, (extract(epoch from clock_timestamp() - stats_reset) * 1000)::bigint::text as ms
       from pg_stat_wal`,
  );
  const [row] = rows;
  const ms = Number(row?.ms ?? 0);
  if (row === undefined || ms < 60_000) return [];
  const { walBytesADay, writesAMonth, storedBytes, dollarsAMonth } = costOf({
    walBytesADay: (Number(row.bytes) / ms) * dayMs,
    dataBytes,
    isSigned,
    settings,
  });
  return [
    {
      check: 'log a day',
      status: 'ok',
      detail: `about ${formatBytes(walBytesADay)} in the last ${formatSpan(ms)}; kept for ${formatSpan(settings.keepMs)} and base backups that is about ${formatBytes(storedBytes)} in the store and at most ${writesAMonth.toLocaleString('en')} writes a month: on R2 about $${dollarsAMonth.toFixed(2)} a month`,
      remedy: null,
    },
  ];
}

/** What it costs on R2, in dollars of late 2026; `walBytesADay` as the server writes them. */
export function costOf({
  walBytesADay,
  dataBytes,
  isSigned,
  settings,
}: {
  readonly walBytesADay: number;
  readonly dataBytes: number;
  readonly isSigned: boolean;
  readonly settings: Pick<PitrSettings, 'keepMs' | 'uploadEveryMs'>;
}): {
  readonly walBytesADay: number;
  readonly writesAMonth: number;
  readonly storedBytes: number;
  readonly dollarsAMonth: number;
} {
  // A base a week: back to the one before the oldest moment that is wanted.
  const days = settings.keepMs / dayMs + 7;
  const storedBytes = days * walBytesADay * compressed + Math.ceil(days / 7) * dataBytes * compressed;
  const writesAMonth = Math.round(
    (isSigned ? 2 : 1) * 30 * (dayMs / settings.uploadEveryMs + walBytesADay / (16 * 1024 * 1024)),
  );
  const dollarsAMonth =
    Math.max(0, storedBytes / 1e9 - prices.freeGb) * prices.storedGb +
    (Math.max(0, writesAMonth - prices.freeWrites) / 1e6) * prices.millionWrites;
  return { walBytesADay, writesAMonth, storedBytes, dollarsAMonth };
}
