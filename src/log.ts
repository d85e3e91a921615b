// The log: pino on stderr, with every known secret replaced by value wherever it turns up. Redaction by path would miss
// a password inside an error text, so the rendered line itself is searched.

import { pino } from 'pino';

/** What the rest of the program needs of a logger. */
export interface Log {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** Replaces every occurrence of a known secret, also in its JSON- and percent-encoded forms. */
export type Redact = (text: string) => string;

/** A redactor for the given secrets; those shorter than 4 characters are left alone, they would blacken the text. */
export function createRedactor(secrets: Iterable<string>): Redact {
  const forms = new Set<string>();
  for (const secret of secrets) {
    if (secret.length < 4) continue;
    forms.add(secret);
    forms.add(JSON.stringify(secret).slice(1, -1));
    forms.add(JSON.stringify(JSON.stringify(secret).slice(1, -1)).slice(1, -1));
    forms.add(encodeURIComponent(secret));
  }
  // Longest first, so that a secret that contains another one disappears whole.
  const ordered = [...forms].toSorted((a, b) => b.length - a.length);
  return (text) => ordered.reduce((result, form) => result.replaceAll(form, '[secret]'), text);
}

/** A logger that writes redacted lines to `write`: JSON with levels as words and times in ISO, or what `render` makes of it. */
export function createLog(options: {
  readonly level: LogLevel;
  /** Null: JSON. */
  readonly render: ((record: Readonly<Record<string, unknown>>) => string) | null;
  readonly redact: Redact;
  readonly write: (text: string) => void;
}): Log {
  const { redact, write, render } = options;
  const verbose = options.level === 'debug' || options.level === 'trace';
  const settings = {
    level: options.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: verbose ? pino.stdSerializers.err : summarize },
  };
  const toText = (line: string): string =>
    render === null ? line : render(JSON.parse(line) as Readonly<Record<string, unknown>>);
  return pino(settings, { write: (line: string) => write(redact(toText(line))) });
}

// A stack for every line that names an error buries the line; the debug level has it.
function summarize(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  return {
    message: error.message === '' ? error.name : error.message,
    ...('hint' in error ? { hint: error.hint } : {}),
  };
}
