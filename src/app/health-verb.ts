// Health from what is remembered: no database, and a bucket only where none was ever read and no daemon will, for a new state
// directory does not mean that there is no backup.

import path from 'node:path';
import { assessHealth, type Health } from '../health/assess.ts';
import { assessLog } from '../health/log-standing.ts';
import { renderProblem } from '../config/problem.ts';
import type { AppError } from '../errors.ts';
import { hooksOf } from '../notify/hook.ts';
import type { AttemptsRecord } from '../state/records.ts';
import { findHolder } from '../state/lock.ts';
import type { Repository } from '../snapshots/repository.ts';
import { localError } from '../storage/local-errors.ts';
import { plural } from '../text/table.ts';
import type { AppContext } from './context.ts';
import { readHoldings } from './holdings.ts';

/** How it stands now. */
export async function health(context: AppContext): Promise<Health> {
  const { settings } = context.load();
  const state = context.state();
  const now = context.now();
  const [attempts, heartbeat, pitr, unreadable] = await Promise.all([
    attemptsNow(context),
    state.readHeartbeat(),
    state.readPitr(),
    unreadableState(context),
  ]);
  // A daemon begins with reading them, and whoever looks at its page is not to be kept waiting for a bucket.
  const silent = heartbeat === null && unreadable === null ? await readStoresFirst(context) : [];
  const stores = await state.readStores();
  return assessHealth({
    timetable: context.timetable(),
    graceMs: settings.healthGraceMs,
    timeoutMs: settings.timeoutMs,
    drillTimeoutMs: settings.drillTimeoutMs,
    stores,
    attempts,
    heartbeat,
    log: assessLog({ isOn: settings.pitr.isOn, pitr, heartbeat, now }),
    unknownSettings: [...context.unknownSettings, ...context.channelProblems.map(renderProblem)],
    unreadable: unreadable === null ? silent : [`${unreadable.message}. ${unreadable.hint}`],
    now,
  });
}

// What a healthcheck may take, which Docker ends after 15 s.
const readingMs = 8_000;

// Answers what was silent. Each for itself: one that hangs is not to hide another.
async function readStoresFirst(context: AppContext): Promise<readonly string[]> {
  const known = await context.state().readStores();
  if (known?.stores.some(({ readAt }) => readAt !== null) === true) return [];
  const read = async (repository: Repository): Promise<readonly string[]> => {
    try {
      const signal = AbortSignal.timeout(readingMs);
      await readHoldings(context, signal, { among: [repository], isImpatient: true });
      return [];
    } catch (error) {
      context.log.debug({ err: error }, 'A store could not be read for health');
      return [`${repository.store.description} did not say within ${readingMs / 1_000} s what it holds`];
    }
  };
  return (await Promise.all((await context.stores()).map(read))).flat();
}

/** What is remembered and this user may not read, with what mends it: without it all would look as if nothing had ever been. */
export async function unreadableState(context: AppContext): Promise<AppError | null> {
  const [file, ...others] = await context.state().refused();
  if (file === undefined) return null;
  const { dir: directory, base } = path.parse(file);
  const names = others.length === 0 ? `'${base}'` : `'${base}' and ${plural(others.length, 'other file')}`;
  const action = `What is remembered in ${names} of '${directory}' cannot be read`;
  return localError(Object.assign(new Error(), { code: 'EACCES' }), { action, directory, file });
}

/**
 * How attempts ended, and what is on. A channel, a hook or a destination that was taken out of the settings cannot be mended, nor need
 * it be; what was killed has not said that it ended, and the lock knows.
 */
export async function attemptsNow(context: AppContext): Promise<AttemptsRecord> {
  const { messages, destinations, hooks, stateDirectory: directory } = context.load().settings;
  const attempts = await context.state().readAttempts();
  const isAlive = async (name: 'run' | 'drill'): Promise<boolean> => (await findHolder({ directory, name })) !== null;
  const { when } = messages;
  const used = context.channels().filter(({ filtered }) => when !== 'off' || !filtered);
  return {
    ...attempts,
    running: attempts.running !== null && (await isAlive('run')) ? attempts.running : null,
    drilling: attempts.drilling !== null && (await isAlive('drill')) ? attempts.drilling : null,
    channels: attempts.channels.filter(({ channel }) => used.some(({ name }) => name === channel)),
    hooks: attempts.hooks.filter(({ hook }) => hooksOf(hooks).some(({ name }) => name === hook)),
    // Only where there are two can one miss what the other took.
    destinationFailures: destinations.length < 2 ? [] : attempts.destinationFailures,
  };
}
