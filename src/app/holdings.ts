// What every destination holds, read together and remembered: one that cannot be read does not hide the other, and health
// is told of both.

import { AppError, describeError } from '../errors.ts';
import { newestFirst, pinsOf, readCatalogue, type Catalogue } from '../snapshots/catalogue.ts';
import { dumpOf, type Manifest } from '../snapshots/manifest.ts';
import { startOfId } from '../snapshots/object-keys.ts';
import type { Repository } from '../snapshots/repository.ts';
import { withRuns } from '../state/history.ts';
import type { SnapshotRecord, StoreRecord } from '../state/records.ts';
import type { AppContext } from './context.ts';

/** A destination and what it holds. */
export interface Holding {
  readonly repository: Repository;
  /** Null: it could not be read. */
  readonly catalogue: Catalogue | null;
  /** Why not. */
  readonly error: unknown;
  /** The verified snapshots of our instance, newest first. */
  readonly snapshots: readonly Manifest[];
}

/** Reads all destinations. Rejects only with the reason of `signal`. */
export async function lookIntoAll(context: AppContext, signal: AbortSignal): Promise<readonly Holding[]> {
  const { instance } = context.load();
  const stores = await context.stores();
  return Promise.all(
    stores.map(async (repository): Promise<Holding> => {
      try {
        const catalogue = await readCatalogue(repository, { signal });
        const snapshots = catalogue.snapshots.filter((manifest) => manifest.instance === instance);
        return { repository, catalogue, error: null, snapshots };
      } catch (error) {
        signal.throwIfAborted();
        return { repository, catalogue: null, error, snapshots: [] };
      }
    }),
  );
}

/** Reads all destinations and remembers for health what they hold. Rejects only with the reason of `signal`. */
export async function readHoldings(context: AppContext, signal: AbortSignal): Promise<readonly Holding[]> {
  const readAt = context.now().toISOString();
  const holdings = await lookIntoAll(context, signal);
  await remember(context, { holdings, readAt });
  return holdings;
}

/** Remembers for health what is left of `holdings` after retention removed some of it; nothing is asked. */
export async function rememberRemoval(
  context: AppContext,
  { holdings, removed }: { readonly holdings: readonly Holding[]; readonly removed: readonly Manifest[] },
): Promise<void> {
  const isLeft = (snapshot: Manifest): boolean => !removed.includes(snapshot);
  const left = holdings.map((one) => ({ ...one, snapshots: one.snapshots.filter(isLeft) }));
  await remember(context, { holdings: left, readAt: context.now().toISOString() });
}

/** All snapshots of our instance, one of each id, newest first. */
export function snapshotsOfAll(holdings: readonly Holding[]): readonly Manifest[] {
  const byId = new Map(holdings.flatMap(({ snapshots }) => snapshots.map((one) => [one.id, one] as const)));
  return [...byId.values()].toSorted(newestFirst);
}

/** The places that do not say all of what they hold, with the reason. */
export function silentPlaces(
  holdings: readonly Holding[],
): readonly { readonly repository: Repository; readonly error: unknown }[] {
  return holdings.flatMap(({ repository, catalogue, error }) => {
    if (catalogue === null) return [{ repository, error }];
    const unseen = catalogue.unlisted.find(({ isTier }) => isTier);
    return unseen === undefined ? [] : [{ repository, error: new AppError('store', unseen.reason) }];
  });
}

// Readings overlap, those of a drill beside a run and those of a `docker exec` beside the daemon: the younger one counts.
async function remember(
  context: AppContext,
  { holdings, readAt }: { readonly holdings: readonly Holding[]; readonly readAt: string },
): Promise<void> {
  const { instance } = context.load();
  await rememberHistory(context, holdings);
  await context.state().updateStores((before) => {
    const remembered = before?.instance === instance ? before.stores : [];
    const stores = holdings.map(({ repository, catalogue, error, snapshots }): StoreRecord => {
      const { name, description } = repository.store;
      const same = remembered.find((one) => one.name === name && one.description === description);
      if (same !== undefined && same.readAt !== null && isYounger(same.readAt, { than: readAt, context })) return same;
      if (catalogue === null) {
        // What was known of it stays known: a bucket that is down does not make a fresh backup old.
        const empty = { name, description, readAt: null, snapshots: [], damagedCount: 0, unreadableCount: 0 };
        return { ...(same ?? empty), error: describeError(error) };
      }
      const unseen = catalogue.unlisted.filter(({ isTier }) => isTier);
      // Nor is what was known of a tier that cannot be seen forgotten.
      const known = [...(same?.snapshots ?? []), ...writtenHere(repository, instance)].filter(
        ({ tier, id }, at, all) =>
          unseen.some((one) => one.tier === tier) && all.findIndex((one) => one.id === id) === at,
      );
      const own = catalogue.damaged.filter(({ manifest }) => manifest.instance === instance);
      return {
        name,
        description,
        readAt,
        error: unseen.length === 0 ? null : unseen.map(({ reason }) => reason).join('; '),
        snapshots: [...snapshots.map((one) => withPin(one, catalogue)), ...known].toSorted(
          (a, b) => b.dataAt.getTime() - a.dataAt.getTime(),
        ),
        damagedCount: own.length,
        unreadableCount: catalogue.unreadable.length,
        apart: countApart(catalogue),
      };
    });
    return { instance, stores };
  });
}

function withPin(manifest: Manifest, catalogue: Catalogue): SnapshotRecord {
  return pinsOf(catalogue)(manifest) ? { ...toRecord(manifest), pinned: true } : toRecord(manifest);
}

// What was read or written before: a backup that was made where it cannot be seen is not made again and again.
function writtenHere({ manifests }: Repository, instance: string): readonly SnapshotRecord[] {
  return [...manifests.values()].flatMap(({ read }) =>
    read.kind === 'manifest' && read.objection === null && read.manifest.instance === instance
      ? [toRecord(read.manifest)]
      : [],
  );
}

// Whatever has been seen stays in the memory of the year, and a memory that was lost begins with what the stores hold.
async function rememberHistory(context: AppContext, holdings: readonly Holding[]): Promise<void> {
  const snapshots = snapshotsOfAll(holdings).map(toRecord);
  const state = context.state();
  const now = context.now();
  const before = await state.readHistory();
  if (before !== null && withRuns(before, { snapshots, now }) === before) return;
  await state.updateHistory((history) => withRuns(history, { snapshots, now }));
}

// Whatever a catalogue tells apart from the snapshots, and not what a run under way has not finished yet, nor pins.
function countApart({
  snapshots: _snapshots,
  orphans: _orphans,
  pinned: _pinned,
  ...apart
}: Catalogue): Readonly<Record<string, number>> {
  const counts = Object.entries(apart).map(([name, items]) => [name, items.length] as const);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

// A moment that has not come yet was written under a wrong clock.
function isYounger(
  at: string,
  { than, context }: { readonly than: string; readonly context: Pick<AppContext, 'now'> },
): boolean {
  return Date.parse(at) > Date.parse(than) && Date.parse(at) <= context.now().getTime();
}

/** A manifest as health, messages and metrics look at it. */
export function toRecord(manifest: Manifest): SnapshotRecord {
  const { id, tier, dataAt, slot, committedAt, copiedFrom, label } = manifest;
  const dump = dumpOf(manifest);
  return {
    id,
    tier,
    dataAt,
    slot,
    committedAt,
    startedAt: startOfId(id) ?? committedAt,
    dumpBytes: dump.content.bytes,
    objectBytes: dump.bytes,
    copiedFrom,
    label,
    databaseBytes: manifest.database.sizeBytes,
  };
}
