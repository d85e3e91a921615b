// psql on a database of ours: at a terminal, or for one statement, whose rows may also be had as JSON, which psql does not write.

import { once } from 'node:events';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, describeError } from '../errors.ts';
import { startChild } from '../stream/child.ts';
import type { ClientPrograms } from './clients.ts';
import { connect, libpqEnvironment, type ConnectionSettings } from './connection.ts';

/** How rows are shown. */
export type RowFormat = 'table' | 'csv' | 'json';

/** A database, and the programs that fit it. */
export interface PsqlTarget {
  readonly connection: ConnectionSettings;
  readonly client: ClientPrograms;
  readonly serverMajor: number;
}

/** How psql is started. */
export interface PsqlInvocation {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** psql with nobody's ~/.psqlrc and without a history; `terminal` is the TERM of whoever sits at it. */
export function psqlInvocation(
  { connection, client, serverMajor }: PsqlTarget,
  { format, terminal }: { readonly format: Exclude<RowFormat, 'json'>; readonly terminal: string | null },
): PsqlInvocation {
  return {
    file: path.join(client.directory, 'psql'),
    args: ['--no-psqlrc', '--no-password', ...(format === 'csv' ? ['--csv'] : [])],
    env: {
      ...libpqEnvironment(connection, { serverMajor }),
      PSQL_HISTORY: '/dev/null',
      ...(terminal === null ? {} : { TERM: terminal }),
    },
  };
}

/** Writes what one statement answers to `to`. @throws AppError `usage` with the server's words when it is refused. */
export async function runStatement(
  sql: string,
  options: PsqlTarget & {
    readonly format: RowFormat;
    readonly searchPath: string;
    readonly to: Writable;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  if (options.format === 'json') await writeJson(sql, options);
  else await runPsql(sql, { ...options, format: options.format });
}

async function runPsql(
  sql: string,
  options: PsqlTarget & {
    readonly format: Exclude<RowFormat, 'json'>;
    readonly to: Writable;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { to, signal } = options;
  const { file, args, env } = psqlInvocation(options, { format: options.format, terminal: null });
  const child = startChild(file, { args: [...args, '--set=ON_ERROR_STOP=1', `--command=${sql}`], env });
  const stop = (): void => void child.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    // Nobody who reads any more, as behind `| head`, is no failure.
    await pipeline(child.stdout, to, { end: false, signal }).catch((error: unknown) => {
      signal.throwIfAborted();
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
    });
    const { code, stderrTail } = await child.done;
    signal.throwIfAborted();
    if (code !== 0) throw refused(stderrTail);
  } finally {
    signal.removeEventListener('abort', stop);
    await child.stop();
  }
}

async function writeJson(
  sql: string,
  options: Pick<PsqlTarget, 'connection'> & {
    readonly searchPath: string;
    readonly to: Writable;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { connection, searchPath, to, signal } = options;
  await using client = await connect(connection, signal, { queryTimeoutMs: 0 });
  await client.query(`set search_path to ${searchPath}`);
  // One statement alone, as the protocol has it; with several the answer would be none of them.
  const query = { text: sql, rowMode: 'array', queryMode: 'extended', types: { getTypeParser } } as const;
  const { command, rows, fields } = await client.query<(string | null)[]>(query).catch((error: unknown) => {
    signal.throwIfAborted();
    throw refused(describeError(error));
  });
  if (command === 'COPY')
    throw new AppError('usage', 'COPY answers no rows that could be written as JSON', {
      hint: 'Write a select, or ask for --format csv.',
    });
  const names = distinctNames(fields.map(({ name }) => name)).map((name) => JSON.stringify(name));
  const documents = rows.map((row) => `{${names.map((name, index) => `${name}:${row[index] ?? 'null'}`).join(',')}}`);
  if (!to.write(documents.length === 0 ? '[]\n' : `[\n  ${documents.join(',\n  ')}\n]\n`)) await once(to, 'drain');
}

function refused(words: string): AppError {
  return new AppError('usage', `The statement was refused: ${words}`, {
    hint: 'Only what reads is possible here; nothing was changed.',
  });
}

const asItIs = (text: string): string => text;

/**
 * How a value is written in JSON, by object identifiers of types that JSON has as well (pg_type.dat). What it has not, such as a bigint,
 * becomes the text that it is; and what is JSON is never read here, for that would round its numbers.
 */
const writers: Readonly<Record<number, (text: string) => string>> = {
  16: (text) => String(text === 't'),
  21: asItIs,
  23: asItIs,
  26: asItIs,
  114: asItIs,
  3802: asItIs,
};

function getTypeParser(oid: number): (text: string) => string {
  return writers[oid] ?? ((text) => JSON.stringify(text));
}

// An object has a name once; a join may have it twice.
function distinctNames(names: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  return names.map((name) => {
    let free = name;
    for (let next = 2; seen.has(free); next += 1) free = `${name}_${next}`;
    seen.add(free);
    return free;
  });
}
