// Retention as a plan that a person can read before anything goes: every snapshot with its verdict, and what holds the
// whole of it back. The plan is pure; carrying it out is the deletion law's.

import type { KeepRules } from '../config/settings.ts';
import { pinsOf, type Catalogue } from '../snapshots/catalogue.ts';
import { snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { folders, type Folder } from '../schedule/tier.ts';
import { maxClockSkewMs } from '../snapshots/deletion-law.ts';
import { formatSpan } from '../text/format.ts';
import { plural } from '../text/table.ts';
import { judge, type Verdict } from './policy.ts';

/** A tier at least this large is not halved without a person. */
const smallestGuardedTier = 4;

/** Why nothing, or nothing of a tier, is removed. */
export interface Hold {
  /** Null: all tiers. */
  readonly tier: Folder | null;
  readonly reason: string;
  readonly remedy: string;
}

/** What retention would do to a store. */
export interface PrunePlan {
  /** All verified snapshots of the instance by tier, newest first. */
  readonly verdicts: readonly Verdict<Manifest>[];
  readonly holds: readonly Hold[];
  /** What goes: verdicts that are not held. */
  readonly remove: readonly Manifest[];
}

/** Who asks: the daemon after a run, or a person. */
export type PruneOccasion = 'automatic' | 'by-hand';

/** Plans retention for the snapshots of `instance` in a store. */
export function planPrune(
  catalogue: Catalogue,
  options: {
    readonly instance: string;
    readonly keep: KeepRules;
    readonly timeZone: string;
    readonly now: Date;
    /** The store's clock; null where it has none of its own. */
    readonly storeNow: Date | null;
    /** The clock of the database's server, asked where the store has none; null or left out: nobody has asked, or been answered. */
    readonly databaseNow?: Date | null;
    /** `<tier>/<id>` of what the run has made that asks; left out: nothing. It stays, whatever a wrong clock has dated it. */
    readonly made?: ReadonlySet<string>;
    /** The system identifier of the database we back up; null when it cannot be asked. */
    readonly systemIdentifier: string | null;
    /** Where that is, for people, such as `db:5432`. */
    readonly serverPlace?: string;
    /** Identifiers of earlier servers that a person said may be pruned. */
    readonly acceptedServers: readonly string[];
    readonly occasion: PruneOccasion;
  },
): PrunePlan {
  const own = catalogue.snapshots.filter(({ instance }) => instance === options.instance);
  const isPinned = pinsOf(catalogue);
  const verdicts = folders
    .flatMap((tier) =>
      judge(
        own.filter((snapshot) => snapshot.tier === tier),
        { tier, rule: options.keep[tier], now: options.now, timeZone: options.timeZone, isPinned },
      ),
    )
    .map((verdict) =>
      verdict.keep || options.made?.has(snapshotName(verdict.snapshot)) !== true
        ? verdict
        : { ...verdict, keep: true, reason: `made just now; ${verdict.reason}` },
    );
  const holds = [
    ...holdAll(own, options),
    ...holdUnseen(catalogue),
    ...(options.occasion === 'automatic' ? holdLargeCuts(verdicts.filter(({ snapshot }) => !isPinned(snapshot))) : []),
  ];
  const held = (tier: Folder): boolean => holds.some((hold) => hold.tier === null || hold.tier === tier);
  const remove = verdicts.flatMap(({ keep, snapshot }) => (keep || held(snapshot.tier) ? [] : [snapshot]));
  return { verdicts, holds, remove };
}

/** The plan without what is locked, which is kept, each with what holds it. */
export function withoutLocked(plan: PrunePlan, locked: ReadonlyMap<Manifest, string>): PrunePlan {
  return {
    ...plan,
    verdicts: plan.verdicts.map((verdict) => {
      const reason = locked.get(verdict.snapshot);
      return reason === undefined ? verdict : { ...verdict, keep: true, reason: `${reason}, ${verdict.reason}` };
    }),
    remove: plan.remove.filter((snapshot) => !locked.has(snapshot)),
  };
}

function holdAll(own: readonly Manifest[], options: Parameters<typeof planPrune>[1]): readonly Hold[] {
  const holds: Hold[] = [];
  // A directory has no clock, and ours alone makes every age: the database's is the other one that there is.
  const { storeNow, databaseNow = null } = options;
  const theirs = storeNow ?? databaseNow;
  const skewMs = theirs === null ? 0 : options.now.getTime() - theirs.getTime();
  if (Math.abs(skewMs) > maxClockSkewMs) {
    holds.push({
      tier: null,
      reason: `our clock is ${formatSpan(Math.abs(skewMs))} ${skewMs > 0 ? 'ahead of' : 'behind'} the ${storeNow === null ? "database's" : "store's"}`,
      remedy:
        storeNow === null
          ? 'Set the clock of the host, or that of the database, whichever is wrong: timedatectl set-ntp true.'
          : 'Set the clock of the host: timedatectl set-ntp true.',
    });
  }
  const known = new Set([options.systemIdentifier, ...options.acceptedServers]);
  const strangers = own.filter(({ database: { systemIdentifier: id } }) => id !== null && !known.has(id));
  const [newest] = strangers;
  if (newest !== undefined && options.systemIdentifier !== null) {
    const others = new Set(strangers.map(({ database }) => database.systemIdentifier));
    const place = options.serverPlace === undefined ? '' : ` at ${options.serverPlace}`;
    holds.push({
      tier: null,
      reason: `there are snapshots of another database server (system identifier ${[...others].join(', ')}, the newest is ${snapshotName(newest)}; ours${place} is ${options.systemIdentifier})`,
      remedy:
        'If the database has moved to this server, as after a restore, run: mastodon-backup prune --accept-new-server. If this is a copy of the instance, give it a bucket or BACKUP_S3_PREFIX of its own.',
    });
  }
  return holds;
}

// What is the newest of a tier, and how much of it would go, nobody knows who cannot see it.
function holdUnseen({ unlisted }: Catalogue): readonly Hold[] {
  return unlisted.flatMap(({ isTier, tier, reason }): readonly Hold[] =>
    isTier ? [{ tier, reason, remedy: 'See what the store says of it with: mastodon-backup list.' }] : [],
  );
}

function holdLargeCuts(verdicts: readonly Verdict<Manifest>[]): readonly Hold[] {
  return folders.flatMap((tier): readonly Hold[] => {
    const all = verdicts.filter(({ snapshot }) => snapshot.tier === tier);
    const removed = all.filter(({ keep }) => !keep).length;
    if (all.length < smallestGuardedTier || removed < all.length / 2) return [];
    return [
      {
        tier,
        reason: `${removed} of ${plural(all.length, `${tier} snapshot`)} would go at once, half or more`,
        remedy: 'Look at them with: mastodon-backup prune --dry-run. If that is meant, run: mastodon-backup prune.',
      },
    ];
  });
}
