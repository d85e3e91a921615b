// A lock that dies with its holder: a name in a directory that is the Unix socket its holder listens on. A holder that is gone
// refuses, so its lock is known to be stale; a pid file would lie after a new container. Whoever finds a stale one may take it
// away, one of many and nobody else's: without that, two who find it at once would both hold it.

import { randomBytes } from 'node:crypto';
import { link, lstat, open, rm } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { shortHash } from './short-hash.ts';

/** What a lock's name stands for now: nobody; a holder that is gone; one that says this; or one that does not answer. */
export type LockState =
  { readonly kind: 'free' | 'stale' | 'silent' } | { readonly kind: 'held'; readonly words: string };

const answerTimeoutMs = 2_000;
const longestAnswer = 4_096;
/** Taking a stale lock away takes milliseconds: who began it so long ago has died of it. */
const claimLimitMs = 10_000;

/**
 * Takes the lock `file`, whose holder answers `words` to whoever asks; undefined when it exists, stale or not. Its disposer
 * gives it back. Rejects with the system's error where no socket can be made.
 */
export async function tryLock(file: string, words: string): Promise<AsyncDisposable | undefined> {
  const own = `${file}.${randomBytes(4).toString('hex')}`;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(words);
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      // Asking is open to everybody: a root shell's lock must not look alive to others because they may not ask.
      server.listen({ path: own, readableAll: true, writableAll: true }, resolve);
    });
    server.unref();
    const identity = await identify(own);
    // link() is atomic and fails when the name exists, which bind() to a name that is being replaced is not.
    await link(own, file);
    return { [Symbol.asyncDispose]: async () => release(file, { server, identity }) };
  } catch (error) {
    server.close();
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  } finally {
    await rm(own, { force: true }).catch(() => undefined);
  }
}

/** What making a socket, or a second name for it, answers where the file system has none. */
const withoutSockets = [
  'EIO',
  'EPERM',
  'EACCES',
  'ENOSYS',
  'ENOTSUP',
  'EOPNOTSUPP',
  'EINVAL',
  'EADDRNOTAVAIL',
  'EXDEV',
  'EMLINK',
];

/** Whether a failure to take a lock means that there can be none on this file system. */
export function isWithoutSockets(error: unknown): boolean {
  return withoutSockets.includes((error as NodeJS.ErrnoException).code ?? '');
}

/** Asks who holds the lock. Never rejects. */
export async function askLock(file: string): Promise<LockState> {
  return new Promise((resolve) => {
    const socket = createConnection(file);
    let words = '';
    const answer = (state: LockState): void => {
      socket.destroy();
      resolve(state);
    };
    socket.setTimeout(answerTimeoutMs, () => answer({ kind: 'silent' }));
    socket.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(0, longestAnswer);
    });
    socket.once('end', () => answer({ kind: 'held', words }));
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ENOENT' || code === 'ENOTDIR') answer({ kind: 'free' });
      else answer({ kind: code === 'ECONNREFUSED' || code === 'ENOTSOCK' ? 'stale' : 'silent' });
    });
  });
}

/**
 * Takes a stale lock away, and no other: whoever does it claims exactly that one first, and looks again whether it still is.
 * Rejects with the system's error when this user may not, as with another user's lock in a sticky directory.
 */
export async function removeStale(file: string, now: () => Date): Promise<void> {
  const identity = await identify(file);
  if (identity === null || (await askLock(file)).kind !== 'stale') return;
  const claim = `${file}.${shortHash(identity, 8)}-t`;
  try {
    await (await open(claim, 'wx', 0o600)).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const claimed = await lstat(claim).catch(() => null);
    if (claimed !== null && Math.abs(now().getTime() - claimed.mtimeMs) > claimLimitMs)
      await rm(claim, { force: true });
    return;
  }
  try {
    if ((await identify(file)) === identity) await rm(file, { force: true });
  } finally {
    await rm(claim, { force: true });
  }
}

// Inode numbers are used again; with the moment it was made they are not. A new name for it, or other rights, change neither.
async function identify(file: string): Promise<string | null> {
  const found = await lstat(file, { bigint: true }).catch(() => null);
  return found === null ? null : `${found.ino}:${found.mtimeNs}`;
}

// By its name only what is ours: in a directory that was lost and made again it is somebody else's.
async function release(
  file: string,
  { server, identity }: { readonly server: Server; readonly identity: string | null },
): Promise<void> {
  if (identity !== null && (await identify(file)) === identity) await rm(file, { force: true }).catch(() => undefined);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
