// Retention as bucket rules: what R2 or S3 can be told to expire by itself, and whether the rules it has would delete what the
// settings keep. A rule counts from each object's own age, so it can only come near to the deletion law, never earlier.

import type { KeepRules, Settings } from '../config/settings.ts';
import { folders, type Folder } from '../schedule/tier.ts';
import { ruleIdPrefix } from '../snapshots/deletion-law.ts';
import type { BucketRule, LifecycleRule } from '../storage/store.ts';
import { plural } from '../text/table.ts';

const dayMs = 86_400_000;
/** The longest a month and a year can be, for rules of our own. */
const longest = { h: 1 / 24, d: 1, w: 7, mo: 31, y: 366 } as const;
/** What people count them as, for rules of theirs, in days. */
export const usualDays = { h: 1 / 24, d: 1, w: 7, mo: 30, y: 365 } as const;

/**
 * The days a tier's snapshots stay at least by its rule; null: for ever, or by no number of days, as with a number of
 * labelled ones.
 */
export function keptDays(
  tier: Folder,
  { keep, days = longest }: { readonly keep: KeepRules; readonly days?: typeof longest | typeof usualDays },
): number | null {
  const rule = keep[tier];
  switch (rule.kind) {
    case 'all':
      return null;
    case 'age':
      return rule.amount * days[rule.unit];
    case 'count':
      return tier === 'labelled' ? null : Math.ceil(rule.n * days[unitOf[tier]]);
    default:
      return rule satisfies never;
  }
}

const unitOf = { hourly: 'h', daily: 'd', weekly: 'w', monthly: 'mo', yearly: 'y' } as const;

/** So long what was deleted in a bucket with versions can still be had back. */
const noncurrentDays = 7;

/**
 * The rules that match the settings: unfinished uploads are aborted, under `lifecycle` what is too old expires, and where the bucket
 * keeps versions of what is deleted they are removed after a week.
 */
export function wantedRules(
  { retention, timeoutMs }: Pick<Settings, 'retention' | 'timeoutMs'>,
  { prefix, isVersioned = false }: { readonly prefix: string; readonly isVersioned?: boolean },
): readonly BucketRule[] {
  return folders.map((tier) => ({
    id: `${ruleIdPrefix}${tier}`,
    prefix: `${prefix}${tier}/`,
    expireDays: retention.mode === 'lifecycle' ? keptDays(tier, retention) : null,
    abortIncompleteDays: Math.max(2, Math.ceil((2 * timeoutMs) / dayMs)),
    ...(isVersioned ? { noncurrentDays } : {}),
  }));
}

/** A rule of the bucket that deletes what the settings keep. */
export interface EarlyExpiry {
  readonly tier: Folder;
  readonly ruleId: string | null;
  readonly expireDays: number;
  /** Null: for ever. */
  readonly keptDays: number | null;
}

/** The bucket's rules that would delete snapshots the settings keep. */
export function findEarlyExpiry(
  rules: readonly LifecycleRule[],
  { prefix, keep }: { readonly prefix: string; readonly keep: KeepRules },
): readonly EarlyExpiry[] {
  return rules.flatMap((rule) =>
    folders.flatMap((tier): readonly EarlyExpiry[] => {
      const folder = `${prefix}${tier}/`;
      const touches = folder.startsWith(rule.prefix) || rule.prefix.startsWith(folder);
      const days = keptDays(tier, { keep, days: usualDays });
      if (!rule.enabled || rule.expireDays === null || !touches) return [];
      if (days !== null && rule.expireDays >= days) return [];
      return [{ tier, ruleId: rule.id, expireDays: rule.expireDays, keptDays: days }];
    }),
  );
}

/** An early expiry in one sentence. */
export function describeEarlyExpiry({ tier, ruleId, expireDays, keptDays: kept }: EarlyExpiry): string {
  const wanted = kept === null ? 'for ever' : `for ${plural(kept, 'day')}`;
  return `The bucket rule '${ruleId ?? 'without a name'}' deletes ${tier} snapshots after ${plural(expireDays, 'day')}; the settings keep them ${wanted}`;
}
