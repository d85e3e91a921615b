// What a fault is to the rest of the campaign: a name for the table, settings, and something that begins and ends. What it
// cannot be blamed for is said beside it, so that no invariant is weakened for the others.

import type { Ending } from './attempt.ts';
import type { PlaceName } from './places.ts';
import type { Stage } from './stage.ts';

/** What is done to the program. */
export const operations = ['run', 'copy', 'prune', 'mend', 'restore', 'drill'] as const;

/** One of them. */
export type Operation = (typeof operations)[number];

/** What a fault may do to the operation that is under way. */
export interface Victim {
  /** How long the operation takes undisturbed, in milliseconds. */
  readonly typicalMs: number;
  /** The process it runs in; undefined: it is gone, or has not begun. */
  processId(): number | undefined;
  /** Tells it to stop, as a signal does. */
  interrupt(): void;
  /** Kills its process. */
  kill(): void;
  /** Has the same done beside it, in this process. */
  rival(): Promise<Ending>;
  /** Aborts when the operation is over: nothing is to strike after it. */
  readonly over: AbortSignal;
}

/** One fault. */
export interface Fault {
  readonly family: 'process' | 'network' | 'directory' | 'database' | 'memory' | 'clock';
  /** For the table, such as `answer lost`. */
  readonly kind: string;
  /** For people: everything that was drawn. */
  readonly detail: string;
  /** Whether the real program is started, in a process of its own; else the app runs in ours, which is faster. */
  readonly spawns: boolean;
  /** Settings it adds. */
  readonly settings?: Readonly<Record<string, string>>;
  /** How far our clock is from the right time, in milliseconds. */
  readonly skewMs?: number;
  /** Whether our clock and the bucket's are so far apart that retention must not work there. */
  readonly partsClocks?: boolean;
  /** Whether it ends the program without a word, which then can clear nothing away. */
  readonly silences?: boolean;
  /** Whether it tells the program to stop, which is then to end with 130 unless it was ready before. */
  readonly interrupts?: boolean;
  /** The place that it hurts, where nobody may be able to clear away what is unfinished. */
  readonly wounds?: PlaceName;
  /** Whether the operation cannot have succeeded, and left not even an object without a manifest. */
  readonly spoils?: boolean;
  /** What else was wrong, asked when it is over. */
  readonly violations?: () => readonly string[];
  /** Begins it; the disposer ends it. */
  begin(stage: Stage, victim: Victim): Promise<AsyncDisposable>;
}

/** What does nothing when it ends. */
export const nothingToEnd: AsyncDisposable = { [Symbol.asyncDispose]: async () => undefined };
