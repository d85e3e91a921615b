// What every destination holds, read together and remembered: one that cannot be read does not hide the other, and health
// is told of both.

import { describeError } from '../errors.ts';
import { newestFirst, readCatalogue, type Catalogue } from '../snapshots/catalogue.ts';
import { dumpOf, type Manifest } from '../snapshots/manifest.ts';
import { startOfId } from '../snapshots/object-keys.ts';
import type { Repository } from '../snapshots/repository.ts';
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

// Readings overlap, those of a drill beside a run and those of a `docker exec` beside the daemon: the younger one counts.
async function remember(
  context: AppContext,
  { holdings, readAt }: { readonly holdings: readonly Holding[]; readonly readAt: string },
): Promise<void> {
  const { instance } = context.load();
  await context.state().updateStores((before) => {
    const remembered = before?.instance === instance ? before.stores : [];
    const stores = holdings.map(({ repository: { store }, catalogue, error, snapshots }): StoreRecord => {
      const { name, description } = store;
      const same = remembered.find((one) => one.name === name && one.description === description);
      if (same !== undefined && same.readAt !== null && isYounger(same.readAt, { than: readAt, context })) return same;
      if (catalogue === null) {
        // What was known of it stays known: a bucket that is down does not make a fresh backup old.
        const empty = { name, description, readAt: null, snapshots: [], damagedCount: 0, unreadableCount: 0 };
        return { ...(same ?? empty), error: describeError(error) };
      }
      const own = catalogue.damaged.filter(({ manifest }) => manifest.instance === instance);
      return {
        name,
        description,
        readAt,
        error: null,
        snapshots: snapshots.map(toRecord),
        damagedCount: own.length,
        unreadableCount: catalogue.unreadable.length,
      };
    });
    return { instance, stores };
  });
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
  const { id, tier, dataAt, slot, committedAt, copiedFrom } = manifest;
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
  };
}
