// The daemon: looks what is due, does it, waits. It keeps no state of its own but how often it failed; everything else comes
// from the stores, so it can be killed at any moment. It ends only by its signal.

import type { App } from '../app/app.ts';
import type { PlannedSnapshot } from '../schedule/due.ts';
import type { Scheduled, Timetable } from '../schedule/timetable.ts';
import { nextSlot, nextSlotOfAny, scheduledTiers } from '../schedule/timetable.ts';
import type { DaemonClock } from './clock.ts';
import { decide, defaultFirstSetbackMs, nextSetback, type Setback } from './decide.ts';

const heartbeatEveryMs = 30_000;
const catchUpJitterMs = 30_000;

/** What the daemon does and how it waits. */
export interface DaemonOptions {
  readonly app: Pick<
    App,
    | 'log'
    | 'timetable'
    | 'tidyScratch'
    | 'waitForDatabase'
    | 'lookAround'
    | 'runScheduled'
    | 'mend'
    | 'drillIfDue'
    | 'heartbeat'
  >;
  readonly clock: DaemonClock;
  /** How long a dump that gave way to a migration waits before it tries again, in milliseconds. */
  readonly yieldPauseMs: number;
  /** How long the first of several failures is waited out, in milliseconds; tests shorten it. */
  readonly firstSetbackMs?: number;
  readonly signal: AbortSignal;
}

/** Runs until `signal` aborts. */
export async function runDaemon({
  app,
  clock,
  yieldPauseMs,
  firstSetbackMs = defaultFirstSetbackMs,
  signal,
}: DaemonOptions): Promise<void> {
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
  const startedAt = clock.now();
  announceSchedule(app, { timetable, now: startedAt });
  let troubles: readonly string[] = [];
  const beat = async (): Promise<void> => app.heartbeat({ startedAt, troubles });
  await beat();
  const heart = setInterval(() => void beat(), heartbeatEveryMs);
  try {
    await app.tidyScratch(signal);
    await app.waitForDatabase(signal);
    let setback: Setback | null = null;
    // A store that does not list at once what was just committed must not cause the same run again and again.
    const answered = new Map<string, PlannedSnapshot>();
    while (!signal.aborted) {
      const around = await app.lookAround({ startedAt, signal });
      troubles = around.troubles;
      await beat();
      // Nothing is known of any store: what is due cannot be known either.
      if (around.snapshots === null) {
        setback = later(setback, around.error);
        await clock.waitUntil(setback.notBefore, signal);
        continue;
      }
      const step = decide(timetable, {
        snapshots: [...around.snapshots, ...answered.values()],
        setback,
        now: clock.now(),
      });
      if (step.kind === 'wait') {
        if (await didSomethingElse(app, signal)) continue;
        await clock.waitUntil(step.until, signal);
        continue;
      }
      if (step.missed) {
        const at = new Date(clock.now().getTime() + clock.random() * catchUpJitterMs);
        log.info({ tier: step.due.tier, slot: step.due.slot, at }, 'Catching up a backup that was missed');
        await clock.waitUntil(at, signal);
        if (signal.aborted) break;
      }
      const error = await attempt(app, { ...step.due, signal });
      if (signal.aborted) break;
      const { tier } = step.due;
      const at = clock.now();
      if (error === null) answered.set(tier, { tier, slot: null, committedAt: at, dataAt: at });
      setback = error === null ? null : later(setback, error);
      if (setback !== null)
        log.info({ notBefore: setback.notBefore, failures: setback.failures }, 'Trying again later');
    }
  } catch (error) {
    // Told to end while it looked at a store: that is how it ends, not how it fails.
    if (!signal.aborted) throw error;
    log.debug({ err: error }, 'Cut off by the signal');
  } finally {
    clearInterval(heart);
  }
  log.info({}, 'The daemon has ended');
}

// Work that waits until no backup is due.
async function didSomethingElse(app: DaemonOptions['app'], signal: AbortSignal): Promise<boolean> {
  try {
    return (await app.mend(signal)) || (await app.drillIfDue(signal));
  } catch (error) {
    if (!signal.aborted) app.log.error({ err: error }, 'The copy or drill failed');
    return false;
  }
}

async function attempt(
  app: DaemonOptions['app'],
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

function announceSchedule(
  { log }: DaemonOptions['app'],
  { timetable, now }: { readonly timetable: Timetable; readonly now: Date },
): void {
  const local = new Intl.DateTimeFormat('en-GB', {
    timeZone: timetable.timeZone,
    dateStyle: 'full',
    timeStyle: 'long',
  });
  const all: readonly Scheduled[] = [...scheduledTiers(timetable), 'drill'];
  for (const of of all) {
    const at = nextSlot(timetable, { of, after: now });
    if (at === null) continue;
    log.info({ schedule: of, at, local: local.format(at), timeZone: timetable.timeZone }, 'Next run');
  }
  if (scheduledTiers(timetable).length === 0)
    log.warn({}, 'Every schedule is off: nothing will be backed up by itself');
}
