// What a command needs of the process, and how it answers: text for people, or exactly one JSON document.

import type { Writable } from 'node:stream';
import type { App } from '../app/app.ts';
import type { PsqlInvocation } from '../database/psql.ts';
import { forTerminal } from '../text/terminal.ts';
import type { ProgressOutput } from './progress-bar.ts';

/** What commands are given. */
export interface CommandContext {
  readonly app: App;
  readonly signal: AbortSignal;
  /** Writes to stdout; a closed stdout is not an error. */
  readonly write: (text: string) => void;
  /** Stdout itself, for a dump. */
  readonly stdout: Writable;
  /** How wide stdout is, in characters; Infinity where it is no terminal. */
  readonly columns: () => number;
  /** Whether stdout is a terminal and NO_COLOR is not set. */
  readonly hasColours: boolean;
  readonly progress: ProgressOutput;
  readonly readFile: (file: string) => Promise<string>;
  /** Stdin to its end. */
  readonly readInput: () => Promise<string>;
  /** The TERM of the terminal that stdin is; null: it is none. */
  readonly terminal: string | null;
  /** Lets a program have our streams, and Ctrl-C, until it ends; answers its exit status. */
  readonly runInForeground: (program: PsqlInvocation & { readonly signal: AbortSignal }) => Promise<number>;
  readonly toolVersion: string;
  /** How this program is called where its output is read. */
  readonly program: string;
}

/** Writes the answer as it was asked for. */
export function print(
  { write }: Pick<CommandContext, 'write'>,
  answer: { readonly json: boolean | undefined; readonly document: unknown; readonly text: string },
): void {
  write(answer.json === true ? `${JSON.stringify(answer.document, null, 2)}\n` : forTerminal(answer.text));
}
