// A daemon and its server as they are watched from outside: how far what is stored is behind, what the daemon takes, and how long a
// server needs to stop.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { PitrRecord } from '../../src/state/pitr-record.ts';
import { openState, type StateFiles } from '../../src/state/state-files.ts';
import { quietLog } from '../support/quiet-log.ts';
import type { StockServer } from '../support/stock-server.ts';
import { endOfLog } from './load.ts';

/** A server and the settings of the daemon beside it. */
export interface Watched {
  readonly environment: Readonly<Record<string, string>>;
  readonly control: Client;
}

/** What the daemon of these settings remembers. */
export function stateOf(environment: Watched['environment']): StateFiles {
  const directory = environment['BACKUP_STATE_DIR'] ?? '';
  return openState({ directory, instance: 'example.social', now: () => new Date(), log: quietLog });
}

/** What it remembers of the log. */
export async function recordOf(environment: Watched['environment']): Promise<PitrRecord | null> {
  return stateOf(environment).readPitr();
}

/** How much of what the server has written is not stored, as it is remembered: up to five seconds late. */
export async function behindBytes(control: Client, { following }: PitrRecord): Promise<number> {
  const [high = '0', low = '0'] = (following?.storedTo ?? '0/0').split('/');
  return Number((await endOfLog(control)) - ((BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)));
}

// proc(5): its peak since `clear_refs`, and what it took of the processor.
/** Begins the peak anew. */
export const forget = (pid: number | undefined): void => writeFileSync(`/proc/${pid}/clear_refs`, '5');
/** Most memory that it held, in MiB. */
export const peakOf = (pid: number | undefined): number =>
  Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;
/** Seconds of the processor that it took. */
export const processorOf = (pid: number | undefined): number => {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

/** How far what is stored is behind, as the slot says it after each upload, looked at until `signal` ends it. */
export async function watchLag(
  { control }: Watched,
  signal: AbortSignal,
): Promise<{ readonly bytes: number; readonly seconds: number }> {
  const passed: { readonly at: number; readonly end: bigint }[] = [];
  let bytes = 0;
  let lagSeconds = 0;
  while (!signal.aborted) {
    const { rows } = await control.query<{ ended: string; stored: string }>(
      `select (pg_current_wal_lsn() - '0/0')::text as ended, (restart_lsn - '0/0')::text as stored from pg_replication_slots`,
    );
    const end = BigInt(rows[0]?.ended ?? '0');
    const stored = BigInt(rows[0]?.stored ?? '0');
    passed.push({ at: performance.now(), end });
    bytes = Math.max(bytes, Number(end - stored));
    // What was written first of what is not stored.
    const oldest = passed.find((one) => one.end > stored);
    if (oldest !== undefined) lagSeconds = Math.max(lagSeconds, (performance.now() - oldest.at) / 1_000);
    await sleep(200);
  }
  return { bytes, seconds: lagSeconds };
}

/** Until all that the server has written by now is stored, in seconds. */
export async function catchUp({ control }: Watched): Promise<number> {
  const startedAt = performance.now();
  const end = await endOfLog(control);
  for (;;) {
    const { rows } = await control.query<{ stored: string }>(
      "select (restart_lsn - '0/0')::text as stored from pg_replication_slots",
    );
    if (BigInt(rows[0]?.stored ?? '0') >= end) return (performance.now() - startedAt) / 1_000;
    await sleep(100);
  }
}

/** Stops a server as Docker does, and says how long that took, in milliseconds. */
export async function stopFast({ data }: StockServer): Promise<number> {
  const pid = Number.parseInt(readFileSync(path.join(data, 'postmaster.pid'), 'utf8'), 10);
  const startedAt = performance.now();
  process.kill(pid, 'SIGINT');
  // A zombie of ours has ended.
  const runs = (): boolean => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  };
  while (runs()) await sleep(10);
  return performance.now() - startedAt;
}
