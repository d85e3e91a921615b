// What a status is made of, for tests and pictures: an instance with the default plan whose daemon has run for a year, and what a
// test wants to be otherwise.

import { assessHealth, type Health } from '../../src/health/assess.ts';
import { createSnapshotId } from '../../src/snapshots/object-keys.ts';
import { nextSlot, type Scheduled, type Timetable } from '../../src/schedule/timetable.ts';
import { tiers, type Tier } from '../../src/schedule/tier.ts';
import { judge } from '../../src/retention/policy.ts';
import {
  noAttempts,
  type AttemptsRecord,
  type DrillReport,
  type HeartbeatRecord,
  type SnapshotRecord,
  type StoreRecord,
} from '../../src/state/records.ts';
import type { StatusFacts } from '../../src/status/status.ts';

const dayMs = 86_400_000;
const hourMs = 3_600_000;

/** The moment at which tests look. */
export const now = new Date('2026-11-25T15:20:00.000Z');

/** The default plan. */
export const timetable: Timetable = {
  schedules: {
    hourly: null,
    daily: '0 12 * * *',
    weekly: '0 13 * * 0',
    monthly: '0 14 1 * *',
    yearly: null,
    drill: '0 15 * * 0',
  },
  timeZone: 'UTC',
};

/** The default retention. */
export const keep: StatusFacts['keep'] = {
  hourly: { kind: 'count', n: 24 },
  daily: { kind: 'age', amount: 7, unit: 'd' },
  weekly: { kind: 'age', amount: 6, unit: 'w' },
  monthly: { kind: 'age', amount: 6, unit: 'mo' },
  yearly: { kind: 'all' },
  labelled: { kind: 'all' },
};

/** A snapshot that was made at `dataAt` and took some minutes, of an instance that grows. */
export function madeAt(tier: string, dataAt: Date, overrides: Partial<SnapshotRecord> = {}): SnapshotRecord {
  const days = (dataAt.getTime() - Date.parse('2025-11-25T00:00:00Z')) / dayMs;
  const wave = 1 + 0.02 * Math.sin(days / 5);
  const dumpBytes = Math.round((4.2 + days * 0.004) * 2 ** 30 * wave);
  const committedAt = new Date(
    dataAt.getTime() + Math.round((190 + days * 0.15 + 9 * Math.sin(days / 7) + 2 * Math.sin(days * 2)) * 1_000),
  );
  return {
    id: createSnapshotId(dataAt),
    tier,
    dataAt,
    slot: dataAt,
    startedAt: dataAt,
    committedAt,
    dumpBytes,
    objectBytes: Math.round(dumpBytes / (4.1 + 0.08 * Math.sin(days / 60))),
    copiedFrom: null,
    label: null,
    databaseBytes: Math.round(dumpBytes * 1.6),
    ...overrides,
  };
}

/** All snapshots that the plan makes in the last `days`, newest first. */
export function yearOfRuns(days = 366, plan: Timetable = timetable): readonly SnapshotRecord[] {
  const begin = now.getTime() - days * dayMs;
  const dailies = new Map<string, SnapshotRecord>();
  const runs: SnapshotRecord[] = [];
  for (const tier of tiers) {
    for (let at = nextIn(plan, tier, new Date(begin)); at !== null && at <= now; at = nextIn(plan, tier, at)) {
      const day = at.toISOString().slice(0, 10);
      const source = dailies.get(day);
      const run =
        source === undefined || tier === 'hourly' || tier === 'daily'
          ? madeAt(tier, at)
          : {
              ...source,
              id: createSnapshotId(at),
              tier,
              slot: at,
              startedAt: at,
              committedAt: at,
              copiedFrom: `daily/${source.id}`,
            };
      if (tier === 'daily') dailies.set(day, run);
      runs.push(run);
    }
  }
  return runs.toSorted((a, b) => b.dataAt.getTime() - a.dataAt.getTime());
}

function nextIn(plan: Timetable, of: Tier, after: Date): Date | null {
  return nextSlot(plan, { of, after });
}

/** Those that retention keeps. */
export function keptOf(runs: readonly SnapshotRecord[]): readonly SnapshotRecord[] {
  const byTier = Map.groupBy(runs, ({ tier }) => tier);
  return [...byTier]
    .flatMap(([tier, all]) => judge(all, { tier: tier as Tier, rule: keep[tier as Tier], now, timeZone: 'UTC' }))
    .filter((verdict) => verdict.keep)
    .map(({ snapshot }) => snapshot)
    .toSorted((a, b) => b.dataAt.getTime() - a.dataAt.getTime());
}

/** What a store held a minute ago. */
export function holding(snapshots: readonly SnapshotRecord[], overrides: Partial<StoreRecord> = {}): StoreRecord {
  return {
    name: 's3',
    description: "bucket 'social-backups'",
    readAt: new Date(now.getTime() - 60_000).toISOString(),
    error: null,
    snapshots: [...snapshots],
    damagedCount: 0,
    unreadableCount: 0,
    apart: {},
    ...overrides,
  };
}

/** A drill that passed. */
export function drillAt(endedAt: Date, overrides: Partial<DrillReport> = {}): DrillReport {
  const weeks = Math.round((now.getTime() - endedAt.getTime()) / (7 * dayMs));
  const durationMs = 412_000 - weeks * 3_000 + 15_000 * Math.round(2 * Math.sin(weeks));
  const startedAt = new Date(endedAt.getTime() - durationMs - 60_000);
  const check = (name: string, detail: string) => ({ check: name, status: 'ok', detail, remedy: null }) as const;
  return {
    id: createSnapshotId(startedAt),
    snapshot: 'daily/2026-11-22T120000Z-4f1c2a',
    dataAt: startedAt.toISOString(),
    startedAt: startedAt.toISOString(),
    endedAt: endedAt.toISOString(),
    status: 'passed',
    durationMs,
    serverVersion: '15.14',
    checks: [
      check('restore', 'pg_restore read all of it'),
      check('rows', '97 tables have the rows of the manifest'),
      check('indexes', 'amcheck found nothing in 412 indexes'),
      { check: 'collation', status: 'note', detail: 'en_US.utf8 is not here; C.UTF-8 is used', remedy: null },
      check('newest post', 'is 2 min older than the snapshot'),
    ],
    ...overrides,
  };
}

/** What a test wants to be otherwise. */
export interface StatusOverrides extends Partial<Omit<StatusFacts, 'attempts' | 'health'>> {
  readonly attempts?: Partial<AttemptsRecord>;
  readonly heartbeatAt?: Date;
  readonly unknownSettings?: readonly string[];
}

/** The facts of a healthy instance that has run for a year, but for what is otherwise. */
export function statusFacts(overrides: StatusOverrides = {}): StatusFacts {
  const { attempts: otherAttempts, heartbeatAt = now, unknownSettings = [], ...others } = overrides;
  const runs = yearOfRuns();
  const drills = Array.from({ length: 30 }, (_, week) =>
    drillAt(new Date(Date.parse('2026-11-22T15:08:00Z') - week * 7 * dayMs)),
  );
  const [last] = others.drills?.reports ?? drills;
  const attempts: AttemptsRecord = {
    ...noAttempts,
    drill:
      last === undefined
        ? null
        : {
            at: last.endedAt,
            status: last.status,
            snapshot: last.snapshot,
            durationMs: last.durationMs,
            ofNewest: true,
            lastSuccessAt: last.status === 'passed' ? last.endedAt : null,
            findings: last.checks
              .filter(({ status }) => status === 'failed')
              .map(({ check, detail }) => `${check}: ${detail}`),
          },
    prune: { at: new Date(now.getTime() - 3 * hourMs).toISOString(), problem: null, removedCount: 1 },
    channels: [{ channel: 'Telegram', error: null, at: new Date(now.getTime() - 3 * hourMs).toISOString() }],
    ...otherAttempts,
  };
  const heartbeat: HeartbeatRecord = {
    at: heartbeatAt.toISOString(),
    startedAt: '2025-11-20T00:00:00.000Z',
    processId: 1,
    troubles: [],
  };
  const facts: Omit<StatusFacts, 'health' | 'next'> = {
    instance: 'social.example',
    toolVersion: '0.1.0',
    timetable,
    keep,
    retentionMode: 'prune',
    pitrKeepMs: 7 * dayMs,
    graceMs: 2 * hourMs,
    timeoutMs: 12 * hourMs,
    stores: [holding(keptOf(runs))],
    attempts,
    heartbeat,
    history: { since: '2025-11-20T00:00:00.000Z', runs: [...runs], failures: [] },
    drills: { reports: drills, isWhole: true },
    progress: null,
    now,
    ...others,
  };
  return { ...facts, next: nextOf(facts), health: healthOf(facts, unknownSettings) };
}

function nextOf(facts: Pick<StatusFacts, 'timetable' | 'now'>): StatusFacts['next'] {
  const all: readonly Scheduled[] = [...tiers, 'drill'];
  return all.flatMap((schedule) => {
    const at = nextSlot(facts.timetable, { of: schedule, after: facts.now });
    return at === null ? [] : [{ schedule, at }];
  });
}

function healthOf(facts: Omit<StatusFacts, 'health' | 'next'>, unknownSettings: readonly string[]): Health {
  return assessHealth({
    ...facts,
    drillTimeoutMs: 12 * hourMs,
    stores: { instance: facts.instance, stores: [...facts.stores] },
    log: null,
    unknownSettings,
    unreadable: [],
  });
}
