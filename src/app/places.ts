// Whether the destinations are the places that are known, and what is missing there. A place that is not is treated as one that
// cannot be read: nothing is stored, copied, pruned or swept in it, and what is remembered of it stays, until a person says that it is
// the right one.

import { AppError } from '../errors.ts';
import type { Catalogue } from '../snapshots/catalogue.ts';
import { snapshotName } from '../snapshots/manifest.ts';
import { judgePlace, type PlaceStanding } from '../snapshots/place.ts';
import { createPlaceId, readMarker, writeMarker } from '../snapshots/place-marker.ts';
import type { DestinationOutcome } from '../snapshots/destination.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { StoreRecord } from '../state/records.ts';
import type { AppContext } from './context.ts';
import type { Holding } from './holdings.ts';

/** The flag by which a person says that the destinations are right as they are. */
export const acceptFlag = '--accept-place';

/** What is remembered of a repository; undefined: nothing. */
export function recordOf(
  { store, prefix }: Repository,
  records: readonly StoreRecord[] | undefined,
): StoreRecord | undefined {
  return records?.find(
    (one) =>
      one.name === store.name &&
      one.description === store.description &&
      (one.prefix === undefined || one.prefix === prefix),
  );
}

// Everything a catalogue tells of, whether it counts or not, and what cannot be seen: by all of it a place is known again.
function presenceIn(catalogue: Catalogue): (snapshot: string) => boolean {
  const names = new Set([
    ...catalogue.snapshots.map(snapshotName),
    ...catalogue.damaged.map(({ manifest }) => snapshotName(manifest)),
    ...catalogue.unsigned.map(({ manifest }) => snapshotName(manifest)),
    ...catalogue.unreadable.map(snapshotName),
  ]);
  const unseen = catalogue.unlisted.flatMap(({ isTier, tier }) => (isTier ? [`${tier}/`] : []));
  return (name) => names.has(name) || unseen.some((folder) => name.startsWith(folder));
}

/** How a place that was just read stands to what is remembered of it. */
export async function examinePlace(
  repository: Repository,
  {
    catalogue,
    record,
    signal,
  }: { readonly catalogue: Catalogue; readonly record: StoreRecord | undefined; readonly signal: AbortSignal },
): Promise<PlaceStanding> {
  const found = await readMarker(repository, signal).then(
    (id) => ({ id }),
    (error: unknown) => {
      signal.throwIfAborted();
      return { error };
    },
  );
  // Of one that was never read nothing is known.
  const remembered =
    record === undefined || record.readAt === null
      ? null
      : {
          id: record.placeId ?? null,
          snapshots: [...record.snapshots, ...(record.missing ?? []), ...(record.withheld ?? [])].map(snapshotName),
        };
  return judgePlace(found, { remembered, isThere: presenceIn(catalogue) });
}

/** Why nothing is stored in a strange place, and what to do. */
export function strangePlace({ store }: Repository, reason: string): AppError {
  const { description } = store;
  const first =
    store.name === 'local'
      ? 'Mount the right disk there'
      : 'Check BACKUP_S3_BUCKET, BACKUP_S3_PREFIX, the endpoint and the account';
  return new AppError('store', `The ${description} is not the place that it was: ${reason}`, {
    reason: 'changed',
    hint: `${first}; if backups shall go there from now on, say so with: mastodon-backup run ${acceptFlag}.`,
  });
}

/**
 * Marks the places in which a run has stored something and that have no marker yet. What cannot be marked, or not before
 * `limited` aborts, is used all the same.
 */
export async function markPlaces(
  context: AppContext,
  {
    holdings,
    outcomes,
    signal,
    limited,
  }: {
    readonly holdings: readonly Pick<Holding, 'repository' | 'standing'>[];
    readonly outcomes: readonly DestinationOutcome[];
    readonly signal: AbortSignal;
    readonly limited: AbortSignal;
  },
): Promise<void> {
  for (const { repository, standing } of holdings) {
    const isUsed = outcomes.some(({ kind, destination }) => kind === 'stored' && destination.repository === repository);
    if (!isUsed || standing === null || standing.kind !== 'known' || standing.marked) continue;
    const { store } = repository;
    try {
      const placeId = await writeMarker(repository, { id: standing.id ?? createPlaceId(), signal: limited });
      context.log.info({ store: store.description, placeId }, 'The place was marked');
      const { instance } = context.load();
      await context.state().updateStores((before) => ({
        instance,
        stores: (before?.stores ?? []).map((one) =>
          recordOf(repository, [one]) === undefined ? one : { ...one, placeId },
        ),
      }));
    } catch (error) {
      signal.throwIfAborted();
      context.log.warn({ err: error, store: store.description }, 'The place could not be marked');
    }
  }
}

/** Forgets what was known of the places that are strange or lack something: from now on they are right as they are. */
export async function acceptPlaces(context: AppContext): Promise<void> {
  const { log } = context;
  const { instance } = context.load();
  await context.state().updateStores((before) => ({
    instance,
    stores: (before?.stores ?? []).filter(({ strange, missing, description }) => {
      const isRight = strange !== true && (missing ?? []).length === 0;
      if (!isRight) log.info({ store: description }, 'A place is taken as it is from now on');
      return isRight;
    }),
  }));
}
