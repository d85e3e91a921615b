// When the next drill is due, and carrying it out: not while anything else is under way, and what could not be carried out less
// and less often. A drill that kills its container, or never ends, must not do so every hour.

import { AppError } from '../errors.ts';
import { lastSlot, nextSlot } from '../schedule/timetable.ts';
import { findHolder } from '../state/lock.ts';
import type { AttemptsRecord, DrillRecord } from '../state/records.ts';
import { isMissing } from './choosing.ts';
import type { AppContext } from './context.ts';
import { recallDrills } from './drill-memory.ts';
import { drill, toDrillRecord } from './drill-verb.ts';
import { drillMomentToo } from './moment-drill.ts';
import { rememberAndTell } from './failures.ts';
import { readHoldings, snapshotsOfAll } from './holdings.ts';

/** What came of looking: a drill was carried out; or when to look again. */
export type DrillLook = { readonly kind: 'drilled' } | { readonly kind: 'waits'; readonly until: Date };

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** How often is looked whether a run, a restore or a drill by hand has ended. */
const busyPollMs = minuteMs;
/** A drill that could not be carried out is tried again after an hour, then two, four, at last a day. */
const firstSetbackMs = hourMs;
const longestSetbackMs = 24 * hourMs;
/** Also without a slot is looked again: clocks are set, and snapshots come. */
const longestWaitMs = hourMs;

/** Drills the newest snapshot when the drill's slot has come and no drill has answered it. Rejects only with the reason of `signal`. */
export async function drillIfDue(context: AppContext, signal: AbortSignal): Promise<DrillLook> {
  const now = context.now();
  const timetable = context.timetable();
  const next = nextSlot(timetable, { of: 'drill', after: now });
  const waits = (ms: number): DrillLook => {
    const until = new Date(now.getTime() + Math.min(ms, longestWaitMs));
    return { kind: 'waits', until: next !== null && next < until ? next : until };
  };
  const slot = lastSlot(timetable, { of: 'drill', at: now });
  if (slot === null) return waits(longestWaitMs);
  const attempts = await context.state().readAttempts();
  const patienceMs = patienceAfter(attempts, now);
  if (patienceMs > 0) return waits(patienceMs);
  if (attempts.drill !== null && answers(attempts.drill, { slot, now })) return waits(longestWaitMs);
  if (await isBusy(context)) return waits(busyPollMs);
  const snapshots = snapshotsOfAll(await readHoldings(context, signal));
  // What was due before there was anything to drill was not missed.
  const beginning = Math.min(...snapshots.map(({ committedAt }) => committedAt.getTime()));
  if (snapshots.length === 0 || slot.getTime() <= beginning) return waits(longestWaitMs);
  const recalled = attempts.drill ?? (await recall(context, signal));
  if (recalled !== null && answers(recalled, { slot, now })) return waits(longestWaitMs);
  const { instance } = context.load();
  const request = { snapshot: 'latest', from: null, instance, identities: [], wait: false, signal };
  try {
    await drill(context, { ...request, onProgress: () => undefined });
    await drillMomentToo(context, signal);
    return { kind: 'drilled' };
  } catch (error) {
    signal.throwIfAborted();
    // Somebody drills by hand.
    if (error instanceof AppError && error.code === 'locked') return waits(busyPollMs);
    // Retention was faster, and there is a newer one; or all of them are at the other destination.
    if (isMissing(error)) return waits(10 * busyPollMs);
    await fail(context, { error, signal });
    return waits(firstSetbackMs);
  }
}

function answers({ at }: DrillRecord, { slot, now }: { readonly slot: Date; readonly now: Date }): boolean {
  return Date.parse(at) >= slot.getTime() && Date.parse(at) <= now.getTime();
}

// Milliseconds that are still to wait after what could not be carried out. What ran past its limit will do so again.
function patienceAfter({ failures, drillSetbacks }: AttemptsRecord, now: Date): number {
  const failure = failures['drill'];
  if (failure === undefined) return 0;
  const doubled = firstSetbackMs * 2 ** Math.max(0, drillSetbacks - 1);
  const pauseMs = failure.step === 'timeout' ? longestSetbackMs : Math.min(longestSetbackMs, doubled);
  const passedMs = now.getTime() - Date.parse(failure.at);
  // A failure of the future was remembered under a wrong clock.
  return passedMs < 0 ? 0 : pauseMs - passedMs;
}

async function isBusy(context: AppContext): Promise<boolean> {
  return (await findHolder({ directory: context.load().settings.stateDirectory, name: 'run' })) !== null;
}

async function fail(
  context: AppContext,
  { error, signal }: { readonly error: unknown; readonly signal: AbortSignal },
): Promise<void> {
  context.log.error({ err: error }, 'The drill could not be carried out');
  await context.state().updateAttempts(({ drillSetbacks }) => ({ drillSetbacks: drillSetbacks + 1 }));
  await rememberAndTell(context, {
    tier: 'drill',
    error,
    subject: 'the restore drill could not be carried out',
    signal,
  });
}

// A new container knows of the last drill from the store.
async function recall(context: AppContext, signal: AbortSignal): Promise<DrillRecord | null> {
  const [last] = await recallDrills(context, signal);
  if (last === undefined) return null;
  const record = toDrillRecord(last, { ofNewest: true, lastSuccessAt: null });
  // Unless a drill by hand has ended meanwhile.
  await context.state().updateAttempts(({ drill: before }) => ({ drill: before ?? record }));
  return record;
}
