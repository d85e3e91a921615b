// Which snapshots of a tier stay, each with its reason: a pure function of the snapshots, the rule and now. Nothing here
// removes anything. Ages count back from the tier's newest snapshot, so an outage does not thin what is left.

import type { KeepRule } from '../config/keep-rule.ts';
import { newestFirst, withoutFuture, type PlannedSnapshot } from '../schedule/due.ts';
import type { Folder } from '../schedule/tier.ts';
import { periodOf } from './period.ts';

/** Snapshots of a tier that stay whatever the rule says. */
export const alwaysKept = 3;

/** What becomes of a snapshot, and why. */
export interface Verdict<Snapshot> {
  readonly snapshot: Snapshot;
  readonly keep: boolean;
  /** For people, such as `age 3 d, kept for 7 d` or `newest of 2026-W47`. */
  readonly reason: string;
}

/**
 * Judges all verified snapshots of one tier of one instance, newest first.
 * @param snapshots must all be of the tier `tier`.
 */
export function judge<Snapshot extends PlannedSnapshot>(
  snapshots: readonly Snapshot[],
  options: {
    readonly tier: Folder;
    readonly rule: KeepRule;
    readonly now: Date;
    readonly timeZone: string;
    /** What is pinned stays, and takes no other's place: the others are judged as if it were not there. Left out: nothing is. */
    readonly isPinned?: (snapshot: Snapshot) => boolean;
  },
): readonly Verdict<Snapshot>[] {
  const { isPinned = () => false } = options;
  const judged = snapshots.filter((snapshot) => !isPinned(snapshot));
  const past = withoutFuture(judged, options.now).toSorted(newestFirst);
  const isPast = new Set(past);
  const future = judged.filter((snapshot) => !isPast.has(snapshot)).toSorted(newestFirst);
  const { rule } = options;
  const least = rule.kind === 'count' ? Math.min(alwaysKept, rule.n) : alwaysKept;
  const verdicts = judgeByRule(past, options).map((verdict, index): Verdict<Snapshot> => {
    if (verdict.keep || index >= least) return verdict;
    return { ...verdict, keep: true, reason: `one of the newest ${least}` };
  });
  const pinned = snapshots.filter(isPinned).map((snapshot) => ({ snapshot, keep: true, reason: 'pinned' }));
  return [
    ...future.map((snapshot) => ({ snapshot, keep: true, reason: 'dated in the future: made under a wrong clock' })),
    ...[...pinned, ...verdicts].toSorted((a, b) => newestFirst(a.snapshot, b.snapshot)),
  ];
}

// `past` is newest first.
function judgeByRule<Snapshot extends PlannedSnapshot>(
  past: readonly Snapshot[],
  { tier, rule, timeZone }: { readonly tier: Folder; readonly rule: KeepRule; readonly timeZone: string },
): readonly Verdict<Snapshot>[] {
  switch (rule.kind) {
    case 'all':
      return past.map((snapshot) => ({ snapshot, keep: true, reason: 'all are kept' }));
    case 'age': {
      const newest = past[0];
      if (newest === undefined) return [];
      const cutoff = before(newest.dataAt, rule);
      return past.map((snapshot) => {
        const days = Math.floor((newest.dataAt.getTime() - snapshot.dataAt.getTime()) / 86_400_000);
        const keep = snapshot.dataAt >= cutoff;
        return {
          snapshot,
          keep,
          reason: `${days} d before the newest, ${keep ? 'kept for' : 'over'} ${rule.amount}${rule.unit}`,
        };
      });
    }
    case 'count': {
      const seen = new Set<string>();
      return past.map((snapshot, index) => {
        // Each labelled one is a period of its own: a person made it for a reason.
        const name = tier === 'labelled' ? String(index) : periodOf(snapshot.dataAt, { tier, timeZone });
        const first = !seen.has(name);
        seen.add(name);
        const label = tier === 'labelled' ? tier : name;
        if (!first) return { snapshot, keep: false, reason: `not the newest of ${label}` };
        const keep = seen.size <= rule.n;
        return { snapshot, keep, reason: keep ? `newest of ${label}` : `${label} is not among the last ${rule.n}` };
      });
    }
    default:
      return rule satisfies never;
  }
}

/** The moment an age before `date`: months and years by the calendar, in UTC, at most the month's last day. */
export function before(date: Date, { amount, unit }: Extract<KeepRule, { readonly kind: 'age' }>): Date {
  if (unit === 'd' || unit === 'w') return new Date(date.getTime() - amount * (unit === 'd' ? 1 : 7) * 86_400_000);
  const result = new Date(date);
  result.setUTCDate(1);
  result.setUTCMonth(result.getUTCMonth() - amount * (unit === 'mo' ? 1 : 12));
  const lastDay = new Date(Date.UTC(result.getUTCFullYear(), result.getUTCMonth() + 1, 0)).getUTCDate();
  result.setUTCDate(Math.min(date.getUTCDate(), lastDay));
  return result;
}
