// One failure type for the whole program. The table below is the only place that says which
// exit status a failure has and whether trying again can help; without it a script that calls
// us could not tell a wrong password from a broken upload.

interface ErrorKind {
  /** Exit status of the process. */
  readonly exit: number;
  /** Whether the same run may succeed when it is tried again without a person doing anything. */
  readonly retryable: boolean;
}

const table = {
  unexpected: { exit: 1, retryable: false },
  unhealthy: { exit: 1, retryable: false },
  settings: { exit: 2, retryable: false },
  usage: { exit: 2, retryable: false },
  locked: { exit: 3, retryable: true },
  'no-snapshot': { exit: 4, retryable: false },
  findings: { exit: 5, retryable: false },
  database: { exit: 10, retryable: true },
  dump: { exit: 10, retryable: true },
  yielded: { exit: 10, retryable: true },
  codec: { exit: 11, retryable: true },
  store: { exit: 12, retryable: true },
  verify: { exit: 13, retryable: true },
  restore: { exit: 20, retryable: false },
  drill: { exit: 21, retryable: false },
  timeout: { exit: 124, retryable: true },
  stalled: { exit: 124, retryable: true },
  interrupted: { exit: 130, retryable: true },
} as const satisfies Record<string, ErrorKind>;

/** What kind of failure it was; `src/errors.ts` maps each to an exit status. */
export type ErrorCode = keyof typeof table;

/** A failure a person can act on: what was attempted, why it failed, and the next step. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  /** One imperative sentence: what to do next, with the command where there is one. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { readonly cause?: unknown; readonly hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}

/** The exit status of a failure: the table's for an `AppError`, 1 for anything else. */
export function exitStatusOf(error: unknown): number {
  return error instanceof AppError ? table[error.code].exit : table.unexpected.exit;
}

/** Whether trying the same thing again may succeed. */
export function isRetryable(error: unknown): boolean {
  return error instanceof AppError && table[error.code].retryable;
}

/** The error as an `AppError`: itself, or wrapped as `code` with `message` before its own text. */
export function toAppError(
  error: unknown,
  fallback: { readonly code: ErrorCode; readonly message: string; readonly hint?: string },
): AppError {
  if (error instanceof AppError) return error;
  return new AppError(fallback.code, `${fallback.message}: ${describeError(error)}`, {
    cause: error,
    ...(fallback.hint === undefined ? {} : { hint: fallback.hint }),
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
