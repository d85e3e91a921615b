// The schedule loop: looks what is due, does it, waits. It keeps no state of its own but how often it failed and what it made; all
// else comes from the stores, so it can be killed at any moment. It ends only by its signal.

import type { App } from '../app/app.ts';
import { describeError } from '../errors.ts';
import { isAnswered, withoutFuture, type PlannedSnapshot } from '../schedule/due.ts';
import { nextSlotOfAny } from '../schedule/timetable.ts';
import type { Waiting } from '../state/records.ts';
import type { DaemonClock } from './clock.ts';
import { decide, defaultFirstSetbackMs, nextSetback, type Setback } from './decide.ts';

const catchUpJitterMs = 30_000;

/** What the loop does and how it waits. */
export interface ScheduleLoopOptions {
  readonly app: Pick<
    App,
    'log' | 'timetable' | 'tidyScratch' | 'waitForDatabase' | 'lookAround' | 'placesChanged' | 'runScheduled' | 'mend'
  >;
  readonly clock: DaemonClock;
  /** When the daemon was started. */
  readonly startedAt: Date;
  /** How long a dump that gave way to a migration waits before it tries again, in milliseconds. */
  readonly yieldPauseMs: number;
  /** How long the first of several failures is waited out, in milliseconds; tests shorten it. */
  readonly firstSetbackMs?: number | undefined;
  /** Told after each look what is wrong, and what the next backup waits for. */
  readonly report: (standing: Standing) => Promise<void>;
  /** Told whenever nothing is due, or what is due has to wait. */
  readonly onIdle: () => void;
  readonly signal: AbortSignal;
}

/** What a run of this daemon answered. */
interface Answer extends PlannedSnapshot {
  readonly since: Date;
  wasListed: boolean;
  /** Whether it was made because the one before it was missing. */
  readonly isAgain: boolean;
}

// What was listed once and is not there any more is missing, and is made again: once, for whoever takes it away may go on doing so.
function stands({ wasListed, isAgain }: Answer): boolean {
  return isAgain || !wasListed;
}

/** How it stands with the schedule. */
export interface Standing {
  readonly troubles: readonly string[];
  readonly waiting: Waiting;
}

/** Runs until `signal` aborts. */
export async function runScheduleLoop({
  app,
  clock,
  startedAt,
  yieldPauseMs,
  firstSetbackMs = defaultFirstSetbackMs,
  report,
  onIdle,
  signal,
}: ScheduleLoopOptions): Promise<void> {
  const { log } = app;
  const timetable = app.timetable();
  const later = (before: Setback | null, error: unknown): Setback =>
    nextSetback(before, {
      error,
      now: clock.now(),
      random: clock.random,
      yieldPauseMs,
      firstSetbackMs,
      nextSlotAt: nextSlotOfAny(timetable, clock.now())?.at ?? null,
    });
  // Ends early when a destination vanishes or comes back: it is said at once, and not when the next backup is due.
  const idle = async (until: Date): Promise<void> => {
    onIdle();
    const over = new AbortController();
    const ended = AbortSignal.any([signal, over.signal]);
    const watched = app.placesChanged(ended).then(() => over.abort());
    await clock.waitUntil(until, ended);
    over.abort();
    await watched;
  };
  await app.tidyScratch(signal);
  await awaitDatabase({ app, startedAt, report, signal });
  let setback: Setback | null = null;
  // A store that does not list at once what was just committed must not cause the same run again and again.
  const answered = new Map<string, Answer>();
  while (!signal.aborted) {
    const around = await app.lookAround({ startedAt, signal });
    // Nothing is known of any store: what is due cannot be known either.
    if (around.snapshots === null) {
      setback = later(setback, around.error);
      await report({ troubles: around.troubles, waiting: waitingFor('destinations', setback.notBefore) });
      await idle(setback.notBefore);
      continue;
    }
    const listed = withoutFuture(around.snapshots, clock.now());
    for (const answer of answered.values())
      answer.wasListed ||= isAnswered(answer.since, { tier: answer.tier, snapshots: listed });
    const step = decide(timetable, {
      snapshots: [...around.snapshots, ...[...answered.values()].filter(stands)],
      setback,
      now: clock.now(),
    });
    const isPatient = step.kind === 'wait' && step.isDue;
    await report({ troubles: around.troubles, waiting: isPatient ? waitingFor('patience', step.until) : null });
    if (step.kind === 'wait') {
      if (!(await hasMended(app, signal))) await idle(step.until);
      continue;
    }
    if (step.missed) {
      const at = new Date(clock.now().getTime() + clock.random() * catchUpJitterMs);
      log.info({ tier: step.due.tier, slot: step.due.slot, at }, 'Catching up a backup that was missed');
      await clock.waitUntil(at, signal);
      if (signal.aborted) break;
    }
    const { slot } = step.due;
    const since = slot ?? clock.now();
    const error = await attempt(app, { ...step.due, signal });
    if (signal.aborted) break;
    const { tier } = step.due;
    const at = clock.now();
    const before = answered.get(tier);
    const isAgain = before?.wasListed === true && (slot === null || slot.getTime() === before.since.getTime());
    if (error === null)
      answered.set(tier, { tier, slot: null, committedAt: at, dataAt: at, since, wasListed: false, isAgain });
    setback = error === null ? null : later(setback, error);
    if (setback !== null) log.info({ notBefore: setback.notBefore, failures: setback.failures }, 'Trying again later');
  }
}

// What the destinations hold can be said meanwhile.
async function awaitDatabase({
  app,
  startedAt,
  report,
  signal,
}: Pick<ScheduleLoopOptions, 'app' | 'startedAt' | 'report' | 'signal'>): Promise<void> {
  const over = new AbortController();
  const tell = async (reason: unknown, until: Date): Promise<void> => {
    const waiting = waitingFor('database', until);
    const trouble = describeError(reason);
    await report({ troubles: [trouble], waiting });
    const around = await app.lookAround({ startedAt, signal: AbortSignal.any([signal, over.signal]) });
    await report({ troubles: [...around.troubles, trouble], waiting });
  };
  let told: Promise<void> | undefined;
  await app.waitForDatabase({
    onWait(reason, until) {
      // Cut off when the database answers: then it is looked anew.
      told = tell(reason, until).catch(() => undefined);
    },
    signal,
  });
  over.abort();
  await told;
}

function waitingFor(what: NonNullable<Waiting>['for'], until: Date): Waiting {
  return { for: what, until: until.toISOString() };
}

// Work that waits until no backup is due.
async function hasMended(app: ScheduleLoopOptions['app'], signal: AbortSignal): Promise<boolean> {
  try {
    return await app.mend(signal);
  } catch (error) {
    if (!signal.aborted) app.log.error({ err: error }, 'The copy failed');
    return false;
  }
}

async function attempt(
  app: ScheduleLoopOptions['app'],
  request: {
    readonly tier: Parameters<App['runScheduled']>[0]['tier'];
    readonly slot: Date | null;
    readonly signal: AbortSignal;
  },
): Promise<unknown> {
  try {
    const report = await app.runScheduled({ ...request, onProgress: () => undefined });
    if (report === null) return null;
    const failure = report.outcomes.find((outcome) => outcome.kind === 'failed');
    const stored = report.outcomes.some((outcome) => outcome.kind === 'stored');
    return stored ? null : (failure?.error ?? null);
  } catch (error) {
    if (!request.signal.aborted) app.log.error({ err: error, tier: request.tier }, 'The scheduled backup failed');
    return error;
  }
}
