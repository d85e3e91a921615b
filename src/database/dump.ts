// A dump as { bytes, done }: its output streams, its exit decides, its last words are part of the error. It is taken in a
// snapshot that is younger than all of its locks, and begun anew as long as nothing of it has been handed over when somebody
// comes between: a dump that waited inside its snapshot would hold tables empty that are not.

import type { Readable } from 'node:stream';
import type { Client } from 'pg';
import { AppError, describeError } from '../errors.ts';
import type { ChildExit } from '../stream/child.ts';
import { pause } from '../stream/patience.ts';
import { formatSpan } from '../text/format.ts';
import { dumpError, metChange, yieldError } from './dump-errors.ts';
import { startDumpProcess, type DumpProcess, type DumpProcessOptions } from './dump-process.ts';
import { holdSnapshot, type HeldSnapshot } from './held-snapshot.ts';
import type { LockPatience } from './lock-wait.ts';
import { readStandby, standbyLagError } from './standby.ts';
import { createTurns, type Turns } from './turns.ts';
import { watchWaitingSessions } from './waiting-sessions.ts';

/** A running dump. */
export interface Dump extends AsyncDisposable {
  readonly bytes: Readable;
  /** Resolves when pg_dump has exited 0, with the moment of its snapshot; rejects with AppError `dump`. */
  readonly done: Promise<{ readonly dataAt: Date }>;
  /** What pg_dump warned of so far, in its own words; it exits 0 all the same. */
  readonly warnings: readonly string[];
}

/** What a dump needs. */
export interface DumpOptions<Seen> extends Omit<DumpProcessOptions, 'turns'> {
  /** How long another session may wait behind the dump before it gives way. */
  readonly yieldAfterMs: number;
  /** How long pg_dump may take to its first byte. */
  readonly stallTimeoutMs: number;
  readonly signal: AbortSignal;
  /** Asks what must be of the same moment as the data, inside the transaction that holds the snapshot. */
  readonly readInSnapshot: (client: Client, turns: Turns) => Promise<Seen>;
}

const backendPollMs = 100;
/** A definition that changed under pg_dump is no damage when it stays away the next time. */
const mostChanges = 3;

/**
 * Starts `pg_dump -Fc -Z 0` of the whole database and resolves at its first byte, when it has all its locks and has read
 * every definition. The disposer stops it and ends its backend, unless it has exited 0: a pg_dump that was killed may leave
 * a backend behind as well. `control` is an open connection to the same database; it is used, not closed.
 */
export async function startDump<Seen>(options: DumpOptions<Seen>): Promise<Dump & { readonly seen: Seen }> {
  const patience = { lockWaitMs: options.lockWaitMs, deadlineMs: performance.now() + options.lockWaitMs };
  for (let changes = 0; ;) {
    const attempt = await tryDump(options, patience);
    if (attempt.kind === 'started') return attempt.dump;
    if (attempt.kind === 'changed') {
      changes += 1;
      if (changes >= mostChanges) throw dumpError(attempt.exit, options);
    }
    options.log.warn({ reason: attempt.kind }, 'Somebody changed a table while the dump began; it begins anew');
    if (attempt.kind === 'behind') await letPass(options, { blockers: attempt.blockers, patience });
  }
}

type Attempt<Seen> =
  | { readonly kind: 'started'; readonly dump: Dump & { readonly seen: Seen } }
  | { readonly kind: 'behind'; readonly blockers: readonly number[] }
  | { readonly kind: 'changed'; readonly exit: ChildExit };

async function tryDump<Seen>(options: DumpOptions<Seen>, patience: LockPatience): Promise<Attempt<Seen>> {
  const { control, log, signal } = options;
  const held = await holdSnapshot(control, { patience, signal });
  let moment: number;
  try {
    moment = await momentOfData(control, held);
  } catch (error) {
    await held.release();
    throw lostError(error);
  }
  const turns = createTurns();
  const dumping = startDumpProcess({ ...options, turns }, held);
  const { bytes } = dumping;
  let holding = true;
  let ended = false;
  let gaveWay: AppError | undefined;
  const waiting = watchWaitingSessions({
    control,
    turns,
    backends: () => [dumping.backend(), holding ? held.processId : undefined].filter((pid) => pid !== undefined),
    limitMs: options.yieldAfterMs,
    onOverdue(waitedMs) {
      gaveWay = yieldError(waitedMs);
      log.warn({ waitedMs: Math.round(waitedMs) }, 'A session waits behind the dump; the dump gives way');
      // Its stream fails at once with the reason; that ends the pipeline, and the disposer ends pg_dump and its backend.
      bytes.destroy(gaveWay);
    },
  });
  const throwIfGaveWay = (): void => {
    if (gaveWay !== undefined) throw gaveWay;
  };
  const stop = async (): Promise<void> => {
    waiting.stop();
    await dumping.stop();
  };
  try {
    const [seen, start] = await Promise.all([options.readInSnapshot(control, turns), awaitStart(dumping, options)]);
    throwIfGaveWay();
    if (start.kind === 'behind' || (start.kind === 'exited' && metChange(start.exit))) {
      await stop();
      // A pg_dump that misses the snapshot of a lost session says that it changed.
      await control.query('select');
      return start.kind === 'behind' ? start : { kind: 'changed', exit: start.exit };
    }
    if (start.kind === 'exited' && !exitedWell(start.exit)) throw dumpError(start.exit, options);
    // pg_dump has locks and snapshot of its own by now.
    holding = false;
    await held.release();
    const done = (async () => {
      try {
        const exit = await dumping.child.done;
        throwIfGaveWay();
        if (!exitedWell(exit)) throw dumpError(exit, options);
        ended = true;
        // Rounded up: what was committed in that very millisecond is in it.
        return { dataAt: new Date(Math.ceil(moment * 1_000)) };
      } finally {
        waiting.stop();
      }
    })();
    // Whoever reads the bytes waits for `done` through the gate; a failure before that must not go unhandled.
    done.catch(() => undefined);
    const dispose = async (): Promise<void> => {
      waiting.stop();
      if (!ended) await dumping.stop();
    };
    const { warnings } = dumping;
    return { kind: 'started', dump: { bytes, done, warnings, seen, [Symbol.asyncDispose]: dispose } };
  } catch (error) {
    await stop();
    signal.throwIfAborted();
    throwIfGaveWay();
    throw lostError(error);
  } finally {
    if (holding) await held.release();
  }
}

function lostError(error: unknown): AppError {
  // What is known of a session in general is less than what is lost with this one.
  if (error instanceof AppError && error.reason !== 'unreachable') return error;
  const cause = error instanceof AppError ? (error.cause ?? error) : error;
  return new AppError('database', `The session that holds the snapshot was lost: ${describeError(cause)}`, {
    cause: error,
    hint: "Look into the database's log, then run the backup again.",
  });
}

// On a standby the data may be older than the snapshot of it.
async function momentOfData(control: Client, { takenAtSeconds }: HeldSnapshot): Promise<number> {
  const standby = await readStandby(control);
  if (standby === null) return takenAtSeconds;
  const error = standbyLagError(standby);
  if (error !== undefined) throw error;
  return Math.min(takenAtSeconds, standby.replayedAtSeconds ?? takenAtSeconds);
}

function exitedWell({ code, signal }: ChildExit): boolean {
  return code === 0 && signal === null;
}

type Start =
  | { readonly kind: 'bytes' }
  | { readonly kind: 'exited'; readonly exit: ChildExit }
  | { readonly kind: 'behind'; readonly blockers: readonly number[] };

// What comes first of pg_dump: a byte, its end, or somebody between our locks and its own. Rejects when the control
// connection breaks, for then the snapshot is gone as well.
async function awaitStart<Seen>(dumping: DumpProcess, options: DumpOptions<Seen>): Promise<Start> {
  const over = new AbortController();
  const limit = AbortSignal.timeout(Math.min(options.stallTimeoutMs, 2 ** 31 - 1));
  const signal = AbortSignal.any([options.signal, over.signal, limit]);
  const begun = new Promise<Start>((resolve) => {
    dumping.bytes.once('readable', () => {
      if (dumping.bytes.readableLength > 0) resolve({ kind: 'bytes' });
    });
  });
  const broken = new Promise<never>((_, reject) => {
    dumping.bytes.once('error', reject);
  });
  const exited = dumping.child.done.then((exit): Start => ({ kind: 'exited', exit }));
  const look = async (): Promise<Start> => {
    for (;;) {
      const blockers = await dumping.waitsFor();
      if (blockers !== null) return { kind: 'behind', blockers };
      await pause(backendPollMs, signal);
    }
  };
  const looking = look();
  looking.catch(() => undefined);
  broken.catch(() => undefined);
  try {
    const start = await Promise.race([begun, exited, broken, looking]);
    // Whom the server knows it as must be known in time for its end.
    if (start.kind === 'bytes') await dumping.waitsFor();
    return start;
  } catch (error) {
    options.signal.throwIfAborted();
    if (!limit.aborted) throw error;
    throw new AppError('stalled', `pg_dump wrote nothing for ${formatSpan(options.stallTimeoutMs)}`, {
      hint: 'Look at pg_stat_activity and the disk of the database; BACKUP_STALL_TIMEOUT says how long to wait.',
    });
  } finally {
    over.abort();
  }
}

// Whoever came between has its turn first.
async function letPass<Seen>(
  { control, signal }: DumpOptions<Seen>,
  { blockers, patience }: { readonly blockers: readonly number[]; readonly patience: LockPatience },
): Promise<void> {
  for (;;) {
    const query = `select from pg_locks where locktype = 'relation' and mode = 'AccessExclusiveLock'
          and (pid = any($1::int[]) or (pid is null and 0 = any($1::int[]))) limit 1`;
    const { rows } = await control.query(query, [blockers]).catch((error: unknown) => {
      throw lostError(error);
    });
    if (rows.length === 0) return;
    if (performance.now() > patience.deadlineMs) {
      throw new AppError('dump', `Process ${blockers.join(', ')} holds what pg_dump needs, for too long`, {
        hint: 'A table was locked for longer than BACKUP_LOCK_WAIT, often by a migration: run the backup again when it is done.',
      });
    }
    await pause(backendPollMs, signal);
  }
}
