// Health from what is remembered: no database, no bucket, no lock.

import { assessHealth, type Health } from '../health/assess.ts';
import { assessLog } from '../health/log-standing.ts';
import { renderProblem } from '../config/problem.ts';
import { hooksOf } from '../notify/hook.ts';
import type { AttemptsRecord } from '../state/records.ts';
import type { AppContext } from './context.ts';

/** How it stands now. */
export async function health(context: AppContext): Promise<Health> {
  const { settings } = context.load();
  const state = context.state();
  const now = context.now();
  const [stores, attempts, heartbeat, pitr] = await Promise.all([
    state.readStores(),
    state.readAttempts(),
    state.readHeartbeat(),
    state.readPitr(),
  ]);
  return assessHealth({
    timetable: context.timetable(),
    graceMs: settings.healthGraceMs,
    timeoutMs: settings.timeoutMs,
    drillTimeoutMs: settings.drillTimeoutMs,
    stores,
    attempts: withoutWhatIsGone(context, attempts),
    heartbeat,
    log: assessLog({ isOn: settings.pitr.isOn, pitr, heartbeat, now }),
    unknownSettings: [...context.unknownSettings, ...context.channelProblems.map(renderProblem)],
    now,
  });
}

/** How attempts ended: a channel, a hook or a destination that was taken out of the settings cannot be mended, nor need it be. */
export function withoutWhatIsGone(context: AppContext, attempts: AttemptsRecord): AttemptsRecord {
  const { messages, destinations, hooks } = context.load().settings;
  const { when } = messages;
  const used = context.channels().filter(({ filtered }) => when !== 'off' || !filtered);
  return {
    ...attempts,
    channels: attempts.channels.filter(({ channel }) => used.some(({ name }) => name === channel)),
    hooks: attempts.hooks.filter(({ hook }) => hooksOf(hooks).some(({ name }) => name === hook)),
    // Only where there are two can one miss what the other took.
    destinationFailures: destinations.length < 2 ? [] : attempts.destinationFailures,
  };
}
