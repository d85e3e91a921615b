// What a database has to do while something is measured beside it: pgbench, and log at a steady rate whatever pgbench writes.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { ConnectionSettings } from '../../src/database/connection.ts';
import { median } from './measured.ts';

/** What pgbench saw. */
export interface Load {
  readonly transactions: number;
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

/** Makes pgbench's tables; one unit of `scale` is some 15 MB. */
export async function initialise(connection: ConnectionSettings, scale: number): Promise<void> {
  await pgbench(connection, ['--initialize', '--quiet', `--scale=${scale}`]);
}

/** Runs pgbench's own transactions for so many seconds, without think time. */
export async function runLoad(
  connection: ConnectionSettings,
  { seconds, clients, folder, signal }: { seconds: number; clients: number; folder: string; signal?: AbortSignal },
): Promise<Load> {
  const logs = mkdtempSync(path.join(folder, 'pgbench-'));
  try {
    const startedAt = performance.now();
    const own = [`--client=${clients}`, `--time=${seconds}`, '--no-vacuum', '--log', `--log-prefix=${logs}/log`];
    await pgbench(connection, own, signal);
    const wall = (performance.now() - startedAt) / 1_000;
    // The third field of a line is the transaction's time in microseconds.
    const times = readdirSync(logs)
      .flatMap((name) => readFileSync(path.join(logs, name), 'utf8').trimEnd().split('\n'))
      .map((line) => Number(line.split(' ')[2]) / 1_000)
      .toSorted((a, b) => a - b);
    return {
      transactions: times.length,
      perSecond: times.length / wall,
      medianMs: median(times),
      p99Ms: times[Math.floor(times.length * 0.99)] ?? Number.NaN,
    };
  } finally {
    rmSync(logs, { recursive: true });
  }
}

async function pgbench(connection: ConnectionSettings, args: readonly string[], signal?: AbortSignal): Promise<void> {
  const child = spawn('pgbench', [...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      PGHOST: connection.host,
      PGPORT: String(connection.port),
      PGUSER: connection.user,
      PGPASSWORD: connection.password,
      PGDATABASE: connection.database,
    },
  });
  const end = (): void => void child.kill();
  signal?.addEventListener('abort', end, { once: true });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const status = await new Promise((resolve) => child.once('close', resolve));
  signal?.removeEventListener('abort', end);
  if (status !== 0 && signal?.aborted !== true) throw new Error(`pgbench ended with ${String(status)}: ${said}`);
}

/** Where the log of a server ends, in bytes. */
export async function endOfLog(client: Client): Promise<bigint> {
  const { rows } = await client.query<{ lsn: string }>("select (pg_current_wal_lsn() - '0/0')::text as lsn");
  return BigInt(rows[0]?.lsn ?? '0');
}

// Half of it is left when it is compressed, as of real log, and nothing comes again within what zstd remembers.
const words = randomBytes(2 * 1024 * 1024).toString('hex');
const everyMs = 50;

/** Fills the log up to so many bytes a second until it is told to stop; null: as fast as the server takes it. */
export async function writeLog(
  connection: ConnectionSettings,
  { bytesPerSecond, signal }: { readonly bytesPerSecond: number | null; readonly signal: AbortSignal },
): Promise<{ readonly bytesPerSecond: number }> {
  const client = new Client({ ...connection, ssl: false });
  await client.connect();
  try {
    const from = await endOfLog(client);
    const startedAt = performance.now();
    const seconds = (): number => (performance.now() - startedAt) / 1_000;
    let written = 0;
    let at = 0;
    while (!signal.aborted) {
      const lack = bytesPerSecond === null ? words.length : bytesPerSecond * seconds() - written;
      if (lack > 8_192) {
        const bytes = Math.min(lack, words.length / 4);
        if (at + bytes > words.length) at = 0;
        await client.query('select pg_logical_emit_message(false, $1, $2)', ['bench', words.slice(at, at + bytes)]);
        at += bytes;
      }
      written = Number((await endOfLog(client)) - from);
      if (bytesPerSecond !== null) await sleep(everyMs);
    }
    return { bytesPerSecond: written / seconds() };
  } finally {
    await client.end();
  }
}
