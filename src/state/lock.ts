// One run at a time in a container, and beside it one drill: locks by name in the state directory, each held by whoever works
// under it until it ends or dies. Without them two runs would dump and prune at once; with one for all, a drill of hours would
// keep every backup waiting.

import path from 'node:path';
import * as v from 'valibot';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { pause } from '../stream/patience.ts';
import { lockDirectories, makeSocketDirectory, usableDirectory } from './directory.ts';
import { removeHalfMade } from './half-made.ts';
import { askLock, isWithoutSockets, removeStale, tryLock, type LockState } from './socket-lock.ts';

/**
 * What excludes what: `run` is held by all that writes snapshots or a database, `drill` by a drill, `open` by whoever looks into a
 * snapshot, which may take a person hours, `pitr` by who follows the log, `base` by who makes base backups and removes old ones.
 */
export type LockName = 'run' | 'drill' | 'open' | 'pitr' | 'base';

const lockHolder = v.object({
  /** What is running, such as `run weekly`. */
  command: v.string(),
  processId: v.number(),
  /** ISO 8601. */
  since: v.string(),
});

/** Who holds a lock. */
export type LockHolder = Readonly<v.InferOutput<typeof lockHolder>>;

const waitPollMs = 1_000;
const retryMs = 10;

/**
 * Takes the lock of that name in `directory`; its disposer gives it back.
 * @throws AppError `locked` when somebody else holds it, unless `wait`; `settings` when there can be none.
 */
export async function takeLock(options: {
  readonly directory: string;
  readonly name: LockName;
  /** Who takes it; others are told since when. */
  readonly holder: Omit<LockHolder, 'since'>;
  /** Whether to wait until whoever holds it has ended; undefined: nobody can ask for that. */
  readonly wait: boolean | undefined;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  readonly log: Log;
}): Promise<AsyncDisposable> {
  const { name, signal, now, log } = options;
  const directory = await usableDirectory(options.directory, log);
  let file = path.join(directory, fileOf(name));
  let said = false;
  for (;;) {
    signal.throwIfAborted();
    const lock = await take(file, { ...options.holder, since: now().toISOString() });
    if (lock === 'no sockets') {
      const place = await makeSocketDirectory(directory).catch(() => null);
      if (place === null || path.join(place, fileOf(name)) === file) throw cannotBeTaken(file);
      log.debug({ directory, used: place }, 'There are no sockets in BACKUP_STATE_DIR; the lock is kept elsewhere');
      file = path.join(place, fileOf(name));
      continue;
    }
    if (lock !== undefined) {
      await removeHalfMade(directory, now());
      return lock;
    }
    const state = await askLock(file);
    if (state.kind === 'free' || state.kind === 'stale') {
      if (state.kind === 'stale') await clear(file, now);
      // Somebody else may be at it just now.
      await pause(retryMs, signal);
      continue;
    }
    const other = decodeHolder(state);
    if (options.wait !== true) {
      throw new AppError('locked', `Another ${name} holds the lock: ${describeHolder(other)}`, {
        hint: options.wait === undefined ? 'Wait until it has ended.' : 'Wait until it has ended, or use --wait.',
      });
    }
    if (!said) log.info({ holder: other }, `Waiting until the other ${name} has ended`);
    said = true;
    await pause(waitPollMs, signal);
  }
}

/** Who holds the lock of that name now; null: nobody. Never rejects. */
export async function findHolder({
  directory,
  name,
}: {
  readonly directory: string;
  readonly name: LockName;
}): Promise<LockHolder | 'unknown' | null> {
  for (const candidate of await lockDirectories(directory)) {
    const state = await askLock(path.join(candidate, fileOf(name)));
    if (state.kind === 'held' || state.kind === 'silent') return decodeHolder(state);
  }
  return null;
}

function fileOf(name: LockName): string {
  return `${name}.lock`;
}

async function take(file: string, holder: LockHolder): Promise<AsyncDisposable | 'no sockets' | undefined> {
  try {
    return await tryLock(file, JSON.stringify(holder));
  } catch (error) {
    if (isWithoutSockets(error)) return 'no sockets';
    throw cannotBeTaken(file, error);
  }
}

function cannotBeTaken(file: string, error?: unknown): AppError {
  const why = error === undefined ? 'there can be no socket here' : describeError(error);
  return new AppError('settings', `The lock '${file}' cannot be taken: ${why}`, {
    cause: error,
    hint: 'Set BACKUP_STATE_DIR to a directory on a local disk, or mount a /tmp that can be written.',
  });
}

async function clear(file: string, now: () => Date): Promise<void> {
  try {
    await removeStale(file, now);
  } catch (error) {
    throw new AppError('settings', `A lock that was left behind cannot be taken away: ${describeError(error)}`, {
      cause: error,
      hint: `Remove it as the user it belongs to: docker compose exec -u root backup rm '${file}'.`,
    });
  }
}

function decodeHolder(state: LockState): LockHolder | 'unknown' {
  if (state.kind !== 'held') return 'unknown';
  try {
    const decoded = v.safeParse(lockHolder, JSON.parse(state.words));
    return decoded.success ? decoded.output : 'unknown';
  } catch {
    return 'unknown';
  }
}

function describeHolder(holder: LockHolder | 'unknown'): string {
  return holder === 'unknown'
    ? 'a run that does not answer'
    : `'${holder.command}' since ${holder.since} (process ${holder.processId})`;
}
