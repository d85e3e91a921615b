// A child process as { stdout, done }: the first reason it ended for is kept, its exit is awaited even when something
// else failed first, and TERM is followed by KILL. Without this a run could end while its pg_dump still holds locks.

import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { splitLines } from './lines.ts';
import { makeNice } from './niceness.ts';

/** How a child ended. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines of its stderr, at most 4 KiB. */
  readonly stderrTail: string;
}

/** A running child process. */
export interface Child {
  readonly stdin: Writable | null;
  readonly stdout: Readable;
  /** Resolves when the process is gone and its pipes are closed; rejects only when it could not be started. */
  readonly done: Promise<ChildExit>;
  /** Sends `signal`, TERM by default, and KILL after `graceMs` when it is still there; resolves when it is gone. */
  stop(options?: { readonly graceMs?: number; readonly signal?: NodeJS.Signals }): Promise<void>;
}

const stderrTailBytes = 4096;
/** Bytes that what has left the group still holds the pipes for are not waited for longer, in milliseconds. */
const pipesGraceMs = 500;
/** All that run, each with what ends it at once. */
const running = new Map<ChildProcess, () => void>();

/** Ends every child there is, without waiting; for the moment in which the process itself ends. */
export function endAllChildren(): void {
  for (const end of running.values()) end();
}

/** Starts `file` with exactly the environment given; its stdin is closed unless `stdin` is `pipe`. */
export function startChild(
  file: string,
  options: {
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly stdin?: 'ignore' | 'pipe';
    readonly cwd?: string;
    /** Whom it runs as; by default as we do. */
    readonly user?: { readonly uid: number; readonly gid: number } | null;
    /** How far it stands back for others, 0 to 19, together with all that it starts itself; by default as we do. */
    readonly niceness?: number;
    /** What ends it at once together with all that it has started itself; KILL by default. */
    readonly lastSignal?: NodeJS.Signals;
    /** Whether it and all that it has started are one: a signal reaches the whole group, and what it leaves running ends with it. */
    readonly wholeGroup?: boolean;
    /** Called with each line of stderr. */
    readonly onStderrLine?: (line: string) => void;
  },
): Child {
  const child = spawn(file, [...options.args], {
    env: { ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...options.user,
    stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
    // A group of its own: what a terminal sends to all of its processes (Ctrl-C, a hang-up) is ours to decide about.
    detached: true,
  });
  if (child.pid !== undefined) makeNice(child.pid, options.niceness ?? 0);
  const send = (signal: NodeJS.Signals): void => {
    if (options.wholeGroup === true) signalGroup(child, signal);
    else child.kill(signal);
  };
  running.set(child, () => send(options.lastSignal ?? 'SIGKILL'));
  let tail = '';
  const lines = splitLines((line) => options.onStderrLine?.(line));
  child.stderr?.setEncoding('utf8');
  child.stderr?.on('data', (text: string) => {
    tail = (tail + text).slice(-stderrTailBytes);
    lines.push(text);
  });
  const done = new Promise<ChildExit>((resolve, reject) => {
    const gone = (): void => void running.delete(child);
    child.once('error', gone).once('exit', gone);
    if (options.wholeGroup === true) child.once('exit', () => endGroup(child));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      lines.end();
      resolve({ code, signal, stderrTail: tail.trim() });
    });
  });
  // A child that is stopped before anybody waits for it must not become an unhandled rejection.
  done.catch(() => undefined);
  const stdout = child.stdout;
  if (stdout === null) throw new Error('The child has no stdout');
  return {
    stdin: child.stdin,
    stdout,
    done,
    async stop({ graceMs = 5_000, signal = 'SIGTERM' } = {}) {
      if (child.exitCode === null && child.signalCode === null) send(signal);
      // Nobody reads any more: `close` comes only when the pipes are drained or destroyed.
      stdout.destroy();
      const timer = setTimeout(() => send('SIGKILL'), graceMs);
      try {
        await done.catch(() => undefined);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

// The leader of the group is the child: it was started detached.
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nothing of it is left.
  }
}

function endGroup(child: ChildProcess): void {
  signalGroup(child, 'SIGKILL');
  const timer = setTimeout(() => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  }, pipesGraceMs);
  child.once('close', () => clearTimeout(timer));
}

/** Runs a short command to its end and returns its stdout; `signal` kills it. */
export async function captureChild(
  file: string,
  options: Pick<Parameters<typeof startChild>[1], 'args' | 'env' | 'cwd' | 'user'> & { readonly signal: AbortSignal },
): Promise<ChildExit & { readonly stdout: string }> {
  options.signal.throwIfAborted();
  const child = startChild(file, options);
  const stop = (): void => void child.stop();
  options.signal.addEventListener('abort', stop, { once: true });
  try {
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    const exit = await child.done;
    options.signal.throwIfAborted();
    return { ...exit, stdout: Buffer.concat(chunks).toString('utf8') };
  } finally {
    options.signal.removeEventListener('abort', stop);
  }
}
