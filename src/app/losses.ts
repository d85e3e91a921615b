// What a place was known to hold and does not count any more: gone, overwritten, or not to be told. Who may write a bucket can destroy a
// backup without deleting it, by other bytes in the place of its manifest or without its signature; that is missed like one that is gone.
// What a store refuses to give may be there as ever: it is not called missing, and not forgotten either.

import { findLosses } from '../retention/loss.ts';
import { asFolder } from '../schedule/tier.ts';
import type { Catalogue, Unreadable } from '../snapshots/catalogue.ts';
import { snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { manifestKey } from '../snapshots/object-keys.ts';
import { describeObjection, type Objection } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { MissingRecord, SnapshotRecord, StoreRecord, WithheldRecord } from '../state/records.ts';
import type { AppContext } from './context.ts';

/** What became of what does not count any more, as far as retention would have kept it. */
export interface Losses {
  readonly missing: readonly MissingRecord[];
  readonly withheld: readonly WithheldRecord[];
}

/** What a place was known to hold, should still hold, and does not. */
export function findLost(
  catalogue: Catalogue,
  {
    context,
    record,
    repository,
    present,
    removed,
    readAt,
  }: {
    readonly context: AppContext;
    readonly record: StoreRecord | undefined;
    readonly repository: Repository;
    /** What counts there now. */
    readonly present: readonly SnapshotRecord[];
    /** What we have removed ourselves. */
    readonly removed: ReadonlySet<string>;
    /** When it was read. */
    readonly readAt: string;
  },
): Losses {
  const counted = new Set([...present.map(snapshotName), ...removed]);
  const isLost = (one: SnapshotRecord): boolean => !counted.has(snapshotName(one));
  const fates = fatesIn(catalogue);
  const missing: MissingRecord[] = [];
  const withheld: WithheldRecord[] = [];

  // What was missed is missed until it counts again: that nobody can see it now makes it no better.
  for (const { reason, ...one } of (record?.missing ?? []).filter(isLost)) {
    const fate = fates(one);
    if (fate.kind === 'damaged') withheld.push({ ...one, since: readAt });
    else if (fate.kind === 'unseen' || fate.kind === 'refused') missing.push({ ...one, ...(reason && { reason }) });
    else missing.push({ ...one, ...inItsPlace(fate) });
  }
  for (const { since, reason, ...one } of (record?.withheld ?? []).filter(isLost)) {
    const fate = fates(one);
    if (fate.kind === 'unseen') withheld.push({ ...one, since, ...(reason && { reason }) });
    else if (fate.kind === 'damaged') withheld.push({ ...one, since });
    else if (fate.kind === 'refused') withheld.push({ ...one, since, reason: fate.reason });
    else if (!isGivenUp(fate, record)) missing.push({ ...one, ...inItsPlace(fate) });
  }
  for (const one of (record?.snapshots ?? []).filter(isLost)) {
    const fate = fates(one);
    // What is in a tier that cannot be seen is remembered as it was.
    if (fate.kind === 'unseen' || isGivenUp(fate, record)) continue;
    if (fate.kind === 'damaged') withheld.push({ ...one, since: readAt });
    else if (fate.kind === 'refused') withheld.push({ ...one, since: readAt, reason: fate.reason });
    else missing.push({ ...one, ...inItsPlace(fate) });
  }

  if (missing.length + withheld.length === 0) return { missing, withheld };
  const { retention, timeZone } = context.load().settings;
  const { hasRules } = repository.store;
  const options = { present, keep: retention.keep, timeZone, hasRules, now: context.now() };
  const kept = new Set<SnapshotRecord>(findLosses([...missing, ...withheld], options));
  return { missing: missing.filter((one) => kept.has(one)), withheld: withheld.filter((one) => kept.has(one)) };
}

/** Has the manifests of all these but some read at the next look, also where they are known: what was read may have been no answer of the place. */
export function readAgain(
  { manifests, prefix }: Repository,
  snapshots: readonly SnapshotRecord[],
  { but = [] }: { readonly but?: readonly Manifest[] } = {},
): void {
  const left = new Set(but.map(snapshotName));
  for (const one of snapshots) {
    const tier = asFolder(one.tier);
    if (tier !== undefined && !left.has(snapshotName(one))) manifests.delete(manifestKey(prefix, { tier, id: one.id }));
  }
}

/** What has become of a snapshot that does not count. */
type Fate =
  | { readonly kind: 'gone' | 'unseen' | 'damaged' }
  | { readonly kind: 'content' | 'refused'; readonly reason: string }
  | { readonly kind: 'nobodys'; readonly objection: Objection };

function fatesIn(catalogue: Catalogue): (one: SnapshotRecord) => Fate {
  const fates = new Map<string, Fate>([
    ...catalogue.damaged.map(({ manifest }) => [snapshotName(manifest), { kind: 'damaged' }] as const),
    ...catalogue.unsigned.map(
      ({ manifest, objection }) => [snapshotName(manifest), { kind: 'nobodys', objection }] as const,
    ),
    ...catalogue.unreadable.map((one) => [snapshotName(one), fateOf(one)] as const),
  ]);
  const unseen = new Set<string>(catalogue.unlisted.flatMap(({ isTier, tier }) => (isTier ? [tier] : [])));
  return (one) => (unseen.has(one.tier) ? { kind: 'unseen' } : (fates.get(snapshotName(one)) ?? { kind: 'gone' }));
}

function fateOf({ cause, reason }: Unreadable): Fate {
  return typeof cause === 'string' ? { kind: cause, reason } : { kind: 'nobodys', objection: cause };
}

// Whether it is a person's doing that it counts no more: before there was a key nothing had to be signed, and a key may be trusted no
// longer. Where a signature counted and is another one now, or none, somebody has taken it away.
function isGivenUp(fate: Fate, record: StoreRecord | undefined): boolean {
  if (fate.kind !== 'nobodys') return false;
  const { objection } = fate;
  const trusted = record?.trusted ?? [];
  return trusted.length === 0 || (objection.kind === 'stranger' && trusted.includes(objection.signer));
}

function inItsPlace(fate: Fate): { readonly reason?: string } {
  if (fate.kind === 'nobodys') return { reason: `it ${describeObjection(fate.objection)}` };
  return fate.kind === 'content' ? { reason: `its manifest cannot be read: ${fate.reason}` } : {};
}
