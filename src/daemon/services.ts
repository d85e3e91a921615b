// The daemon: what runs side by side until it is told to end, each with its own setback and its own troubles, and the heartbeat
// that tells health of all of them. One that fails takes no other down.

import type { App } from '../app/app.ts';
import { startHttp } from '../http/server.ts';
import { nextSlot, scheduledTiers, type Scheduled, type Timetable } from '../schedule/timetable.ts';
import type { Waiting } from '../state/records.ts';
import { unlessAborted } from '../stream/abortable.ts';
import type { DaemonClock } from './clock.ts';
import { runDueLoop } from './due-loop.ts';
import { runScheduleLoop, type ScheduleLoopOptions } from './schedule-loop.ts';
import { createTroubles, defaultFirstPauseMs, runServices, type Service } from './supervisor.ts';

const heartbeatEveryMs = 30_000;
/** A dump that gave way to a migration comes back after five minutes. */
const usualYieldPauseMs = 5 * 60_000;

/** What the daemon does and how it waits. */
export interface DaemonOptions {
  readonly app: ScheduleLoopOptions['app'] &
    Pick<
      App,
      | 'heartbeat'
      | 'http'
      | 'remembered'
      | 'status'
      | 'drillReport'
      | 'wantsPitr'
      | 'followLog'
      | 'drillIfDue'
      | 'baseIfDue'
    >;
  readonly clock: DaemonClock;
  readonly toolVersion: string;
  /** How long a dump that gave way to a migration waits before it tries again, in milliseconds; tests shorten it. */
  readonly yieldPauseMs?: number;
  /** How long the first of several failures is waited out, in milliseconds; tests shorten it. */
  readonly firstSetbackMs?: number;
  readonly signal: AbortSignal;
}

/** Runs until `signal` aborts. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { app, clock, signal } = options;
  const startedAt = clock.now();
  announceSchedule(app, { timetable: app.timetable(), now: startedAt });
  const troubles = createTroubles();
  let waiting: Waiting = null;
  const beat = async (): Promise<void> => app.heartbeat({ startedAt, troubles: troubles.all(), waiting });
  const report = async (name: string, texts: readonly string[]): Promise<void> => {
    troubles.set(name, texts);
    await beat();
  };
  await beat();
  const heart = setInterval(() => void beat(), heartbeatEveryMs);
  try {
    const standing: ScheduleLoopOptions['report'] = async (of) => {
      ({ waiting } = of);
      await report('schedule: stores', of.troubles);
    };
    await runServices(servicesOf(options, { startedAt, report: standing }), {
      clock,
      log: app.log,
      report,
      firstPauseMs: options.firstSetbackMs ?? defaultFirstPauseMs,
      signal,
    });
  } finally {
    clearInterval(heart);
  }
  app.log.info({}, 'The daemon has ended');
}

function servicesOf(
  { app, clock, toolVersion, yieldPauseMs = usualYieldPauseMs, firstSetbackMs }: DaemonOptions,
  { startedAt, report }: Pick<ScheduleLoopOptions, 'startedAt' | 'report'>,
): readonly Service[] {
  const { promise: firstIdle, resolve: onIdle } = Promise.withResolvers<void>();
  const http = app.http();
  const schedule = { app, clock, startedAt, yieldPauseMs, firstSetbackMs, report, onIdle } as const;
  return [
    // A loop that died has nothing to do either.
    { name: 'schedule', run: async (signal) => runScheduleLoop({ ...schedule, signal }).finally(onIdle) },
    {
      name: 'drill',
      run: async (signal) => runDueLoop({ look: async (ended) => app.drillIfDue(ended), clock, firstIdle, signal }),
    },
    ...(app.wantsPitr()
      ? [
          { name: 'pitr', run: async (signal: AbortSignal) => app.followLog(signal) },
          {
            name: 'base',
            run: async (signal: AbortSignal) =>
              runDueLoop({ look: async (ended) => app.baseIfDue(ended), clock, firstIdle, signal }),
          },
        ]
      : []),
    ...(http === null
      ? []
      : [{ name: 'http', run: async (signal: AbortSignal) => serveHttp(app, { ...http, toolVersion, signal }) }]),
  ];
}

async function serveHttp(
  app: DaemonOptions['app'],
  { signal, ...options }: Parameters<typeof startHttp>[1] & { readonly signal: AbortSignal },
): Promise<void> {
  await using _server = await startHttp(app, options);
  await unlessAborted(new Promise<never>(() => undefined), { signal });
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
