#!/usr/bin/env -S node --max-semi-space-size=2
// argv and environment in, an exit status out. Arguments, environment, signals, standard streams and the exit enter here and
// nowhere else: what reads them deep inside cannot be tested with others, and ends a run in its middle.
//
// V8 would let 32 MiB of short-lived objects gather, and with them the buffers they name, before it looks: 50 MiB for nothing.

import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createApp } from './app/app.ts';
import { findProxyProblems, readProxy } from './config/proxy.ts';
import { eraseLine } from './cli/progress-bar.ts';
import { describeFailure, runProgram } from './cli/program.ts';
import { AppError, describeError, exitStatusOf } from './errors.ts';
import { endAllChildren } from './stream/child.ts';
import { runInForeground } from './stream/foreground.ts';
import { forTerminal } from './text/terminal.ts';

/** A second signal this soon is the same key press: Ctrl-C under npm delivers two. */
const sameSignalMs = 1_000;

const interrupted = new AbortController();
let firstSignalAt: number | undefined;
/** A program that has the terminal: Ctrl-C there is for it, such as psql's query. */
let hasForeground = false;
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (hasForeground && name === 'SIGINT') return;
    const now = performance.now();
    if (firstSignalAt !== undefined) {
      if (now - firstSignalAt >= sameSignalMs) leaveAtOnce();
      return;
    }
    firstSignalAt = now;
    app.log.warn({ signal: name }, 'Stopping, and tidying up; once more ends it at once');
    interrupted.abort(
      new AppError('interrupted', `Interrupted by ${name}`, {
        hint: 'Nothing half-written counts as a backup; run it again.',
      }),
    );
  });
}
// Whatever ends us, no child goes on by itself.
process.on('exit', endAllChildren);
// A dropped ssh hangs up and closes our streams; that is no reason to end a backup.
process.on('SIGHUP', () => undefined);
process.stderr.on('error', () => undefined);
/** Why what was printed did not arrive, unless nobody reads any more. */
let outputError: NodeJS.ErrnoException | undefined;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A terminal that has gone answers EIO.
  const nobodyReads = error.code === 'EPIPE' || (error.code === 'EIO' && process.stdout.isTTY);
  if (!nobodyReads) outputError ??= error;
});

// `fetch` hears of a proxy in no other way. What is wrong with it is told with the settings.
const proxy = readProxy((name) => process.env[name]);
if (proxy !== null && findProxyProblems(proxy).length === 0) {
  // Loaded for that alone: with it comes all that speaks HTTP.
  const { setGlobalProxyFromEnv } = await import('node:http');
  setGlobalProxyFromEnv({ ...proxy });
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const app = createApp({
  environment: process.env,
  uid: process.getuid?.() ?? 0,
  processId: process.pid,
  toolVersion: version,
  isTerminal: process.stderr.isTTY,
  logColumns: () => widthOf(process.stderr),
  program: calledAs(),
  // A progress bar may stand on the terminal's last line.
  writeLog: (text) => void process.stderr.write(process.stderr.isTTY ? `${eraseLine}${text}` : text),
});

let status = 0;
const fail = (error: unknown): void => {
  status = exitStatusOf(error);
  const columns = widthOf(process.stderr);
  process.stderr.write(describeFailure(error, { redact: app.redact, program: calledAs(), timeZone: zone(), columns }));
};
try {
  await runProgram(process.argv.slice(2), {
    app,
    signal: interrupted.signal,
    write: (text) => void process.stdout.write(text),
    stdout: process.stdout,
    columns: () => widthOf(process.stdout),
    hasColours: process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '',
    progress: {
      isTerminal: process.stderr.isTTY,
      columns: () => widthOf(process.stderr),
      write: (text) => void process.stderr.write(text),
    },
    readFile: async (file) => readFile(file, 'utf8'),
    readInput: async () => readStandardInput(),
    terminal: process.stdin.isTTY ? (process.env['TERM'] ?? 'dumb') : null,
    async runInForeground({ file, ...how }) {
      hasForeground = true;
      try {
        return await runInForeground(file, how);
      } finally {
        hasForeground = false;
      }
    },
    toolVersion: version,
    program: calledAs(),
  });
} catch (error) {
  fail(error);
  if (!(error instanceof AppError) && error instanceof Error) app.log.debug({ err: error }, 'Where it failed');
} finally {
  await app[Symbol.asyncDispose]();
}
// Not process.exitCode: a socket that lingers must not keep a finished command alive.
await Promise.all([process.stdout, process.stderr].map(flushed));
// What could not be written is told a turn later.
await new Promise((resolve) => {
  setImmediate(resolve);
});
// A script would take half an answer on a full disk for the whole.
if (outputError !== undefined && status === 0) {
  fail(
    new AppError('output', `What was to be printed could not be written: ${describeError(outputError)}`, {
      hint: 'Make room where the output goes, and run it again.',
    }),
  );
  await flushed(process.stderr);
}
process.exit(status);

// With wrong settings there is none.
function zone(): string {
  try {
    return app.timetable().timeZone;
  } catch {
    return 'UTC';
  }
}

// A terminal that was told no size says 0.
function widthOf(stream: NodeJS.WriteStream): number {
  return stream.isTTY && stream.columns > 0 ? stream.columns : Number.POSITIVE_INFINITY;
}

// As somebody types it who reads our hints: in a checkout, on the host of our container, or where it is installed.
function calledAs(): string {
  if (import.meta.url.endsWith('.ts')) return 'bin/mastodon-backup';
  return existsSync('/.dockerenv') ? 'docker compose exec backup mastodon-backup' : 'mastodon-backup';
}

// In the middle of tidying up: what is left is told.
function leaveAtOnce(): never {
  for (const text of app.remains())
    process.stderr.write(forTerminal(app.redact(`mastodon-backup: Left behind: ${text}\n`)));
  process.exit(130);
}

async function flushed(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.destroyed || stream.writableLength === 0) return;
  await new Promise<void>((resolve) => {
    stream.once('error', () => resolve());
    stream.write('', () => resolve());
  });
}

// A private key is a few hundred characters; somebody else's stream must not fill the memory.
async function readStandardInput(): Promise<string> {
  const mostBytes = 1024 * 1024;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin.iterator({ destroyOnReturn: true })) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > mostBytes) throw new Error(`more than ${mostBytes} bytes came`);
  }
  return Buffer.concat(chunks).toString('utf8');
}
