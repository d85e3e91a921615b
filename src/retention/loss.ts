// What is gone from a place and should not be: retention, whoever carries it out, would have kept it. What it would have let go
// may have been removed by another container or by a rule of the bucket, and is no loss.

import type { KeepRules } from '../config/settings.ts';
import type { PlannedSnapshot } from '../schedule/due.ts';
import { asFolder, folders } from '../schedule/tier.ts';
import { keptDays, usualDays } from './lifecycle.ts';
import { judge } from './policy.ts';

const dayMs = 86_400_000;

/** Those of `gone` that the settings, or a pin, keep, beside what is still there. */
export function findLosses<Snapshot extends PlannedSnapshot & { readonly pinned?: boolean }>(
  gone: readonly Snapshot[],
  options: {
    readonly present: readonly PlannedSnapshot[];
    readonly keep: KeepRules;
    readonly timeZone: string;
    /** Whether the place has rules of its own, which know nothing but an object's age. */
    readonly hasRules: boolean;
    readonly now: Date;
  },
): readonly Snapshot[] {
  const { keep, now, timeZone } = options;
  const isLost = new Set<PlannedSnapshot>(
    folders.flatMap((tier) => {
      const all = [...gone, ...options.present].filter((one) => one.tier === tier);
      const verdicts = judge(all, { tier, rule: keep[tier], now, timeZone });
      return verdicts.flatMap((verdict) => (verdict.keep ? [verdict.snapshot] : []));
    }),
  );
  return gone.filter(
    (one) => one.pinned === true || (isLost.has(one) && !(options.hasRules && isPastItsDays(one, { keep, now }))),
  );
}

function isPastItsDays(
  { tier, committedAt }: PlannedSnapshot,
  { keep, now }: { readonly keep: KeepRules; readonly now: Date },
): boolean {
  const folder = asFolder(tier);
  const days = folder === undefined ? null : keptDays(folder, { keep, days: usualDays });
  return days !== null && now.getTime() - committedAt.getTime() >= days * dayMs;
}
