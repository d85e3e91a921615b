// What is kept, and when it will go: retention's own verdict now, and the scheduled run after which that verdict will change. Said
// before it happens, so that nobody finds out by what is missing.

import type { KeepRule } from '../config/keep-rule.ts';
import { periodOf } from '../retention/period.ts';
import { alwaysKept, before, judge, type Verdict } from '../retention/policy.ts';
import { nextSlot } from '../schedule/timetable.ts';
import { asTier, folders, type Folder, type Tier } from '../schedule/tier.ts';
import type { SnapshotRecord } from '../state/records.ts';
import type { Collection } from './collection.ts';
import type { StatusFacts } from './status.ts';

/** A snapshot that is stored. */
export interface SnapshotView {
  /** `<tier>/<id>`. */
  readonly name: string;
  readonly tier: string;
  readonly label: string | null;
  readonly dataAt: Date;
  readonly objectBytes: number;
  readonly dumpBytes: number;
  readonly copiedFrom: string | null;
  /** Destinations that hold it. */
  readonly places: readonly string[];
  readonly keep: boolean;
  /** Why it stays or goes, in retention's words. */
  readonly reason: string;
  /** After which scheduled run it goes, when the plan stays as it is; null: never, or nobody can say. */
  readonly goesAt: Date | null;
}

/** So many runs ahead is looked; what stays longer has no date. */
const farthest = 500;

/** Judges all snapshots. */
export function outlook(
  snapshots: readonly SnapshotRecord[],
  options: Pick<StatusFacts, 'keep' | 'retentionMode' | 'timetable' | 'now'> & Pick<Collection, 'places'>,
): readonly SnapshotView[] {
  const { timetable, now } = options;
  const { timeZone } = timetable;
  const byTier = Map.groupBy(snapshots, ({ tier }) => tier);
  const views = folders.flatMap((tier): readonly SnapshotView[] => {
    const all = byTier.get(tier) ?? [];
    if (all.length === 0) return [];
    const rule = options.keep[tier];
    const isPinned = ({ pinned }: SnapshotRecord): boolean => pinned === true;
    const verdicts = judge(
      all.filter((one) => !isPinned(one)),
      { tier, rule, now, timeZone },
    );
    const end = options.retentionMode === 'prune' ? endings(tier, { ...options, rule, verdicts }) : () => null;
    const view = ({ snapshot, keep, reason }: Verdict<SnapshotRecord>, goesAt: Date | null): SnapshotView => ({
      name: `${tier}/${snapshot.id}`,
      tier,
      label: snapshot.label ?? null,
      dataAt: snapshot.dataAt,
      objectBytes: snapshot.objectBytes,
      dumpBytes: snapshot.dumpBytes,
      copiedFrom: snapshot.copiedFrom,
      places: options.places(snapshot),
      keep: options.retentionMode === 'off' || keep,
      reason: options.retentionMode === 'off' ? 'nothing is removed' : reason,
      goesAt,
    });
    return [
      ...all.filter(isPinned).map((snapshot) => view({ snapshot, keep: true, reason: 'pinned' }, null)),
      ...verdicts.map((one, index) => view(one, one.keep ? end(one.snapshot, index) : null)),
    ];
  });
  return views.toSorted((a, b) => b.dataAt.getTime() - a.dataAt.getTime());
}

type Ending = (snapshot: SnapshotRecord, index: number) => Date | null;

// When a snapshot that is kept now, the `index`th newest of its tier, goes.
function endings(
  folder: Folder,
  {
    rule,
    timetable,
    now,
    verdicts,
  }: Pick<StatusFacts, 'timetable' | 'now'> & {
    readonly rule: KeepRule;
    readonly verdicts: readonly Verdict<SnapshotRecord>[];
  },
): Ending {
  const tier = asTier(folder);
  if (rule.kind === 'all' || tier === undefined || timetable.schedules[tier] === null) return () => null;
  const slots = comingSlots(tier, { timetable, now });
  const afterRuns = (count: number): Date | null => slots(count - 1);
  if (rule.kind === 'age') {
    return (snapshot, index) => {
      const over = firstMomentOver(snapshot.dataAt, rule);
      // Not before so many newer ones are there.
      const least = afterRuns(Math.max(1, alwaysKept - index));
      if (least === null) return null;
      return least >= over ? least : nextSlot(timetable, { of: tier, after: new Date(over.getTime() - 1) });
    };
  }
  const { timeZone } = timetable;
  const names = new Map<number, Date>();
  let ahead = 0;
  const seen = new Set<string>();
  // By their place among the newest of each period.
  const ranks = new Map<SnapshotRecord, number>();
  for (const { snapshot, keep } of verdicts) {
    // What goes now has no place; the periods to come are none of the past.
    if (!keep) continue;
    const name = periodOf(snapshot.dataAt, { tier, timeZone });
    if (seen.has(name)) continue;
    seen.add(name);
    ranks.set(snapshot, seen.size);
  }
  // The run with which the `count`th new period begins.
  const afterPeriods = (count: number): Date | null => {
    while (!names.has(count) && ahead < farthest) {
      const slot = slots(ahead);
      ahead += 1;
      if (slot === null) return null;
      const name = periodOf(slot, { tier, timeZone });
      if (seen.has(name)) continue;
      seen.add(name);
      names.set(names.size + 1, slot);
    }
    return names.get(count) ?? null;
  };
  const least = Math.min(alwaysKept, rule.n);
  return (snapshot, index) => {
    const place = ranks.get(snapshot);
    // One of the newest, but not of its period: it goes as soon as it is not among them.
    if (place === undefined) return afterRuns(Math.max(1, least - index));
    return afterPeriods(rule.n - place + 1);
  };
}

// The first moment from which `dataAt` is older than the rule's age: by days it is exact, by the calendar found a day at a time.
function firstMomentOver(dataAt: Date, rule: Extract<KeepRule, { readonly kind: 'age' }>): Date {
  const dayMs = 86_400_000;
  if (rule.unit === 'd' || rule.unit === 'w')
    return new Date(dataAt.getTime() + rule.amount * (rule.unit === 'd' ? 1 : 7) * dayMs + 1);
  const months = rule.amount * (rule.unit === 'mo' ? 1 : 12);
  const at = new Date(dataAt);
  at.setUTCDate(1);
  at.setUTCMonth(at.getUTCMonth() + months);
  at.setUTCDate(Math.min(dataAt.getUTCDate(), 28));
  while (before(at, rule) <= dataAt) at.setTime(at.getTime() + dayMs);
  return at;
}

// The slots to come by their number, each asked for once.
function comingSlots(
  tier: Tier,
  { timetable, now }: Pick<StatusFacts, 'timetable' | 'now'>,
): (index: number) => Date | null {
  const known: Date[] = [];
  return (index) => {
    while (known.length <= index) {
      const next = nextSlot(timetable, { of: tier, after: known.at(-1) ?? now });
      if (next === null) return null;
      known.push(next);
    }
    return known[index] ?? null;
  };
}
