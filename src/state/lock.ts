// One run at a time in a container: the lock is a Unix socket that its holder listens on. A holder that died answers with
// "refused", so its lock is known to be stale; a pid file would lie after a new container.

import { randomBytes } from 'node:crypto';
import { link, rename, rm } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { usableDirectory } from './directory.ts';

/** Who holds the lock. */
export interface LockHolder {
  /** What is running, such as `run weekly`. */
  readonly command: string;
  readonly processId: number;
  /** ISO 8601. */
  readonly since: string;
}

const answerTimeoutMs = 2_000;
const waitPollMs = 1_000;

/**
 * Takes the lock in `directory`; its disposer gives it back.
 * @throws AppError `locked` when another run holds it, unless `wait`.
 */
export async function takeLock(options: {
  readonly directory: string;
  readonly holder: LockHolder;
  /** Whether to wait until the other run has ended. */
  readonly wait: boolean;
  readonly signal: AbortSignal;
  readonly log: Log;
}): Promise<AsyncDisposable> {
  const directory = await usableDirectory(options.directory, options.log);
  const file = path.join(directory, 'run.lock');
  let said = false;
  for (;;) {
    const server = await tryTake(file, options.holder);
    if (server !== undefined) return { [Symbol.asyncDispose]: async () => release(file, server) };
    const other = await askHolder(file);
    if (other === 'stale') {
      await removeStale(file);
      continue;
    }
    if (!options.wait) {
      throw new AppError('locked', `Another run holds the lock: ${describeHolder(other)}`, {
        hint: 'Wait until it has ended, or use --wait.',
      });
    }
    if (!said) options.log.info({ holder: other }, 'Waiting until the other run has ended');
    said = true;
    await sleep(waitPollMs, undefined, { signal: options.signal }).catch(() => options.signal.throwIfAborted());
  }
}

// link() is atomic and fails when the name exists, which bind() to a name that is being replaced is not.
async function tryTake(file: string, holder: LockHolder): Promise<Server | undefined> {
  const own = `${file}.${randomBytes(4).toString('hex')}`;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(JSON.stringify(holder));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(own, resolve);
  });
  server.unref();
  try {
    await link(own, file);
    await rm(own, { force: true });
    return server;
  } catch (error) {
    server.close();
    await rm(own, { force: true });
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw new AppError('settings', `The lock '${file}' cannot be taken: ${describeError(error)}`, {
      cause: error,
      hint: 'Set BACKUP_STATE_DIR to a directory on a local disk.',
    });
  }
}

async function askHolder(file: string): Promise<LockHolder | 'unknown' | 'stale'> {
  return new Promise((resolve) => {
    const socket = createConnection(file);
    let text = '';
    socket.setTimeout(answerTimeoutMs, () => {
      socket.destroy();
      resolve('unknown');
    });
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8');
    });
    socket.once('end', () => resolve(parseHolder(text)));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? 'stale' : 'unknown');
    });
  });
}

function parseHolder(text: string): LockHolder | 'unknown' {
  try {
    return JSON.parse(text) as LockHolder;
  } catch {
    return 'unknown';
  }
}

// Moved aside first, and looked at again there: between our question and now another run may have put its own in place.
async function removeStale(file: string): Promise<void> {
  const aside = `${file}.${randomBytes(4).toString('hex')}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await askHolder(aside)) !== 'stale') await link(aside, file).catch(() => undefined);
  await rm(aside, { force: true });
}

async function release(file: string, server: Server): Promise<void> {
  await rm(file, { force: true });
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}

function describeHolder(holder: LockHolder | 'unknown'): string {
  return holder === 'unknown'
    ? 'a run that does not answer'
    : `'${holder.command}' since ${holder.since} (process ${holder.processId})`;
}
