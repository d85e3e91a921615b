// One pg_dump process and its backend on the server. A dump that is stopped takes its backend with it: a forgotten one keeps
// table locks and holds vacuum back for hours.

import path from 'node:path';
import { PassThrough, pipeline, type Readable } from 'node:stream';
import type { Client } from 'pg';
import type { Log } from '../log.ts';
import { startChild, type Child } from '../stream/child.ts';
import type { ClientPrograms } from './clients.ts';
import { whenReachable } from './clean-up.ts';
import { applicationName, connect, libpqEnvironment, type ConnectionSettings } from './connection.ts';
import type { Turns } from './turns.ts';

/** What a pg_dump is started with. */
export interface DumpProcessOptions {
  readonly connection: ConnectionSettings;
  readonly control: Client;
  /** Those of `control`. */
  readonly turns: Turns;
  readonly client: ClientPrograms;
  readonly serverMajor: number;
  readonly lockWaitMs: number;
  /** How far pg_dump stands back for others, 0 to 19. */
  readonly niceness: number;
  readonly log: Log;
}

/** A running pg_dump. */
export interface DumpProcess {
  readonly child: Child;
  /** What it writes; kept from the start, since Node throws away what nobody has read when a child exits. */
  readonly bytes: Readable;
  /** What it warned of so far, in its own words. */
  readonly warnings: readonly string[];
  /** Its process id on the server, once it was seen there. */
  backend(): number | undefined;
  /**
   * Looks for the backend, and whether it waits for somebody: the process ids of whoever it waits for, 0 for a prepared
   * transaction; null when it does not wait.
   */
  waitsFor(): Promise<readonly number[] | null>;
  /** Ends the process and its backend; resolves when the process is gone. */
  stop(): Promise<void>;
}

const mostWarnings = 20;

/** Starts `pg_dump -Fc -Z 0` of the whole database in a snapshot that is held, at `takenAtSeconds` by the server's clock. */
export function startDumpProcess(
  options: DumpProcessOptions,
  snapshot: { readonly id: string; readonly takenAtSeconds: number },
): DumpProcess {
  const { control, log } = options;
  const warnings: string[] = [];
  const child = startChild(path.join(options.client.directory, 'pg_dump'), {
    args: [
      '--format=custom',
      '--compress=0',
      '--no-password',
      `--lock-wait-timeout=${options.lockWaitMs}`,
      `--snapshot=${snapshot.id}`,
    ],
    env: libpqEnvironment(options.connection, options),
    niceness: options.niceness,
    onStderrLine(line) {
      const warns = /\bwarning:/i.test(line);
      if (warns && warnings.length < mostWarnings) warnings.push(line.trim());
      if (warns) log.warn({ program: 'pg_dump' }, line);
      else log.debug({ program: 'pg_dump' }, line);
    },
  });
  const bytes = new PassThrough();
  // Whoever reads the bytes is told of what fails.
  pipeline(child.stdout, bytes, () => undefined);
  let processId: number | undefined;
  return {
    child,
    bytes,
    warnings,
    backend: () => processId,
    async waitsFor() {
      const { rows } = await options.turns.take(async () => {
        // Within a transaction pg_stat_activity would stay as it was; and whoever is made another role at the login
        // (ALTER ROLE … SET role) sees nothing there of the sessions that are its own.
        await control.query('set role none; select pg_stat_clear_snapshot()');
        const found = await control.query<{ pid: number; blockers: number[] | null }>(backendQuery, [
          snapshot.takenAtSeconds,
        ]);
        await control.query('reset role');
        return found;
      });
      processId ??= rows[0]?.pid;
      return rows[0]?.blockers ?? null;
    },
    async stop() {
      await terminateBackend({ ...options, processId });
      await child.stop();
    },
  };
}

// Found by its name, our own address and its age: another container's dump has another address.
const backendQuery = `
  select a.pid,
         case when exists (select from pg_locks l where l.pid = a.pid and not l.granted) then pg_blocking_pids(a.pid) end as blockers
    from pg_stat_activity a
   where a.application_name = '${applicationName}' and a.usename = session_user and a.datname = current_database()
     and a.client_addr is not distinct from inet_client_addr()
     and a.pid <> pg_backend_pid() and a.backend_start >= to_timestamp($1::float8)
   order by a.backend_start limit 1`;

async function terminateBackend(options: {
  readonly connection: ConnectionSettings;
  readonly processId: number | undefined;
  readonly log: Log;
}): Promise<void> {
  if (options.processId === undefined) return;
  const signal = AbortSignal.timeout(5_000);
  const end = async (): Promise<void> => {
    // A connection of its own: the control connection may be what broke.
    await using client = await connect(options.connection, signal);
    await client.query('set role none');
    await client.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and application_name = $2',
      [options.processId, applicationName],
    );
  };
  try {
    await whenReachable(end, { signal });
  } catch (error) {
    options.log.warn(
      { err: error },
      "The dump's backend could not be ended; the server ends it by itself within a minute",
    );
  }
}
