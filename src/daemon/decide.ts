// What the daemon does next: a pure function of the timetable, of what the stores hold, of earlier failures and of now.

import { retryOf, type AppError } from '../errors.ts';
import { findDue, type DueRun, type PlannedSnapshot } from '../schedule/due.ts';
import { nextSlotOfAny, type Timetable } from '../schedule/timetable.ts';
import { jittered, type Random } from '../stream/patience.ts';

/** Runs that failed one after the other; null: the last one did not. */
export interface Setback {
  readonly failures: number;
  /** No run before this moment. */
  readonly notBefore: Date;
}

/** What to do next. */
export type Step =
  | { readonly kind: 'run'; readonly due: DueRun; readonly missed: boolean }
  /** `isDue`: something is, and waits all the same. */
  | { readonly kind: 'wait'; readonly until: Date; readonly isDue: boolean };

const minuteMs = 60_000;
/** A slot this old was missed: the run for it is a catch-up and need not be punctual. */
const missedAfterMs = 2 * minuteMs;
/** How long the first failure is waited out when nothing else is said. */
export const defaultFirstSetbackMs = minuteMs;
const longestSetbackMs = 60 * minuteMs;
/** So many times later is tried what somebody has to mend first: soon enough for who has just mended it. */
const slowly = 15;
/** How long what does harm is not tried again when there is no schedule. */
const hopelessMs = 24 * 60 * minuteMs;
/** Waits without a slot end all the same, to look at the stores again. */
const longestWaitMs = 3 * 60 * minuteMs;

/** Decides: the finest tier that is due, unless a failure asks for patience; else until when to wait. */
export function decide(
  timetable: Timetable,
  {
    snapshots,
    setback,
    now,
  }: { readonly snapshots: readonly PlannedSnapshot[]; readonly setback: Setback | null; readonly now: Date },
): Step {
  const latest = new Date(now.getTime() + longestWaitMs);
  const [due] = findDue(timetable, { snapshots, now });
  if (due !== undefined) {
    if (setback !== null && setback.notBefore > now)
      return { kind: 'wait', until: earlier(setback.notBefore, latest), isDue: true };
    const missed = due.slot !== null && snapshots.length > 0 && now.getTime() - due.slot.getTime() > missedAfterMs;
    return { kind: 'run', due, missed };
  }
  return { kind: 'wait', until: earlier(nextSlotOfAny(timetable, now)?.at ?? latest, latest), isDue: false };
}

function earlier(one: Date, other: Date): Date {
  return one < other ? one : other;
}

/**
 * The setback after one more failure: 1, 2, 4, … times `firstSetbackMs` up to 60 minutes, with jitter. What somebody
 * has to mend first begins with 15 times that, what trying again makes worse waits until the next slot; a dump that gave way
 * to a migration comes back after `yieldPauseMs`.
 */
export function nextSetback(
  before: Setback | null,
  options: {
    readonly error: unknown;
    readonly now: Date;
    readonly random: Random;
    readonly yieldPauseMs: number;
    readonly firstSetbackMs: number;
    /** When the schedule asks for a backup next; null: never. */
    readonly nextSlotAt: Date | null;
  },
): Setback {
  const failures = (before?.failures ?? 0) + 1;
  if (retryOf(options.error) === 'never') {
    return { failures, notBefore: options.nextSlotAt ?? new Date(options.now.getTime() + hopelessMs) };
  }
  const firstMs = options.firstSetbackMs * (retryOf(options.error) === 'soon' ? 1 : slowly);
  const patient = Math.min(longestSetbackMs, firstMs * 2 ** (failures - 1));
  const yielded = (options.error as Partial<AppError> | null)?.code === 'yielded';
  const waitMs = yielded ? options.yieldPauseMs : jittered(patient, options.random);
  return { failures, notBefore: new Date(options.now.getTime() + waitMs) };
}
