// A replication slot keeps the log for us while we are away, and without a limit it fills the disk of the database until
// that stops and cannot start again. So the limit comes first, is read back, and only then is there a slot; a role that may
// not set one gets no slot.

import { createHash } from 'node:crypto';
import { escapeLiteral, type Client } from 'pg';
import { describeError, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { pause } from '../stream/patience.ts';
import { formatBytes } from '../text/format.ts';
import { parseLsn, type Lsn } from './lsn.ts';

/** How the log is held for us. */
export type SlotHold =
  | { readonly kind: 'slot'; readonly name: string; readonly limitBytes: number }
  /** The log is followed without one: what the server forgets while we are away is a gap. */
  | { readonly kind: 'none'; readonly reason: string };

/** A slot as the server shows it. */
export interface SlotState {
  readonly name: string;
  /** `reserved`, `extended`, `unreserved` or `lost`. */
  readonly status: string;
  readonly isActive: boolean;
  /** Bytes of the log that the server keeps because of it; null: it is lost, or has never been used. */
  readonly keptBytes: number | null;
  /** From where on: what it was told last to be stored. */
  readonly keptFrom: Lsn | null;
}

const mib = 1024 * 1024;
const readBackMs = 10_000;

/** The name of our slot on a server; instances that share one have each its own. */
export function slotName(instance: string): string {
  return `mastodon_backup_${createHash('sha256').update(instance).digest('hex').slice(0, 8)}`;
}

/** Sets the limit, reads it back, and makes the slot. @throws AppError `database` when it cannot be said how it stands. */
export async function holdLog(
  client: Client,
  { instance, limitBytes, log }: { readonly instance: string; readonly limitBytes: number; readonly log: Log },
): Promise<SlotHold> {
  const limit = await limitSlots(client, { limitBytes, log });
  if (limit.kind === 'none') {
    // One of ours from before somebody took the limit away must not go on without it.
    const left = await readSlot(client, instance);
    if (left !== null && !left.isActive) await dropSlot(client, left.name);
    return limit;
  }
  const name = slotName(instance);
  const found = await readSlot(client, instance);
  if (found?.status === 'lost') {
    log.warn({ slot: name }, 'The slot was given up by the server: what it held is lost, and a new base is needed');
    await dropSlot(client, name);
  }
  if (found === null || found.status === 'lost') {
    try {
      await client.query('select pg_create_physical_replication_slot($1, true)', [name]);
    } catch (error) {
      throw toAppError(error, {
        code: 'database',
        message: 'No slot could be made on the server',
        hint: 'Raise max_replication_slots, or drop a slot that nobody uses: select slot_name, active from pg_replication_slots.',
      });
    }
    log.info({ slot: name, limitBytes: limit.limitBytes }, 'The server keeps its log for us from now on');
  }
  return { kind: 'slot', name, limitBytes: limit.limitBytes };
}

/** Our slot; null: there is none. */
export async function readSlot(client: Client, instance: string): Promise<SlotState | null> {
  const { rows } = await client.query<{
    status: string;
    active: boolean;
    kept: string | null;
    kept_from: string | null;
  }>(
    `select coalesce(wal_status, 'lost') as status, active,
            case when wal_status <> 'lost' then pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint::text end as kept,
            case when wal_status <> 'lost' then restart_lsn::text end as kept_from
       from pg_replication_slots where slot_name = $1`,
    [slotName(instance)],
  );
  const [row] = rows;
  if (row === undefined) return null;
  const keptBytes = row.kept === null ? null : Number(row.kept);
  return {
    name: slotName(instance),
    status: row.status,
    isActive: row.active,
    keptBytes,
    keptFrom: row.kept_from === null ? null : parseLsn(row.kept_from),
  };
}

async function dropSlot(client: Client, name: string): Promise<void> {
  await client.query('select pg_drop_replication_slot($1)', [name]);
}

type Limit = { readonly kind: 'limited'; readonly limitBytes: number } | Extract<SlotHold, { kind: 'none' }>;

async function limitSlots(
  client: Client,
  { limitBytes, log }: { readonly limitBytes: number; readonly log: Log },
): Promise<Limit> {
  const before = await readLimit(client);
  // Somebody's own limit stays, whatever it is: a smaller one is safe, and a larger one is what they have room for.
  if (before.megabytes >= 0 && !(before.isOfAlterSystem && before.megabytes * mib < limitBytes))
    return { kind: 'limited', limitBytes: before.megabytes * mib };
  const wanted = Math.ceil(limitBytes / mib);
  try {
    await client.query(`alter system set max_slot_wal_keep_size = ${escapeLiteral(`${wanted}MB`)}`);
    await client.query('select pg_reload_conf()');
  } catch (error) {
    if (before.megabytes >= 0) return { kind: 'limited', limitBytes: before.megabytes * mib };
    const reason = `this role may not limit what a slot keeps (max_slot_wal_keep_size is -1: without limit): ${describeError(error)}`;
    log.warn({ reason }, 'No slot is made: the log is followed without one');
    return { kind: 'none', reason };
  }
  for (const until = performance.now() + readBackMs; ; await pause(50)) {
    const { megabytes } = await readLimit(client);
    if (megabytes === wanted) {
      log.info({ limitBytes: wanted * mib }, 'max_slot_wal_keep_size is set: the server never keeps more for a slot');
      return { kind: 'limited', limitBytes: wanted * mib };
    }
    if (performance.now() < until) continue;
    if (megabytes >= 0) return { kind: 'limited', limitBytes: megabytes * mib };
    const reason = `max_slot_wal_keep_size stays -1 (without limit) although it was set to ${formatBytes(wanted * mib)}`;
    log.warn({ reason }, 'No slot is made: the log is followed without one');
    return { kind: 'none', reason };
  }
}

async function readLimit(client: Client): Promise<{ readonly megabytes: number; readonly isOfAlterSystem: boolean }> {
  const { rows } = await client.query<{ setting: string; file: string | null }>(
    "select setting, sourcefile as file from pg_settings where name = 'max_slot_wal_keep_size'",
  );
  return {
    megabytes: Number(rows[0]?.setting ?? -1),
    isOfAlterSystem: rows[0]?.file?.endsWith('/postgresql.auto.conf') === true,
  };
}
