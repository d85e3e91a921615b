// pg_restore as { input, done }: it reads an archive, from its stdin or a file, into a database, and tells every statement
// that failed.

import path from 'node:path';
import type { Writable } from 'node:stream';
import type { Log } from '../log.ts';
import { startChild, type ChildExit } from '../stream/child.ts';
import type { ClientPrograms } from './clients.ts';
import { libpqEnvironment, type ConnectionSettings } from './connection.ts';

/** A statement that failed, as pg_restore reports it. */
export interface RestoreFailure {
  /** The server's words, such as `could not create unique index "…"`, with their DETAIL. */
  readonly message: string;
  /** The statement, as far as pg_restore shows it; null when the failure was not a statement's. */
  readonly statement: string | null;
}

/** A running pg_restore. */
export interface RestoreProcess extends AsyncDisposable {
  /** Null when it reads a file. */
  readonly input: Writable | null;
  /** Resolves when it is gone. */
  readonly done: Promise<{ readonly exit: ChildExit; readonly failures: readonly RestoreFailure[] }>;
}

/** More are not kept. */
const mostFailures = 200;

// pg_restore 17 and later says this at its start also to a server that does not know it.
const harmless = /unrecognized configuration parameter "transaction_timeout"/;

/** Whether these programs begin with a setting that such a server refuses. */
export function annoysServer(client: ClientPrograms, serverMajor: number): boolean {
  return client.major >= 17 && serverMajor < 17;
}

/**
 * Starts pg_restore into `connection`'s database with these further arguments. With `exitOnError` it ends at the first
 * statement that fails; what a newer pg_restore says to an older server without harm is no failure.
 */
export function startRestore(options: {
  readonly connection: ConnectionSettings;
  readonly client: ClientPrograms;
  readonly serverMajor: number;
  readonly args: readonly string[];
  /** Settings of PostgreSQL for its sessions besides the usual ones, each a name and a value without spaces. */
  readonly sessionSettings?: Readonly<Record<string, string>>;
  /** The archive; null: it comes through `input`. */
  readonly file: string | null;
  readonly exitOnError: boolean;
  readonly log: Log;
}): RestoreProcess {
  const { connection, file, log } = options;
  const collector = createFailureCollector();
  // Its own switch would end it at the harmless one.
  const watch = options.exitOnError && annoysServer(options.client, options.serverMajor);
  let stopping: NodeJS.Timeout | undefined;
  const child = startChild(path.join(options.client.directory, 'pg_restore'), {
    args: [
      '--no-password',
      `--dbname=${asConnectionString(connection.database)}`,
      ...(options.exitOnError && !watch ? ['--exit-on-error'] : []),
      ...options.args,
      ...(file === null ? [] : [file]),
    ],
    env: withSettings(libpqEnvironment(connection, options), options.sessionSettings ?? {}),
    stdin: file === null ? 'pipe' : 'ignore',
    onStderrLine(line) {
      log.debug({ program: 'pg_restore' }, line);
      collector.push(line);
      // The lines that explain it come at once.
      if (watch && collector.failures().length > 0) stopping ??= setTimeout(() => void child.stop(), 1_000);
    },
  });
  child.stdout.resume();
  return {
    input: child.stdin,
    done: child.done.then((exit) => ({ exit, failures: collector.failures() })).finally(() => clearTimeout(stopping)),
    [Symbol.asyncDispose]: async () => child.stop(),
  };
}

function withSettings(
  env: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const more = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  return { ...env, PGOPTIONS: [env['PGOPTIONS'] ?? '', ...more].join(' ') };
}

// A bare name with an equals sign in it would be taken for a connection string.
function asConnectionString(database: string): string {
  return `dbname='${database.replaceAll(/[\\']/g, String.raw`\$&`)}'`;
}

// A row stands in these: what is said of a restore goes into messages and unencrypted documents.
function withoutData(detail: string): string {
  return detail
    .replace(/^Failing row contains .*$/s, 'the row is not shown')
    .replace(/^(COPY .*?, line \d+(?:, column .*?)?): .*$/s, '$1');
}

/** Puts pg_restore's lines together: an error, its DETAIL, and the command it was. */
export function createFailureCollector(): {
  push(line: string): void;
  failures(): readonly RestoreFailure[];
} {
  const found: { message: string; statement: string | null }[] = [];
  let inStatement = false;
  let ignoring = false;
  return {
    push(line) {
      const current = found.at(-1);
      const error = /^pg_restore: error: (.*)$/.exec(line)?.[1];
      const statement = /^Command was: (.*)$/.exec(line)?.[1];
      const detail = /^(?:DETAIL|CONTEXT):\s+(.*)$/.exec(line)?.[1];
      if (error !== undefined) {
        inStatement = false;
        ignoring = harmless.test(error) || found.length >= mostFailures;
        if (!ignoring)
          found.push({ message: error.replace(/^could not execute query: ERROR:\s+/, ''), statement: null });
      } else if (ignoring) {
        // Its statement.
        if (line.startsWith('pg_restore:')) ignoring = false;
      } else if (statement !== undefined && current !== undefined) {
        inStatement = true;
        current.statement = statement;
      } else if (detail !== undefined && current !== undefined && !inStatement) {
        current.message += ` (${withoutData(detail)})`;
      } else if (inStatement && current !== undefined && /^\s*\S/.test(line) && !line.startsWith('pg_restore:')) {
        current.statement = `${current.statement ?? ''} ${line.trim()}`;
      } else if (line.trim() === '' || line.startsWith('pg_restore:')) inStatement = false;
    },
    failures: () => found,
  };
}
