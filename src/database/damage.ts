// What a damaged source database says, told apart from what passes by itself: reading a torn page may end the server's
// process, and the server then ends everybody's. Tried again every minute, a backup would take Mastodon down every minute.

import { AppError, describeError, toAppError } from '../errors.ts';

/** What to do about a damaged source database. */
export const damageHint =
  'Keep every older snapshot, copy the data directory while the server is stopped, and look into its log and at its disk (dmesg, smartctl) before anything else; REINDEX mends an index alone.';

/** Words of the server, as its sources have them (md.c, bufmgr.c, slru.c, heapam.c, heaptoast.c, nbtpage.c). */
const damages: readonly RegExp[] = [
  /could not open file "(?:base|global|pg_tblspc|pg_xact|pg_multixact|pg_subtrans)\/[^"]*"(?:[^:\n]*): (?:No such file or directory|Input\/output error)/,
  /could not (?:read|seek|access)[^\n]* (?:in file|from file|file) "(?:base|global|pg_tblspc|pg_xact|pg_multixact)\//,
  /could not read blocks? [\d.]+ (?:in|of)/,
  /could not access status of transaction \d+/,
  /MultiXactId \d+ has (?:not been created yet|no longer exist|wrapped around)/,
  /(?:invalid page|page verification failed|unexpected zero page|corrupted page)/,
  /(?:missing|unexpected) chunk (?:number|size) \d+/,
  /compressed (?:pglz|lz4) data is corrupt/,
  // What a length that was read from a torn page comes to; a row that is merely too long for COPY asks for less.
  /invalid memory alloc request size \d{11,}/,
  /found (?:xmin|xmax|multixact) \d+ from before/,
  /index "[^"]*" (?:contains|is not a)/,
];

/** SQLSTATE data_corrupted and index_corrupted; PostgreSQL's appendix A. */
const damageStates: ReadonlySet<unknown> = new Set(['XX001', 'XX002']);

/** Whether a text of the server's, such as pg_dump's last words, speaks of damaged files. */
export function speaksOfDamage(text: string): boolean {
  return damages.some((pattern) => pattern.test(text));
}

/** Whether a query failed because of damaged files. */
export function isDamage(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown };
  return damageStates.has(code) || (typeof message === 'string' && speaksOfDamage(message));
}

/**
 * Why the server did not answer what it has to be asked: its damage, a session that was lost, as these are told; and any other reason
 * with `message` before it and `hint` as the next step.
 */
export function refusedQuery(
  error: unknown,
  { message, hint }: { readonly message: string; readonly hint: string },
): AppError {
  if (!isDamage(error)) return toAppError(error, { code: 'database', message, hint });
  return new AppError('database', `${message}: ${describeError(error)}`, {
    cause: error,
    hint: damageHint,
    reason: 'damaged-source',
  });
}

/** The server broke off while a table was read: by a crash, if it happens there again. */
export class BrokeOff extends Error {
  override readonly name = 'BrokeOff';
  /** As pg_dump names it. */
  readonly table: string;

  constructor(table: string) {
    super(`The server broke off at the table "${table}"`);
    this.table = table;
  }
}

/**
 * The table at which the server broke off, by pg_dump's last words; undefined when it did not, or when it ended us with a
 * word of its own, as it does when somebody stops it or another session crashed.
 */
export function brokeOffAt(words: string): BrokeOff | undefined {
  if (!/server closed the connection unexpectedly/.test(words)) return undefined;
  if (/terminating connection|shutting down/i.test(words)) return undefined;
  const [, table] = /Dumping the contents of table "(.+?)" failed/.exec(words) ?? [];
  return table === undefined ? undefined : new BrokeOff(table);
}

/** The `BrokeOff` that is behind an error; undefined when there is none. */
export function brokeOffBehind(error: unknown): BrokeOff | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof BrokeOff) return at;
  return undefined;
}
