// Programs of the administrator's that run beside a backup. They get the event and hardly any environment, they end within
// minutes, and with them ends what they have started: a hook that hangs, or lets a sleep behind, must not keep a backup waiting.

import type { Environment } from '../config/environment.ts';
import type { HookSettings } from '../config/settings.ts';
import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { startChild } from '../stream/child.ts';
import { splitLines } from '../stream/lines.ts';
import { formatSpan } from '../text/format.ts';
import type { BackupEvent } from './event.ts';

/** When a hook runs. */
export type HookMoment = keyof HookSettings;

/** A hook that is set. */
export interface Hook {
  readonly moment: HookMoment;
  /** Its setting, for log and health. */
  readonly name: string;
  readonly file: string;
}

/** How a hook ended; one that was not even started says nothing about the backup. */
export type HookOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'not-started'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** How long a hook may take, in milliseconds. */
export const hookLimitMs = 5 * 60_000;
/** Time to tidy up after TERM, in milliseconds. */
const graceMs = 3_000;
/** What a program needs to be one, and what its author has named for it; a list of what is secret would never be complete. */
const passedOn = /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|HOSTNAME|HOOK_\w+)$/;
/** A hook that writes without end must not fill the log. */
const mostLines = 100;
const longestReason = 300;

/** The hooks that are set. */
export function hooksOf(settings: HookSettings): readonly Hook[] {
  return (['before', 'after', 'failed'] as const).flatMap((moment): readonly Hook[] => {
    const file = settings[moment];
    return file === null ? [] : [{ moment, name: `BACKUP_HOOK_${moment.toUpperCase()}`, file }];
  });
}

/** The environment of a hook: nothing of ours or Mastodon's. */
export function hookEnvironment(environment: Environment): Readonly<Record<string, string>> {
  const names = environment.names.filter((name) => passedOn.test(name));
  return Object.fromEntries(names.map((name) => [name, environment.get(name)?.text ?? '']));
}

/** Runs a hook to its end. Rejects only with the reason of `signal`, when it and all that it has started are gone. */
export async function runHook(
  { name, file }: Hook,
  options: {
    /** What it reads from its standard input; redacted. */
    readonly event: BackupEvent;
    readonly environment: Readonly<Record<string, string>>;
    readonly limitMs: number;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<HookOutcome> {
  const { signal, log } = options;
  signal.throwIfAborted();
  const limit = AbortSignal.timeout(options.limitMs);
  let lines = 0;
  const say = (line: string): void => {
    lines += 1;
    if (lines <= mostLines && line.trim() !== '') log.info({ hook: name }, line);
  };
  const child = startChild(file, {
    args: [],
    env: options.environment,
    stdin: 'pipe',
    wholeGroup: true,
    onStderrLine: say,
  });
  const stop = (): void => void child.stop({ graceMs });
  const ended = AbortSignal.any([signal, limit]);
  ended.addEventListener('abort', stop, { once: true });
  // It need not read what it is told.
  child.stdin?.on('error', () => undefined).end(`${JSON.stringify(options.event)}\n`);
  let lastPrinted = '';
  const printed = splitLines((line) => {
    if (line.trim() !== '') lastPrinted = line.trim();
    say(line);
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => printed.push(text));
  try {
    const exit = await child.done;
    printed.end();
    signal.throwIfAborted();
    if (limit.aborted) return { kind: 'failed', reason: `it took longer than ${formatSpan(options.limitMs)}` };
    if (exit.code === 0) return { kind: 'done' };
    const how = exit.code === null ? `it was ended by ${exit.signal}` : `it ended with status ${exit.code}`;
    // Many a script says why with a plain `echo`.
    const words = (exit.stderrTail === '' ? lastPrinted : exit.stderrTail).slice(-longestReason);
    return { kind: 'failed', reason: words === '' ? how : `${how}: ${words}` };
  } catch (error) {
    signal.throwIfAborted();
    return { kind: 'not-started', reason: `'${file}' could not be started: ${describeStart(error)}` };
  } finally {
    ended.removeEventListener('abort', stop);
  }
}

function describeStart(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file, or the program that its first line names is not there';
  return code === 'EACCES' ? 'it is not executable for us' : describeError(error);
}
