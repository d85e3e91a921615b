// Whether all is well, said honestly: by verified snapshots against their deadlines, not by whether a process runs. A pure
// function of what is remembered and of now; it needs neither the database nor a bucket.

import { withoutFuture } from '../schedule/due.ts';
import { scheduledTiers, type Timetable } from '../schedule/timetable.ts';
import type { Tier } from '../schedule/tier.ts';
import type { AttemptsRecord, FailureRecord, HeartbeatRecord, StoresRecord } from '../state/records.ts';
import { formatMinute } from '../text/moment.ts';
import { plural } from '../text/table.ts';
import type { LogStanding, PitrHealth } from './log-standing.ts';
import { standings, type TierStanding } from './deadlines.ts';
import { describeSilence } from './heartbeat.ts';
import { describeMissing, describeRefused, refusedFor } from './missing.ts';

/** How it stands; `starting`, `late` and `failed` are unhealthy. */
export type HealthStatus = 'starting' | 'healthy' | 'degraded' | 'late' | 'failed';

/** The document of `health --json` and `/healthz`. Times are ISO 8601. */
export interface Health {
  readonly status: HealthStatus;
  readonly healthy: boolean;
  readonly tiers: Readonly<Record<string, TierHealth>>;
  readonly drill: {
    readonly status: string;
    readonly lastSuccessAt: string | null;
    readonly durationMs: number | null;
    readonly snapshot: string | null;
  } | null;
  readonly running: { readonly command: string; readonly tier: string; readonly since: string } | null;
  /** The drill that is on, beside whatever runs. */
  readonly drilling: { readonly snapshot: string; readonly since: string } | null;
  /** Null: it is switched off. */
  readonly pitr: PitrHealth | null;
  readonly warnings: readonly string[];
}

/** A tier in the health document; of two destinations the worse one. */
export interface TierHealth {
  readonly lastSuccessAt: string | null;
  readonly deadlineAt: string | null;
  readonly lastFailure: FailureRecord | null;
}

/** Assesses what is remembered. */
export function assessHealth(options: {
  readonly timetable: Timetable;
  readonly graceMs: number;
  /** How long a run may take. */
  readonly timeoutMs: number;
  /** How long a drill may take. */
  readonly drillTimeoutMs: number;
  readonly stores: StoresRecord | null;
  readonly attempts: AttemptsRecord;
  readonly heartbeat: HeartbeatRecord | null;
  /** How the log is followed; null: it is switched off. */
  readonly log: LogStanding | null;
  /** Settings this version does not know or cannot use, although they stop no run. */
  readonly unknownSettings: readonly string[];
  /** What could not be read of what is remembered, or of the stores where nothing is. */
  readonly unreadable: readonly string[];
  readonly now: Date;
}): Health {
  const { attempts, heartbeat, now } = options;
  const stores = options.stores?.stores ?? [];
  const perStore = stores.map((store) => ({
    store,
    tiers: standings(options.timetable, { ...options, ...store }),
    isEmpty: withoutFuture(store.snapshots, now).length === 0,
  }));
  const tiers = worstByTier(perStore.flatMap((one) => one.tiers));
  const late = tiers.filter((tier) => tier.late);
  const silence = describeSilence(heartbeat, now);
  const pruneProblem = attempts.prune?.problem ?? null;
  const noSnapshot = perStore.every(({ isEmpty }) => isEmpty);
  const emptyStores = perStore.filter(({ store, isEmpty }) => store.readAt !== null && isEmpty);
  const anyFailure = Object.keys(attempts.failures).length > 0;
  const isLacking = stores.some(({ missing = [], withheld = [] }) => missing.length + withheld.length > 0);
  const drillIsOver = isPastLimit(options);

  const told = (at: Date | string): string => formatMinute(at, options.timetable.timeZone);
  const warnings = [
    ...options.unreadable,
    ...(silence === null ? [] : [`The daemon has given no sign of life ${silence}`]),
    ...(attempts.drill !== null && attempts.drill.status !== 'passed'
      ? [
          `The last drill ${drillWords[attempts.drill.status]}${attempts.drill.findings[0] === undefined ? '' : `: ${attempts.drill.findings[0]}`}`,
        ]
      : []),
    ...(drillIsOver && attempts.drilling !== null
      ? [
          `The drill of ${attempts.drilling.snapshot} runs since ${told(attempts.drilling.since)}, past BACKUP_DRILL_TIMEOUT`,
        ]
      : []),
    ...late.map(
      ({ tier, deadlineAt }) =>
        `The ${tier} backup is late: it was due by ${deadlineAt === null ? 'now' : told(deadlineAt)}`,
    ),
    ...Object.entries(attempts.failures).map(
      ([tier, { at, message }]) => `The last ${tier} run failed at ${told(at)}: ${message}`,
    ),
    ...attempts.destinationFailures.map(({ place, failure }) => `${place} missed the last backup: ${failure.message}`),
    ...emptyStores.flatMap(({ store: { description, snapshots } }) => {
      if (snapshots.length > 0)
        return [
          `${description} holds no backup that counts: ${plural(snapshots.length, 'snapshot')} dated in the future, made under a wrong clock`,
        ];
      return noSnapshot ? [] : [`${description} holds no backup`];
    }),
    ...stores.flatMap(({ description, error, strange }) =>
      error === null ? [] : [strange === true ? error : `${description} cannot be read: ${error}`],
    ),
    ...stores.flatMap(({ description, missing = [] }) =>
      missing.length === 0 ? [] : [describeMissing(missing, description)],
    ),
    ...stores.flatMap((store) => {
      const refused = refusedFor(store);
      return refused.length === 0 ? [] : [describeRefused(refused, store.description)];
    }),
    ...stores.flatMap(({ description, damagedCount }) =>
      damagedCount === 0 ? [] : [`${description} holds ${plural(damagedCount, 'damaged snapshot')}`],
    ),
    ...(options.log?.warnings ?? []),
    ...(pruneProblem === null ? [] : [`Retention: ${pruneProblem}`]),
    ...attempts.channels.flatMap(({ channel, error }) =>
      error === null ? [] : [`Messages by ${channel} fail: ${error}`],
    ),
    ...attempts.hooks.flatMap(({ hook, error }) => (error === null ? [] : [`${hook}: ${error}`])),
    ...attempts.warnings,
    ...(heartbeat?.troubles ?? []),
    ...options.unknownSettings,
  ];

  const status = ((): HealthStatus => {
    if (silence !== null || (attempts.drill?.status === 'failed' && attempts.drill.ofNewest)) return 'failed';
    // Where there were some once, nothing is about to begin.
    if (noSnapshot) return anyFailure || isLacking ? 'late' : 'starting';
    if (late.length > 0 || options.log?.status === 'late') return 'late';
    return isDegraded(options) || options.log?.status === 'degraded' || drillIsOver || emptyStores.length > 0
      ? 'degraded'
      : 'healthy';
  })();
  return {
    status,
    healthy: status === 'healthy' || status === 'degraded',
    tiers: Object.fromEntries(
      scheduledTiers(options.timetable).map((tier) => {
        // None: there is no snapshot at all to count from.
        const standing = tiers.find((one) => one.tier === tier);
        return [
          tier,
          {
            lastSuccessAt: standing?.lastSuccessAt?.toISOString() ?? null,
            deadlineAt: standing?.deadlineAt?.toISOString() ?? null,
            lastFailure: attempts.failures[tier] ?? null,
          },
        ];
      }),
    ),
    drill:
      attempts.drill === null
        ? null
        : {
            status: attempts.drill.status,
            lastSuccessAt: attempts.drill.lastSuccessAt,
            durationMs: attempts.drill.durationMs,
            snapshot: attempts.drill.snapshot,
          },
    running: attempts.running,
    drilling: attempts.drilling,
    pitr: options.log?.document ?? null,
    warnings,
  };
}

/** A drill that has reached its limit ends within seconds. */
const endingMs = 60_000;

function isPastLimit({
  attempts: { drilling },
  drillTimeoutMs,
  now,
}: Pick<Parameters<typeof assessHealth>[0], 'attempts' | 'drillTimeoutMs' | 'now'>): boolean {
  return drilling !== null && now.getTime() - Date.parse(drilling.since) > drillTimeoutMs + endingMs;
}

const drillWords = {
  passed: 'passed',
  failed: 'failed',
  incomplete: 'was incomplete',
  skipped: 'was skipped',
} as const;

// What leaves backups fresh but is not as it should be.
function isDegraded({
  attempts,
  stores,
  heartbeat,
  unknownSettings,
  unreadable,
}: Pick<
  Parameters<typeof assessHealth>[0],
  'attempts' | 'stores' | 'heartbeat' | 'unknownSettings' | 'unreadable'
>): boolean {
  return (
    Object.keys(attempts.failures).length > 0 ||
    attempts.destinationFailures.length > 0 ||
    (attempts.prune?.problem ?? null) !== null ||
    attempts.channels.some(({ error }) => error !== null) ||
    attempts.leftOut.length > 0 ||
    attempts.hooks.some(({ error }) => error !== null) ||
    attempts.drill?.status === 'failed' ||
    unknownSettings.length > 0 ||
    unreadable.length > 0 ||
    (stores?.stores ?? []).some(
      (store) =>
        store.damagedCount > 0 ||
        store.error !== null ||
        (store.missing ?? []).length > 0 ||
        refusedFor(store).length > 0,
    ) ||
    (heartbeat?.troubles ?? []).length > 0
  );
}

function worstByTier(all: readonly TierStanding[]): readonly TierStanding[] {
  const worst = new Map<Tier, TierStanding>();
  for (const standing of all) {
    const other = worst.get(standing.tier);
    if (other === undefined || deadlineOf(standing) < deadlineOf(other)) worst.set(standing.tier, standing);
  }
  return [...worst.values()];
}

function deadlineOf({ deadlineAt }: TierStanding): number {
  return deadlineAt?.getTime() ?? Number.POSITIVE_INFINITY;
}
