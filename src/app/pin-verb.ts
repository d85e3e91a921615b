// `pin` and `unpin`: a snapshot out of retention, and back, in every destination that has it. A destination that cannot be asked
// hides what was done in the other, but is told: what is pinned in one place alone may still go in the other.

import { AppError } from '../errors.ts';
import { pinsOf, readCatalogue } from '../snapshots/catalogue.ts';
import { removePin } from '../snapshots/deletion-law.ts';
import type { Pinned } from '../snapshots/listing.ts';
import { snapshotName } from '../snapshots/manifest.ts';
import { putPin } from '../snapshots/pins.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { StoreName } from '../storage/store.ts';
import { chooseAnywhere } from './choosing.ts';
import type { AppContext } from './context.ts';
import { readHoldings } from './holdings.ts';

/** Options of `pin` and `unpin`. */
export interface PinRequest {
  readonly snapshot: string;
  /** Null: every destination that has it. */
  readonly from: StoreName | null;
  readonly instance: string | null;
  readonly signal: AbortSignal;
}

/** What became of it in one destination. */
export interface PinReport {
  /** `<tier>/<id>`. */
  readonly snapshot: string;
  readonly place: string;
  readonly outcome: 'pinned' | 'pinned-before' | 'unpinned' | 'not-pinned';
  /** Whether rules of the bucket, which know no pins, remove what is old there. */
  readonly isRuled: boolean;
}

/** Pins a snapshot. @throws AppError `no-snapshot` when it is nowhere. */
export async function pin(context: AppContext, request: PinRequest): Promise<readonly PinReport[]> {
  const { signal } = request;
  const { manifest: snapshot } = await chooseAnywhere(context, { ...request, identities: [] });
  const reports: PinReport[] = [];
  for (const repository of await placesOf(context, request)) {
    const outcome = await putPin(repository, { snapshot, now: context.now(), signal });
    if (outcome === 'absent') continue;
    context.log.info({ snapshot: snapshotName(snapshot), store: repository.store.description }, 'Snapshot pinned');
    reports.push(report(context, { repository, snapshot, outcome }));
  }
  if (reports.length === 0)
    throw new AppError('no-snapshot', `${snapshotName(snapshot)} was removed before it could be pinned`, {
      hint: 'See what there is with the command: mastodon-backup list.',
    });
  await readHoldings(context, signal);
  return reports;
}

/** Takes the pin of a snapshot away, also of one that is gone or cannot be read. @throws AppError `no-snapshot`. */
export async function unpin(context: AppContext, request: PinRequest): Promise<readonly PinReport[]> {
  const { signal, snapshot: text } = request;
  const places = await Promise.all(
    (await placesOf(context, request)).map(async (repository) => ({
      repository,
      catalogue: await readCatalogue(repository, { signal }),
    })),
  );
  const named = places
    .flatMap(({ catalogue }) => catalogue.pinned)
    .find((one) => one.id === text || snapshotName(one) === text);
  const snapshot = named ?? (await chooseAnywhere(context, { ...request, identities: [] })).manifest;
  const reports: PinReport[] = [];
  for (const { repository, catalogue } of places) {
    const isPinned = pinsOf(catalogue)(snapshot);
    if (isPinned) await removePin(repository, { snapshot, log: context.log, signal });
    reports.push(report(context, { repository, snapshot, outcome: isPinned ? 'unpinned' : 'not-pinned' }));
  }
  await readHoldings(context, signal);
  return reports;
}

async function placesOf(context: AppContext, { from }: PinRequest): Promise<readonly Repository[]> {
  return from === null ? context.stores() : [await context.storeToRead(from)];
}

function report(
  context: AppContext,
  {
    repository: { store },
    snapshot,
    outcome,
  }: { readonly repository: Repository; readonly snapshot: Pinned; readonly outcome: PinReport['outcome'] },
): PinReport {
  const { mode } = context.load().settings.retention;
  return {
    snapshot: snapshotName(snapshot),
    place: store.description,
    outcome,
    isRuled: mode === 'lifecycle' && store.hasRules,
  };
}
