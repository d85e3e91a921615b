// Services that run side by side until the signal. One that dies is started again, later each time, and what it died of is a
// trouble that health shows until it has run steadily; the others do not notice. Without this one port that is taken, or one
// slip of ours in what HTTP serves, would end the backups too.

import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { backOffMs } from '../stream/patience.ts';
import type { DaemonClock } from './clock.ts';

/** Something that runs for weeks. */
export interface Service {
  /** One word, as health shows it. */
  readonly name: string;
  /** Runs until `signal` aborts; one that resolves before that has nothing more to do. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/** How long a service that died for the first time is waited with, in milliseconds, when nothing else is said. */
export const defaultFirstPauseMs = 5_000;
const longestPauseMs = 15 * 60_000;
/** Who has run for so long has recovered. */
const steadyMs = 5 * 60_000;

/** What is wrong, by whom it troubles. */
export interface Troubles {
  /** Puts these in the place of what was said before in that name. */
  set(name: string, troubles: readonly string[]): void;
  all(): readonly string[];
}

/** No troubles yet. */
export function createTroubles(): Troubles {
  const byName = new Map<string, readonly string[]>();
  return {
    set: (name, troubles) => void byName.set(name, troubles),
    all: () => [...byName.values()].flat(),
  };
}

/** How services are looked after. */
export interface SupervisorOptions {
  readonly clock: DaemonClock;
  readonly log: Log;
  /** Told what the service of that name died of, and with nothing when it has recovered. Never rejects. */
  readonly report: (name: string, troubles: readonly string[]) => Promise<void>;
  readonly firstPauseMs: number;
  readonly signal: AbortSignal;
}

/** Runs them all; resolves when `signal` has aborted and all of them have ended. Never rejects. */
export async function runServices(services: readonly Service[], options: SupervisorOptions): Promise<void> {
  await Promise.all(services.map(async (service) => supervise(service, options)));
}

async function supervise(
  { name, run }: Service,
  { clock, log, report, firstPauseMs, signal }: SupervisorOptions,
): Promise<void> {
  let deaths = 0;
  while (!signal.aborted) {
    const life = new AbortController();
    const recovered = async (): Promise<void> => {
      const until = new Date(clock.now().getTime() + steadyMs);
      const ended = AbortSignal.any([signal, life.signal]);
      while (clock.now() < until && !ended.aborted) await clock.waitUntil(until, ended);
      if (ended.aborted) return;
      deaths = 0;
      await report(name, []);
    };
    const recovery = deaths === 0 ? null : recovered();
    try {
      try {
        await run(signal);
      } finally {
        // Whoever waits to be started again does not recover by that.
        life.abort();
        await recovery;
      }
      if (!signal.aborted) log.debug({ service: name }, 'A service has nothing more to do');
      return;
    } catch (error) {
      if (signal.aborted) {
        // Told to end in the middle of something: that is how it ends, not how it fails.
        log.debug({ err: error, service: name }, 'Cut off by the signal');
        return;
      }
      deaths += 1;
      const pauseMs = backOffMs(deaths, { firstMs: firstPauseMs, longestMs: longestPauseMs, random: clock.random });
      const at = new Date(clock.now().getTime() + pauseMs);
      log.error({ err: error, service: name, deaths, startsAgainAt: at }, 'A service of the daemon died');
      await report(name, [describeDeath(name, error)]);
      await clock.waitUntil(at, signal);
    }
  }
}

function describeDeath(name: string, error: unknown): string {
  const hint = error instanceof AppError && error.hint !== undefined ? `. ${error.hint}` : '';
  return `The service '${name}' died and is started again: ${describeError(error)}${hint}`;
}
