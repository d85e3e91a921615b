// One operation, done as a user has it done: the command with its arguments, its exit status, its last words. In this process
// where no fault needs another, for a process costs as much as the operation; else as the program itself.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { runProgram } from '../../../src/cli/program.ts';
import { AppError, describeError, exitStatusOf } from '../../../src/errors.ts';
import { openApp } from '../../support/app.ts';
import type { Operation, Victim } from './fault.ts';
import { performUnnamed } from './unnamed-operations.ts';

/** How an operation ended. */
export interface Ending {
  /** Null: it was killed. */
  readonly status: number | null;
  readonly stdout: string;
  /** The log, and the last words. */
  readonly stderr: string;
  /** What was thrown or rejected and nobody caught. */
  readonly uncaught: readonly string[];
  readonly durationMs: number;
}

/** An operation under way. */
export interface Attempt {
  readonly victim: Omit<Victim, 'typicalMs' | 'over' | 'rival'>;
  readonly ending: Promise<Ending>;
}

/** What is done, with which settings. */
export interface AttemptOptions {
  readonly operation: Operation;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly skewMs: number;
  /** Whether a slow machine is borne with: nothing is in the way but that. */
  readonly patient?: boolean;
}

const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));
const driver = fileURLToPath(new URL('unnamed-program.ts', import.meta.url));
const compileCache = fileURLToPath(new URL('../../../node_modules/.cache/compile', import.meta.url));

/** The arguments of an operation's command; copies and mending are the daemon's and have none. */
export function argumentsOf(operation: Operation, { database }: { readonly database: string }): readonly string[] {
  switch (operation) {
    case 'run':
      return ['run', 'daily', '--json'];
    case 'restore':
      return ['restore', 'latest', '--to-database', database, '--json'];
    case 'prune':
    case 'drill':
      return [operation, '--json'];
    case 'copy':
    case 'mend':
      return [operation];
    default:
      return operation satisfies never;
  }
}

/** Begins an operation in this process. */
export function attemptHere(options: AttemptOptions): Attempt {
  const stop = new AbortController();
  const startedAt = performance.now();
  const ending = (async (): Promise<Ending> => {
    let stdout = '';
    const lines: string[] = [];
    const uncaught: string[] = [];
    const note = (error: unknown): void =>
      void uncaught.push(error instanceof Error ? String(error.stack) : String(error));
    process.on('uncaughtException', note);
    process.on('unhandledRejection', note);
    let status = 0;
    try {
      // Patience as short as the campaign's.
      await using app = openApp(
        { ...options.environment, ...(options.patient === true ? patiently : {}) },
        {
          lines,
          ...(options.patient === true
            ? {}
            : {
                patience: { maxAttempts: 3, socketTimeoutMs: 1_500, patientTimeoutMs: 2_500 },
                readPatience: { attempts: 3, pauseMs: 50 },
              }),
          now: () => new Date(Date.now() + options.skewMs),
        },
      );
      try {
        const context = { app, signal: stop.signal, write: (text: string) => void (stdout += text) };
        const isUnnamed = options.operation === 'copy' || options.operation === 'mend';
        if (isUnnamed) await performUnnamed(options.operation, context);
        else await runProgram(options.args, { ...context, ...quiet });
      } catch (error) {
        status = exitStatusOf(error);
        lines.push(lastWords(error));
      }
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off('uncaughtException', note);
      process.off('unhandledRejection', note);
    }
    return { status, stdout, stderr: lines.join(''), uncaught, durationMs: performance.now() - startedAt };
  })();
  return {
    victim: {
      processId: () => process.pid,
      interrupt: () =>
        stop.abort(
          new AppError('interrupted', 'Interrupted by SIGTERM', {
            hint: 'Nothing half-written counts as a backup; run it again.',
          }),
        ),
      kill() {
        throw new Error('Only a program of its own can be killed');
      },
    },
    ending,
  };
}

/** Begins an operation as the program itself. */
export function attemptApart(options: AttemptOptions & { readonly nodeOptions?: string }): Attempt {
  const { operation, args, environment, nodeOptions } = options;
  const startedAt = performance.now();
  const program = operation === 'copy' || operation === 'mend' ? driver : main;
  const child = spawn(process.execPath, [program, ...args], {
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: compileCache,
      ...(nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions }),
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  let isOver = false;
  const ending = new Promise<Ending>((resolve) => {
    // Not `close`: what it left behind may hold its pipes open, which is for the invariants to find.
    child.once('exit', (status) => {
      isOver = true;
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ status, stdout, stderr, uncaught: [], durationMs: performance.now() - startedAt });
      }, 20);
    });
  });
  return {
    victim: {
      processId: () => (isOver ? undefined : child.pid),
      interrupt: () => void child.kill('SIGTERM'),
      kill: () => void child.kill('SIGKILL'),
    },
    ending,
  };
}

/** What a slow machine needs. */
export const patiently = { BACKUP_STALL_TIMEOUT: '60s', BACKUP_TIMEOUT: '100s', BACKUP_DRILL_TIMEOUT: '100s' };

/** What main.ts writes last of a failure. */
export function lastWords(error: unknown): string {
  const hint = error instanceof AppError && error.hint !== undefined ? `. ${error.hint}` : '';
  const message = error instanceof AppError ? error.message : `Unexpected failure: ${describeError(error)}`;
  return `mastodon-backup: ${message}${hint}\n`;
}

/** The other parts of a command, for who wants none of them. */
export const quiet = {
  stdout: new Writable({ write: (_chunk, _encoding, callback) => callback() }),
  columns: () => Number.POSITIVE_INFINITY,
  hasColours: false,
  program: 'mastodon-backup',
  progress: { isTerminal: false, columns: () => Number.POSITIVE_INFINITY, write: () => undefined },
  readFile: async (file: string) => readFileSync(file, 'utf8'),
  readInput: async () => '',
  terminal: null,
  runInForeground: async () => 1,
  toolVersion: '0.0.0-test',
};
