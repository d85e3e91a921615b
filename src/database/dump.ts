// pg_dump as { bytes, done }: its output streams, its exit decides, its last words are part of the error. A dump that is
// stopped takes its server-side backend with it: a forgotten one keeps table locks and holds vacuum back for hours.

import path from 'node:path';
import type { Readable } from 'node:stream';
import type { Client } from 'pg';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { startChild, type ChildExit } from '../stream/child.ts';
import type { ClientPrograms } from './clients.ts';
import { watchWaitingSessions } from './waiting-sessions.ts';
import { connect, connectionHint, describeTarget, libpqEnvironment, type ConnectionSettings } from './connection.ts';

/** A running dump. */
export interface Dump extends AsyncDisposable {
  readonly bytes: Readable;
  /** Resolves when pg_dump has exited 0, with the moment of its snapshot; rejects with AppError `dump`. */
  readonly done: Promise<{ readonly dataAt: Date }>;
  /** What pg_dump warned of so far, in its own words; it exits 0 all the same. */
  readonly warnings: readonly string[];
}

const backendPollMs = 100;
const mostWarnings = 20;

/**
 * Starts `pg_dump -Fc -Z 0` of the whole database. The disposer stops it and ends its backend, unless it has
 * exited 0: a pg_dump that was killed may leave a backend behind as well.
 * `control` is an open connection to the same database; it is used, not closed.
 */
export async function startDump(options: {
  readonly connection: ConnectionSettings;
  readonly control: Client;
  readonly client: ClientPrograms;
  readonly serverMajor: number;
  readonly lockWaitMs: number;
  /** How long another session may wait behind the dump before it gives way. */
  readonly yieldAfterMs: number;
  readonly log: Log;
}): Promise<Dump> {
  const { control, log } = options;
  const since = await serverClock(control);
  const warnings: string[] = [];
  const hear = (line: string): void => {
    const warns = /\bwarning:/i.test(line);
    if (warns && warnings.length < mostWarnings) warnings.push(line.trim());
    if (warns) log.warn({ program: 'pg_dump' }, line);
    else log.debug({ program: 'pg_dump' }, line);
  };
  const child = startChild(path.join(options.client.directory, 'pg_dump'), {
    args: ['--format=custom', '--compress=0', '--no-password', `--lock-wait-timeout=${options.lockWaitMs}`],
    env: libpqEnvironment(options.connection, options),
    onStderrLine: hear,
  });
  let ended = false;
  const watch = watchBackend({ control, since, firstByte: child.stdout });
  let gaveWay: AppError | undefined;
  const waiting = watchWaitingSessions({
    control,
    backend: () => watch.processId(),
    limitMs: options.yieldAfterMs,
    onOverdue(waitedMs) {
      gaveWay = yieldError(waitedMs);
      log.warn({ waitedMs: Math.round(waitedMs) }, 'A session waits behind the dump; the dump gives way');
      // Its stream fails at once with the reason; that ends the pipeline, and the disposer ends pg_dump and its backend.
      child.stdout.destroy(gaveWay);
    },
  });
  const stopWatching = (): void => {
    watch.stop();
    waiting.stop();
  };
  const done = (async () => {
    try {
      const exit = await child.done;
      if (gaveWay !== undefined) throw gaveWay;
      if (exit.code !== 0 || exit.signal !== null) throw dumpError(exit, options);
      ended = true;
      return { dataAt: await watch.dataAt };
    } finally {
      stopWatching();
    }
  })();
  // Whoever reads the bytes waits for `done` through the gate; a failure before that must not go unhandled.
  done.catch(() => undefined);
  return {
    bytes: child.stdout,
    done,
    warnings,
    async [Symbol.asyncDispose]() {
      stopWatching();
      if (ended) return;
      await terminateBackend({ ...options, processId: watch.processId() });
      await child.stop();
    },
  };
}

function yieldError(waitedMs: number): AppError {
  const seconds = Math.round(waitedMs / 1_000);
  return new AppError('yielded', `The dump gave way to a session that had waited ${seconds} s for its locks`, {
    hint: 'Most often that is a migration: run the backup again when it is done. BACKUP_YIELD_AFTER says how long others may wait.',
  });
}

function dumpError(exit: ChildExit, options: { readonly connection: ConnectionSettings }): AppError {
  const how = exit.signal === null ? `exited with status ${exit.code}` : `was ended by ${exit.signal}`;
  const words = exit.stderrTail
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-5)
    .join(' | ');
  return new AppError(
    'dump',
    `pg_dump of ${describeTarget(options.connection)} ${how}${words === '' ? '' : `: ${words}`}`,
    {
      hint: dumpHint(exit),
    },
  );
}

function dumpHint({ stderrTail, signal }: ChildExit): string {
  // pg_dump implements --lock-wait-timeout with statement_timeout.
  if (/canceling statement due to (statement|lock) timeout[\s\S]*LOCK TABLE/i.test(stderrTail)) {
    return 'A table was locked for longer than BACKUP_LOCK_WAIT, often by a migration: run the backup again when it is done.';
  }
  if (/permission denied/i.test(stderrTail)) return 'Dump as the role that owns the tables: check DB_USER.';
  if (/out of memory|could not resize shared memory/i.test(stderrTail))
    return 'Give the database container more memory.';
  if (/terminating connection|server closed the connection/i.test(stderrTail)) {
    return 'The database ended the connection; look into its log, then run the backup again.';
  }
  if (/invalid page|could not read block|missing chunk|cache lookup failed/i.test(stderrTail)) {
    return 'The database is damaged: keep every older backup, and look into its log and its disk before anything else.';
  }
  if (signal === 'SIGKILL') return 'Something killed pg_dump, often the kernel for want of memory: look into dmesg.';
  return (
    connectionHint(stderrTail) ?? "Read pg_dump's words above; the log with BACKUP_LOG_LEVEL=debug has all of them."
  );
}

// The dump's backend is found by its name, our own address and its age: another container's dump has another address.
// What pg_dump asks before its transaction has a snapshot too, but is the first statement of a transaction of its own.
const backendQuery = `
  select a.pid, a.backend_xmin is not null and a.query_start > a.xact_start as has_snapshot, extract(epoch from clock_timestamp())::float8 as now
    from pg_stat_activity a
   where a.application_name = 'mastodon-backup' and a.usename = current_user and a.datname = current_database()
     and a.client_addr is not distinct from inet_client_addr()
     and a.pid <> pg_backend_pid() and a.backend_start >= to_timestamp($1::float8)
   order by a.backend_start limit 1`;

// Seconds since 1970 by the server's clock.
async function serverClock(control: Client): Promise<number> {
  const { rows } = await control.query<{ now: number }>('select extract(epoch from clock_timestamp())::float8 as now');
  return rows[0]?.now ?? Number.NaN;
}

interface BackendWatch {
  /** The moment, by the server's clock, at which the dump's snapshot was first seen to exist. */
  readonly dataAt: Promise<Date>;
  processId(): number | undefined;
  stop(): void;
}

// pg_dump does not say when it took its snapshot. Its backend shows one in pg_stat_activity as soon as it has it, and the
// first byte of output comes later for sure; whichever is seen first bounds the moment from above.
function watchBackend(options: {
  readonly control: Client;
  readonly since: number;
  readonly firstByte: Readable;
}): BackendWatch {
  const { control, since } = options;
  let processId: number | undefined;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const { promise: dataAt, resolve, reject } = Promise.withResolvers<Date>();
  dataAt.catch(() => undefined);
  const stop = (): void => {
    stopped = true;
    clearTimeout(timer);
  };
  async function look(): Promise<void> {
    const { rows } = await control.query<{ pid: number; has_snapshot: boolean; now: number }>(backendQuery, [since]);
    const backend = rows[0];
    processId ??= backend?.pid;
    if (backend?.has_snapshot === true) {
      resolve(new Date(backend.now * 1_000));
      stop();
    }
    if (!stopped) timer = setTimeout(() => void look().catch(reject), backendPollMs);
  }
  void look().catch(reject);
  options.firstByte.once('readable', () => {
    serverClock(control).then((now) => resolve(new Date(now * 1_000)), reject);
  });
  return { dataAt, processId: () => processId, stop };
}

async function terminateBackend(options: {
  readonly connection: ConnectionSettings;
  readonly processId: number | undefined;
  readonly log: Log;
}): Promise<void> {
  if (options.processId === undefined) return;
  try {
    // A connection of its own: the control connection may be what broke.
    await using client = await connect(options.connection, AbortSignal.timeout(5_000));
    await client.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and application_name = 'mastodon-backup'",
      [options.processId],
    );
  } catch (error) {
    options.log.warn(
      { err: error },
      "The dump's backend could not be ended; the server ends it by itself within a minute",
    );
  }
}
