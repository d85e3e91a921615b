// What every destination holds, read together and remembered: one that cannot be read does not hide the other, and health
// is told of both.

import { AppError, describeError } from '../errors.ts';
import { newestFirst } from '../schedule/due.ts';
import { pinsOf, readCatalogue, type Catalogue } from '../snapshots/catalogue.ts';
import { dumpOf, snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { startOfId } from '../snapshots/object-keys.ts';
import type { PlaceStanding } from '../snapshots/place.ts';
import type { Repository } from '../snapshots/repository.ts';
import { withRuns } from '../state/history.ts';
import type { SnapshotRecord, StoreRecord } from '../state/records.ts';
import type { AppContext } from './context.ts';
import { findLost, readAgain } from './losses.ts';
import { examinePlace, recordOf, strangePlace } from './places.ts';

/** A destination and what it holds. */
export interface Holding {
  readonly repository: Repository;
  /** Null: it could not be read. */
  readonly catalogue: Catalogue | null;
  /** Why not. */
  readonly error: unknown;
  /** Whether it is the place that is known; null: nobody looked, or could. */
  readonly standing: PlaceStanding | null;
  /** The verified snapshots of our instance, newest first. */
  readonly snapshots: readonly Manifest[];
}

/** Reads all destinations, or `among` them. Rejects only with the reason of `signal`. */
export async function lookIntoAll(
  context: AppContext,
  signal: AbortSignal,
  { among }: { readonly among?: readonly Repository[] } = {},
): Promise<readonly Holding[]> {
  const { instance } = context.load();
  const stores = among ?? (await context.stores());
  return Promise.all(
    stores.map(async (repository): Promise<Holding> => {
      try {
        const catalogue = await readCatalogue(repository, { signal });
        const snapshots = catalogue.snapshots.filter((manifest) => manifest.instance === instance);
        return { repository, catalogue, error: null, standing: null, snapshots };
      } catch (error) {
        signal.throwIfAborted();
        return { repository, catalogue: null, error, standing: null, snapshots: [] };
      }
    }),
  );
}

/**
 * Reads all destinations, or `among` them, and remembers for health what they hold. One that is another place than was known is
 * none that can be read. Rejects only with the reason of `signal`.
 */
export async function readHoldings(
  context: AppContext,
  signal: AbortSignal,
  options: {
    readonly among?: readonly Repository[];
    /** Whether what could not be read is no news for health: whoever asks is less patient than a run. */
    readonly isImpatient?: boolean;
    /** Whether nothing of it is remembered, because nothing is to be changed. */
    readonly isOnlyALook?: boolean;
  } = {},
): Promise<readonly Holding[]> {
  const readAt = context.now().toISOString();
  const records = (await context.state().readStores())?.stores ?? [];
  const repositories = options.among ?? (await context.stores());
  for (const one of repositories) readAgain(one, recordOf(one, records)?.missing ?? []);
  const judge = async (holding: Holding): Promise<Holding> => {
    const { repository, catalogue } = holding;
    if (catalogue === null) return holding;
    const record = recordOf(repository, records);
    const standing = await examinePlace(repository, { catalogue, record, signal });
    if (standing.kind === 'known') return { ...holding, standing };
    return { ...holding, standing, catalogue: null, error: strangePlace(repository, standing.reason), snapshots: [] };
  };
  const holdings = await Promise.all(
    (await lookIntoAll(context, signal, { among: repositories })).map(async (holding): Promise<Holding> => {
      const judged = await judge(holding);
      const record = recordOf(holding.repository, records);
      if (!seemsLost(context, { holding: judged, record, readAt })) return judged;
      // A place that vanishes while it is read looks like one that lost something. What it is then, it says when it is asked again.
      readAgain(holding.repository, record?.snapshots ?? [], { but: holding.snapshots });
      const [again = holding] = await lookIntoAll(context, signal, { among: [holding.repository] });
      return judge(again);
    }),
  );
  const isNews = ({ error }: Holding): boolean =>
    options.isImpatient !== true || !(error instanceof AppError && error.code === 'timeout');
  if (options.isOnlyALook !== true) await remember(context, { holdings: holdings.filter(isNews), readAt });
  return holdings;
}

// Whether a place that could be read lacks what it was known to hold, and that is news.
function seemsLost(
  context: AppContext,
  {
    holding,
    record,
    readAt,
  }: { readonly holding: Holding; readonly record: StoreRecord | undefined; readonly readAt: string },
): boolean {
  const { catalogue, standing, snapshots, repository } = holding;
  if (record === undefined) return false;
  if (standing?.kind === 'strange') return record.strange !== true;
  if (catalogue === null) return false;
  const present = snapshots.map(toRecord);
  const { missing } = findLost(catalogue, { context, record, repository, present, removed: new Set(), readAt });
  const { missing: known = [], damagedCount } = record;
  const damaged = catalogue.damaged.filter(({ manifest }) => manifest.instance === context.load().instance);
  return missing.length > known.length || damaged.length > damagedCount;
}

/** Remembers for health what is left of `holdings` after retention removed some of it; nothing is asked. */
export async function rememberRemoval(
  context: AppContext,
  { holdings, removed }: { readonly holdings: readonly Holding[]; readonly removed: readonly Manifest[] },
): Promise<void> {
  const isLeft = (snapshot: Manifest): boolean => !removed.includes(snapshot);
  const left = holdings.map((one) => ({ ...one, snapshots: one.snapshots.filter(isLeft) }));
  await remember(context, { holdings: left, readAt: context.now().toISOString(), removed });
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
    return unseen === undefined
      ? []
      : [
          {
            repository,
            error: new AppError('store', unseen.reason, {
              hint: 'Look what the destination says, with: mastodon-backup doctor.',
            }),
          },
        ];
  });
}

/** The places that are not those that were known, each with the reason why nothing is stored there. */
export function strangePlaces(holdings: readonly Holding[]): ReadonlyMap<Repository, AppError> {
  return new Map(
    holdings.flatMap(({ repository, standing }) =>
      standing?.kind === 'strange' ? [[repository, strangePlace(repository, standing.reason)] as const] : [],
    ),
  );
}

// Readings overlap, those of a drill beside a run and those of a `docker exec` beside the daemon: the younger one counts.
async function remember(
  context: AppContext,
  {
    holdings,
    readAt,
    removed = [],
  }: {
    readonly holdings: readonly Holding[];
    readonly readAt: string;
    /** What retention has removed since. */
    readonly removed?: readonly Manifest[];
  },
): Promise<void> {
  const { instance } = context.load();
  await rememberHistory(context, holdings);
  const repositories = await context.stores();
  await context.state().updateStores((before) => {
    const remembered = before?.stores ?? [];
    const known = holdings.map((holding): StoreRecord => {
      const { repository, catalogue, error, snapshots, standing } = holding;
      const { prefix } = repository;
      const { name, description } = repository.store;
      const same = recordOf(repository, remembered);
      if (same !== undefined && same.readAt !== null && isYounger(same.readAt, { than: readAt, context })) return same;
      if (catalogue === null) {
        // What was known of it stays known: a bucket that is down does not make a fresh backup old.
        const empty = { name, description, prefix, readAt: null, snapshots: [], damagedCount: 0, unreadableCount: 0 };
        return { ...(same ?? empty), error: describeError(error), strange: standing?.kind === 'strange' };
      }
      const unseen = catalogue.unlisted.filter(({ isTier }) => isTier);
      // Nor is what was known of a tier that cannot be seen forgotten.
      const unseenSnapshots = [...(same?.snapshots ?? []), ...writtenHere(repository, instance)].filter(
        ({ tier, id }, at, all) =>
          unseen.some((one) => one.tier === tier) && all.findIndex((one) => one.id === id) === at,
      );
      const own = catalogue.damaged.filter(({ manifest }) => manifest.instance === instance);
      const present = snapshots.map(toRecord);
      const { missing, withheld } = findLost(catalogue, {
        context,
        record: same,
        repository,
        present,
        removed: new Set(removed.map(snapshotName)),
        readAt,
      });
      return {
        name,
        description,
        prefix,
        placeId: standing?.kind === 'known' ? standing.id : (same?.placeId ?? null),
        ...(missing.length === 0 ? {} : { missing }),
        ...(withheld.length === 0 ? {} : { withheld }),
        trusted: repository.signing.trusted.map(({ fingerprint }) => fingerprint),
        readAt,
        error: unseen.length === 0 ? null : unseen.map(({ reason }) => reason).join('; '),
        snapshots: [...snapshots.map((one) => withPin(one, catalogue)), ...unseenSnapshots].toSorted(
          (a, b) => b.dataAt.getTime() - a.dataAt.getTime(),
        ),
        damagedCount: own.length,
        unreadableCount: catalogue.unreadable.length,
        apart: countApart(catalogue),
      };
    });
    // In the order of the settings; one that nobody looked into now stays as it was.
    const stores = repositories.flatMap(
      (repository) => recordOf(repository, known) ?? recordOf(repository, remembered) ?? [],
    );
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

const records = new WeakMap<Manifest, SnapshotRecord>();

/** A manifest as health, messages and metrics look at it; of one the same, for it is asked for several times. */
export function toRecord(manifest: Manifest): SnapshotRecord {
  const known = records.get(manifest);
  if (known !== undefined) return known;
  const made = makeRecord(manifest);
  records.set(manifest, made);
  return made;
}

function makeRecord(manifest: Manifest): SnapshotRecord {
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
