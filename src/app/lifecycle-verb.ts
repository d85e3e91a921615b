// `lifecycle`: the bucket's rules beside those that match the settings, and putting the latter in place.

import { AppError } from '../errors.ts';
import { applyBucketRules } from '../snapshots/deletion-law.ts';
import { describeEarlyExpiry, findEarlyExpiry, keptDays, wantedRules } from '../retention/lifecycle.ts';
import { ruleIdPrefix } from '../snapshots/deletion-law.ts';
import { folders, type Folder } from '../schedule/tier.ts';
import type { BucketRule, LifecycleRule, ObjectStore } from '../storage/store.ts';
import type { AppContext } from './context.ts';

/** What `lifecycle show` shows. */
export interface LifecycleReport {
  readonly place: string;
  readonly mode: 'prune' | 'lifecycle' | 'off';
  /** The bucket's rules; null: this token may not look at them. */
  readonly present: readonly LifecycleRule[] | null;
  readonly wanted: readonly BucketRule[];
  /** Whether all of the wanted rules are there as they should be; null: not known. */
  readonly inPlace: boolean | null;
  /** Rules that would delete what the settings keep, a sentence each. */
  readonly conflicts: readonly string[];
  /** Tiers whose retention no rule can express, under `lifecycle`. */
  readonly inexpressible: readonly Folder[];
}

/** Compares the bucket's rules with the settings. */
export async function showLifecycle(context: AppContext, signal: AbortSignal): Promise<LifecycleReport> {
  const { settings } = context.load();
  const { store, prefix } = await bucketOf(context);
  const present = await store.lifecycleRules({ signal });
  const isVersioned = await keepsVersions(store, signal);
  const wanted = wantedRules(settings, { prefix, isVersioned });
  const { mode, keep } = settings.retention;
  return {
    place: store.description,
    mode,
    present,
    wanted,
    inPlace: present === null ? null : wanted.every((rule) => present.some((other) => isSame(rule, other))),
    conflicts: findEarlyExpiry(present ?? [], { prefix, keep }).map(describeEarlyExpiry),
    inexpressible:
      mode === 'lifecycle'
        ? folders.filter((tier) => keep[tier].kind !== 'all' && keptDays(tier, { keep }) === null)
        : [],
  };
}

/** Puts the wanted rules into the bucket, in the place of our earlier ones. */
export async function applyLifecycle(context: AppContext, signal: AbortSignal): Promise<LifecycleReport> {
  const { settings } = context.load();
  const repository = await bucketOf(context);
  const { store, prefix } = repository;
  const isVersioned = await keepsVersions(store, signal);
  await applyBucketRules(repository, { rules: wantedRules(settings, { prefix, isVersioned }), signal });
  return showLifecycle(context, signal);
}

async function keepsVersions(store: ObjectStore, signal: AbortSignal): Promise<boolean> {
  return (await store.protection({ signal }))?.versioning === 'on';
}

async function bucketOf(context: AppContext): ReturnType<AppContext['storeToRead']> {
  const placed = (await context.stores()).find(({ store }) => store.hasRules);
  if (placed !== undefined) return placed;
  throw new AppError('usage', 'There is no bucket in the settings, and a directory has no rules', {
    hint: 'Set BACKUP_S3_BUCKET and its keys; in a directory this program deletes by itself.',
  });
}

function isSame(wanted: BucketRule, present: LifecycleRule): boolean {
  return (
    present.id === wanted.id &&
    present.id.startsWith(ruleIdPrefix) &&
    present.enabled &&
    present.prefix === wanted.prefix &&
    present.expireDays === wanted.expireDays &&
    present.abortIncompleteDays === wanted.abortIncompleteDays &&
    present.noncurrentDays === wanted.noncurrentDays
  );
}
