// One failure type for the whole program. The tables below are the only place that says which exit status a failure
// has and whether trying again can help; without them a script that calls us could not tell a wrong password from a broken
// upload, and a daemon would knock every minute at a door that only a person can open.

/**
 * Whether trying the same thing again can help: `soon` when it may pass by itself, `slowly` when somebody has to do something
 * first and nobody will say when it is done, `never` when each new try fails alike or does harm.
 */
export type Retry = 'soon' | 'slowly' | 'never';

interface ErrorKind {
  /** Exit status of the process. */
  readonly exit: number;
  /** Whether trying again can help, where no reason says it better. */
  readonly retry: Retry;
}

const table = {
  unexpected: { exit: 1, retry: 'slowly' },
  unhealthy: { exit: 1, retry: 'slowly' },
  message: { exit: 1, retry: 'slowly' },
  output: { exit: 1, retry: 'slowly' },
  settings: { exit: 2, retry: 'slowly' },
  usage: { exit: 2, retry: 'slowly' },
  locked: { exit: 3, retry: 'soon' },
  'no-snapshot': { exit: 4, retry: 'slowly' },
  findings: { exit: 5, retry: 'slowly' },
  database: { exit: 10, retry: 'soon' },
  dump: { exit: 10, retry: 'soon' },
  hook: { exit: 10, retry: 'slowly' },
  yielded: { exit: 10, retry: 'soon' },
  codec: { exit: 11, retry: 'soon' },
  store: { exit: 12, retry: 'soon' },
  verify: { exit: 13, retry: 'soon' },
  restore: { exit: 20, retry: 'slowly' },
  drill: { exit: 21, retry: 'slowly' },
  undrilled: { exit: 22, retry: 'slowly' },
  timeout: { exit: 124, retry: 'soon' },
  stalled: { exit: 124, retry: 'soon' },
  interrupted: { exit: 130, retry: 'soon' },
} as const satisfies Record<string, ErrorKind>;

/** What each exit status means, in the words of `--help` and of the documentation. */
const exitWords: Readonly<Record<0 | (typeof table)[keyof typeof table]['exit'], string>> = {
  0: 'done',
  1: 'unexpected',
  2: 'settings or arguments',
  3: 'another run holds the lock',
  4: 'no such snapshot',
  5: '`doctor` or `upgrade check` found problems',
  10: 'dump failed, or database unreachable',
  11: 'compression or encryption failed',
  12: 'storing failed at a destination',
  13: 'verification failed',
  20: 'restore failed',
  21: 'drill failed',
  22: 'drill skipped or incomplete',
  124: 'timed out or stalled',
  130: 'interrupted',
};

/** The exit statuses in their order, each with its meaning. */
export const exitStatuses: readonly (readonly [status: number, words: string])[] = Object.entries(exitWords).map(
  ([status, words]) => [Number(status), words],
);

const reasons = {
  /** No key at hand opens what is encrypted. */
  'wrong-key': 'never',
  /** Credentials or rights are refused: a revoked token, a wrong owner, a role without rights. */
  'access-denied': 'slowly',
  /** It is kept where it has to be asked for hours before it can be read. */
  archived: 'slowly',
  /** A disk, a quota or a bucket is full. */
  'no-space': 'slowly',
  /** Nothing answers, or what answers breaks off. */
  unreachable: 'soon',
  /** It answers, but cannot serve now. */
  overloaded: 'soon',
  /** What was asked for is not there: a bucket, a directory, an object. */
  'not-found': 'slowly',
  /** Another object has taken the place of the one that was meant. */
  changed: 'slowly',
  /** Nobody may remove it before a time that was set when it was stored. */
  locked: 'slowly',
  /** Something of that name is there, and nothing is overwritten. */
  exists: 'slowly',
  /** An address, a region, a clock or a certificate is wrong. */
  misconfigured: 'slowly',
  /** The other side does not know what it was asked for. */
  unsupported: 'slowly',
  /** What is stored is not what was written. */
  'damaged-object': 'soon',
  /** The source database is damaged: each try may crash the server that Mastodon runs on. */
  'damaged-source': 'never',
} as const satisfies Record<string, Retry>;

/** What kind of failure it was; `src/errors.ts` maps each to an exit status. */
export type ErrorCode = keyof typeof table;

/** Why it failed, as far as the program decides by it; people read the message. */
export type ErrorReason = keyof typeof reasons;

/** A failure a person can act on: what was attempted, why it failed, and the next step. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  /** Why, when it is known: given, or that of an `AppError` that caused it. */
  readonly reason: ErrorReason | undefined;
  /** One imperative sentence: what to do next, with the command where there is one. */
  readonly hint: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      readonly cause?: unknown;
      readonly hint?: string | undefined;
      readonly reason?: ErrorReason | undefined;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = options.reason ?? reasonOf(options.cause);
    this.hint = options.hint;
  }
}

/** The exit status of a failure: the table's for an `AppError`, 1 for anything else. */
export function exitStatusOf(error: unknown): number {
  return error instanceof AppError ? table[error.code].exit : table.unexpected.exit;
}

/** Why something failed, as far as it is known. */
export function reasonOf(error: unknown): ErrorReason | undefined {
  return error instanceof AppError ? error.reason : undefined;
}

/** Whether trying the same thing again can help: by its reason where there is one, else by what kind of failure it was. */
export function retryOf(error: unknown): Retry {
  if (!(error instanceof AppError)) return table.unexpected.retry;
  return error.reason === undefined ? table[error.code].retry : reasons[error.reason];
}

/** The error as an `AppError`: itself, or wrapped as `code` with `message` before its own text. */
export function toAppError(
  error: unknown,
  fallback: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly hint?: string;
    readonly reason?: ErrorReason;
  },
): AppError {
  if (error instanceof AppError) return error;
  return new AppError(fallback.code, `${fallback.message}: ${describeError(error)}`, {
    cause: error,
    hint: fallback.hint,
    reason: fallback.reason,
  });
}

/** One line of text for anything thrown, looking through `AggregateError` and empty messages to what can be read. */
export function describeError(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(describeError))].join('; ');
  }
  if (error instanceof Error) {
    const text = error.message === '' ? error.name : error.message;
    return oneLine(text);
  }
  return oneLine(String(error));
}

function oneLine(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' | ');
}
