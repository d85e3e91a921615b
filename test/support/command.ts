// Runs the command as a user does: a process of its own, its environment, its exit status. Nothing is inherited from the
// environment the tests run in but the search path.

import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ConnectionSettings } from '../../src/database/connection.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/** A command starts in half the time when it need not be compiled again. */
const compileCache = fileURLToPath(new URL('../../node_modules/.cache/compile', import.meta.url));

/** How a command ended. */
export interface CommandResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command is given beside arguments and environment. */
export interface RunAs {
  /** As whom it runs; left out: as the tests do. Only root may say it. */
  readonly uid?: number;
  /** Its stdin; nothing where it is not given. */
  readonly input?: string;
}

/** A command that runs. */
export interface RunningCommand {
  readonly child: ChildProcess;
  readonly result: Promise<CommandResult>;
  /** Sends a signal to the command and all of its children, as a terminal does. */
  killGroup(name: NodeJS.Signals): void;
  /** Resolves when the text has appeared on stderr. */
  saw(text: string): Promise<void>;
}

/**
 * Starts `mastodon-backup` with these arguments and exactly these variables, as leader of a process group of its own: a
 * signal to minus its id reaches what a terminal's would.
 */
export function startCommand(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  { uid, input }: RunAs = {},
): RunningCommand {
  const child = spawn(process.execPath, [main, ...args], {
    ...(uid === undefined ? {} : { uid, gid: uid }),
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: compileCache, ...environment },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const killNow = (): void => void child.kill('SIGKILL');
  process.once('exit', killNow);
  child.once('close', () => process.off('exit', killNow));
  child.stdin?.end(input);
  const { stdout: out, stderr: err } = child;
  if (out === null || err === null) throw new Error('The command has no streams');
  let stdout = '';
  let stderr = '';
  const waiting: { readonly text: string; readonly resolve: () => void; readonly reject: (error: Error) => void }[] =
    [];
  out.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  err.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    for (const { text: wanted, resolve } of waiting) if (stderr.includes(wanted)) resolve();
  });
  const result = new Promise<CommandResult>((resolve) => {
    child.once('close', (status, signal) => {
      for (const { text, reject } of waiting)
        reject(new Error(`The command ended without saying '${text}': ${stderr}`));
      resolve({ status, signal, stdout, stderr });
    });
  });
  return {
    child,
    result,
    killGroup(name) {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    },
    async saw(text) {
      if (stderr.includes(text)) return;
      await new Promise<void>((resolve, reject) => {
        waiting.push({ text, resolve, reject });
      });
    },
  };
}

/** Runs a command to its end. */
export async function runCommand(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  as: RunAs = {},
): Promise<CommandResult> {
  return startCommand(args, environment, as).result;
}

/** Mastodon's own variables for a database. */
export function databaseEnvironment(connection: ConnectionSettings): Readonly<Record<string, string>> {
  return {
    DB_HOST: connection.host,
    DB_PORT: String(connection.port),
    DB_NAME: connection.database,
    DB_USER: connection.user,
    DB_PASS: connection.password,
  };
}
