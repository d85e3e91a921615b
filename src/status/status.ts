// How it stands, all of it: what the status page, `status` and `/status.json` show. A pure function of what is remembered and of
// now; every sentence and every figure that a person is shown is decided here, so that no two places can say different things.

import type { KeepRules } from '../config/settings.ts';
import type { assessHealth, Health } from '../health/assess.ts';
import type { PitrHealth } from '../health/log-standing.ts';
import { futureToleranceMs } from '../schedule/due.ts';
import type { Scheduled } from '../schedule/timetable.ts';
import type {
  AttemptsRecord,
  DrillsRecord,
  HistoryRecord,
  PastFailure,
  ProgressRecord,
  StoreRecord,
} from '../state/records.ts';
import { viewCalendar, type CalendarDay } from './calendar.ts';
import { collect, type RunPoint } from './collection.ts';
import { viewDestinations, type DestinationView } from './destinations.ts';
import { viewDrills, type DrillsView } from './drills.ts';
import { outlook, type SnapshotView } from './outlook.ts';
import { restoreCost, type RestoreCost } from './restore-cost.ts';
import { viewTiers, type TierView } from './tiers.ts';
import { pronounce, type Verdict } from './verdict.ts';

/** What goes on now. Times are ISO 8601. */
export interface ActivityView {
  readonly what: 'run' | 'drill';
  /** Such as `scheduled daily`, or the snapshot that is drilled. */
  readonly name: string;
  readonly since: string;
  readonly progress: ProgressRecord['run'];
}

/** The whole document. */
export interface Status {
  readonly instance: string;
  readonly toolVersion: string;
  readonly at: Date;
  readonly timeZone: string;
  readonly verdict: Verdict;
  readonly warnings: readonly string[];
  readonly activities: readonly ActivityView[];
  readonly tiers: readonly TierView[];
  readonly next: readonly { readonly schedule: Scheduled; readonly at: Date }[];
  readonly drills: DrillsView;
  /** What moments can be had, and how far back they are wanted; null: point-in-time recovery is off. */
  readonly pitr: (PitrHealth & { readonly keepMs: number }) | null;
  /** Null: there is nothing to restore. */
  readonly restore: RestoreCost | null;
  readonly destinations: readonly DestinationView[];
  readonly retention: {
    readonly mode: 'prune' | 'lifecycle' | 'off';
    readonly lastAt: string | null;
    readonly removedCount: number | null;
    readonly problem: string | null;
  };
  /** All that is stored, newest first. */
  readonly snapshots: readonly SnapshotView[];
  /** A year by days, the oldest first. */
  readonly calendar: readonly CalendarDay[];
  /** Dumps that were made, the oldest first. */
  readonly history: readonly RunPoint[];
  readonly channels: AttemptsRecord['channels'];
  readonly failures: readonly PastFailure[];
}

/** All that is looked at. */
export interface StatusFacts extends Pick<
  Parameters<typeof assessHealth>[0],
  'timetable' | 'graceMs' | 'timeoutMs' | 'attempts' | 'heartbeat' | 'now'
> {
  readonly instance: string;
  readonly toolVersion: string;
  readonly keep: KeepRules;
  readonly retentionMode: 'prune' | 'lifecycle' | 'off';
  readonly health: Health;
  /** BACKUP_PITR_KEEP in milliseconds. */
  readonly pitrKeepMs: number;
  readonly next: Status['next'];
  readonly stores: readonly StoreRecord[];
  readonly history: HistoryRecord | null;
  readonly drills: DrillsRecord | null;
  readonly progress: ProgressRecord | null;
}

/** Looks at what is remembered. */
export function viewStatus(facts: StatusFacts): Status {
  const { attempts, history, timetable, now } = facts;
  const { timeZone } = timetable;
  const { present, places, runs, dumps } = collect(facts.stores, history);
  const since = history === null ? now : new Date(history.since);
  const snapshots = outlook(present, { ...facts, places });
  const failures = history?.failures ?? [];
  const tiers = viewTiers({ ...facts, present, runs, since });
  const drills = viewDrills(facts);
  return {
    instance: facts.instance,
    toolVersion: facts.toolVersion,
    at: now,
    timeZone,
    verdict: pronounce({ ...facts, present }),
    warnings: facts.health.warnings,
    activities: activitiesOf(facts),
    tiers,
    next: facts.next,
    drills,
    pitr: facts.health.pitr === null ? null : { ...facts.health.pitr, keepMs: facts.pitrKeepMs },
    restore: restoreCost({ present, runs, reports: drills.reports, now }),
    destinations: viewDestinations(facts),
    retention: {
      mode: facts.retentionMode,
      lastAt: attempts.prune?.at ?? null,
      removedCount: attempts.prune?.removedCount ?? null,
      problem: attempts.prune?.problem ?? null,
    },
    snapshots,
    calendar: viewCalendar({ timetable, present, runs, failures, since, now }),
    // No curve goes on after today.
    history: dumps.filter(({ dataAt }) => dataAt.getTime() <= now.getTime() + futureToleranceMs),
    channels: attempts.channels,
    failures,
  };
}

function activitiesOf({ attempts: { running, drilling }, progress }: StatusFacts): readonly ActivityView[] {
  // Of an earlier one, of which nobody has said that it ended.
  const since = (begin: string, pace: ProgressRecord['run'] | undefined): ProgressRecord['run'] =>
    pace === null || pace === undefined || Date.parse(pace.at) < Date.parse(begin) ? null : pace;
  const run = running === null ? [] : [{ what: 'run' as const, name: running.command, since: running.since }];
  const drill = drilling === null ? [] : [{ what: 'drill' as const, name: drilling.snapshot, since: drilling.since }];
  return [...run, ...drill].map((one) => ({ ...one, progress: since(one.since, progress?.[one.what]) }));
}
