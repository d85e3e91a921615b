// Everything that is remembered, with the health that follows from it: what metrics show.

import { standings, type TierStanding } from '../health/deadlines.ts';
import type { Health } from '../health/assess.ts';
import { nextSlot, type Scheduled } from '../schedule/timetable.ts';
import { tiers } from '../schedule/tier.ts';
import type { AttemptsRecord, StoreRecord } from '../state/records.ts';
import type { AppContext } from './context.ts';
import { attemptsNow, health } from './health-verb.ts';

/** What there is to show. */
export interface Remembered {
  readonly instance: string;
  readonly health: Health;
  readonly stores: readonly (StoreRecord & { readonly standings: readonly TierStanding[] })[];
  readonly attempts: AttemptsRecord;
  /** The next slot of everything that has a schedule. */
  readonly next: readonly { readonly schedule: Scheduled; readonly at: Date }[];
  /** The time all of it was looked at. */
  readonly now: Date;
}

/** Reads what is remembered, which health may have to begin with. */
export async function remembered(context: AppContext): Promise<Remembered> {
  const { settings, instance } = context.load();
  const now = context.now();
  const timetable = context.timetable();
  const state = context.state();
  const standing = await health(context);
  const known = (await state.readStores())?.stores ?? [];
  const scheduled: readonly Scheduled[] = [...tiers, 'drill'];
  return {
    instance,
    health: standing,
    stores: known.map((store) => ({
      ...store,
      standings: standings(timetable, {
        snapshots: store.snapshots,
        graceMs: settings.healthGraceMs,
        timeoutMs: settings.timeoutMs,
        now,
      }),
    })),
    // As health has it, or metrics would warn for good of what nobody can mend.
    attempts: await attemptsNow(context),
    next: scheduled.flatMap((schedule) => {
      const at = nextSlot(timetable, { of: schedule, after: now });
      return at === null ? [] : [{ schedule, at }];
    }),
    now,
  };
}
