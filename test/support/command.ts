// Runs the command as a user does: with its arguments and its environment, to its exit status. Nothing is inherited from the
// environment the tests run in but the search path. What a process adds (signals, streams, its exit) is src/main.ts alone: a
// command is given one of its own where that is what a test is about, for a start takes longer than most of what is done.

import { spawn, type ChildProcess } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describeFailure, runProgram } from '../../src/cli/program.ts';
import type { ConnectionSettings } from '../../src/database/connection.ts';
import { AppError, exitStatusOf } from '../../src/errors.ts';
import { openApp } from './app.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const compiled = fileURLToPath(new URL('../../node_modules/.cache/compile', import.meta.url));
/** What every process of the program is given: it starts in half the time when it need not be compiled again. */
export const processVariables: Readonly<Record<string, string>> = {
  PATH: process.env['PATH'] ?? '',
  NODE_COMPILE_CACHE: compiled,
};

/** What a process is given that runs as this user: another one may not write into our directory, and has nothing in it. */
export function variablesOf(uid: number | undefined): Readonly<Record<string, string>> {
  if (uid === undefined) return processVariables;
  const own = `${compiled}-of-${uid}`;
  mkdirSync(own, { recursive: true });
  chownSync(own, uid, uid);
  return { ...processVariables, NODE_COMPILE_CACHE: own };
}

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
  /** Another form of the program, such as the compiled one; left out: its sources. */
  readonly program?: string;
}

/** A command that runs; its disposer ends it, so that a test that fails does not wait for it for ever. */
export interface RunningCommand extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly result: Promise<CommandResult>;
  /** Sends a signal to the command and all of its children, as a terminal does. */
  killGroup(name: NodeJS.Signals): void;
  /** Resolves when the text has appeared on stderr; rejects when the command ends before. */
  saw(text: string): Promise<void>;
}

/**
 * Starts `mastodon-backup` with these arguments and exactly these variables, as leader of a process group of its own: a
 * signal to minus its id reaches what a terminal's would.
 */
export function startCommand(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  { uid, input, program: file = main }: RunAs = {},
): RunningCommand {
  const child = spawn(process.execPath, [file, ...args], {
    ...(uid === undefined ? {} : { uid, gid: uid }),
    env: { ...variablesOf(uid), ...environment },
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
  const said = createTranscript();
  out.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  err.setEncoding('utf8').on('data', said.add);
  const result = new Promise<CommandResult>((resolve) => {
    child.once('close', (status, signal) => {
      said.end();
      resolve({ status, signal, stdout, stderr: said.text() });
    });
  });
  return {
    child,
    result,
    killGroup(name) {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    },
    saw: said.saw,
    async [Symbol.asyncDispose]() {
      child.kill();
      const timer = setTimeout(killNow, 10_000);
      await result;
      clearTimeout(timer);
    },
  };
}

/** Runs a command to its end in a process of its own. */
export async function runProcess(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  as: RunAs = {},
): Promise<CommandResult> {
  return startCommand(args, environment, as).result;
}

/** A command that runs in this process; its disposer ends it, as that of one with a process of its own does. */
export type FollowedCommand = Pick<RunningCommand, 'result' | 'saw' | typeof Symbol.asyncDispose>;

/**
 * Starts a command in this process, as `src/main.ts` does in its own. What others than this program read of an environment is that of
 * the tests: HOME, TMPDIR, NODE_OPTIONS, and whatever a package might, such as AWS_REGION.
 */
export function followCommand(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  { input = '' }: Pick<RunAs, 'input'> = {},
): FollowedCommand {
  const said = createTranscript();
  const stop = new AbortController();
  const result = runHere(args, environment, { input, say: said.add, signal: stop.signal }).then((ended) => {
    said.end();
    return { ...ended, signal: null, stderr: said.text() };
  });
  return {
    result,
    saw: said.saw,
    async [Symbol.asyncDispose]() {
      stop.abort(new AppError('interrupted', 'Its test is over'));
      await result;
    },
  };
}

/** Runs a command to its end in this process: see `followCommand`. */
export async function runCommand(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  given: Pick<RunAs, 'input'> = {},
): Promise<CommandResult> {
  return followCommand(args, environment, given).result;
}

async function runHere(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  given: { readonly input: string; readonly say: (text: string) => void; readonly signal: AbortSignal },
): Promise<Pick<CommandResult, 'status' | 'stdout'>> {
  const { input, say, signal } = given;
  const printed: Buffer[] = [];
  const app = openApp(environment, { write: say });
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      printed.push(chunk);
      callback();
    },
  });
  let status = 0;
  try {
    await runProgram(args, {
      app,
      signal,
      write: (text) => void stdout.write(text),
      stdout,
      columns: () => Number.POSITIVE_INFINITY,
      hasColours: false,
      progress: { isTerminal: false, columns: () => 80, write: say },
      readFile: async (file) => readFile(file, 'utf8'),
      readInput: async () => input,
      terminal: null,
      runInForeground: async () => {
        throw new Error('What has our streams needs a process of its own: runProcess()');
      },
      toolVersion: '0.0.0-test',
      program,
    });
  } catch (error) {
    status = exitStatusOf(error);
    say(describeFailure(error, { redact: app.redact, program }));
  } finally {
    await app[Symbol.asyncDispose]();
  }
  return { status, stdout: Buffer.concat(printed).toString('utf8') };
}

interface Transcript {
  readonly add: (text: string) => void;
  readonly text: () => string;
  /** Resolves when the text has appeared; rejects when the end comes before it. */
  readonly saw: (text: string) => Promise<void>;
  readonly end: () => void;
}

function createTranscript(): Transcript {
  let all = '';
  const waiting: { readonly text: string; readonly resolve: () => void; readonly reject: (error: Error) => void }[] =
    [];
  return {
    add(text) {
      all += text;
      for (const { text: wanted, resolve } of waiting) if (all.includes(wanted)) resolve();
    },
    text: () => all,
    async saw(text) {
      if (all.includes(text)) return;
      await new Promise<void>((resolve, reject) => {
        waiting.push({ text, resolve, reject });
      });
    },
    end() {
      for (const { text, reject } of waiting) reject(new Error(`The command ended without saying '${text}': ${all}`));
    },
  };
}

/** As in a checkout. */
const program = 'bin/mastodon-backup';

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

/** The sentence that a command which failed ends with: a command to type in it stands below, indented. */
export function lastSentence({ stderr }: Pick<CommandResult, 'stderr'>): string {
  return (
    stderr
      .trimEnd()
      .split('\n')
      .findLast((line) => !line.startsWith('  ')) ?? ''
  );
}
