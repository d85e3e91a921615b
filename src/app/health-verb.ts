// Health from what is remembered: no database, no bucket, no lock.

import { assessHealth, type Health } from '../health/assess.ts';
import type { AppContext } from './context.ts';

/** How it stands now. */
export async function health(context: AppContext): Promise<Health> {
  const { settings, instance } = context.load();
  const state = context.state();
  const [stores, attempts, heartbeat] = await Promise.all([
    state.readStores(),
    state.readAttempts(),
    state.readHeartbeat(),
  ]);
  return assessHealth({
    timetable: context.timetable(),
    graceMs: settings.healthGraceMs,
    timeoutMs: settings.timeoutMs,
    drillTimeoutMs: settings.drillTimeoutMs,
    // What is remembered of another instance says nothing of ours.
    stores: stores?.instance === instance ? stores : null,
    attempts,
    heartbeat,
    unknownSettings: context.unknownSettings,
    now: context.now(),
  });
}
