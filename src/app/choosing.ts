// The snapshot that a command is about, chosen alike by all of them; whoever gets an older one than there is, is told why.

import { readCatalogue, type Catalogue } from '../snapshots/catalogue.ts';
import { chooseSnapshot, type PassedOver } from '../snapshots/choice.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { StoreName } from '../storage/store.ts';
import type { AppContext } from './context.ts';

/** Which snapshot a person means, and where. */
export interface SnapshotRequest {
  /** `latest`, `latest:<tier>`, an id, or `<tier>/<id>`. */
  readonly snapshot: string;
  readonly from: StoreName | null;
  /** Null: the only instance in the prefix. */
  readonly instance: string | null;
}

/** The chosen snapshot, and where it was chosen from. */
export interface ChosenSnapshot {
  readonly repository: Repository;
  readonly catalogue: Catalogue;
  readonly manifest: Manifest;
}

/** Reads the store that is meant and chooses in it. @throws AppError `no-snapshot`, `usage` or `store`. */
export async function choose(
  context: AppContext,
  request: SnapshotRequest & { readonly signal: AbortSignal },
): Promise<ChosenSnapshot> {
  const repository = context.storeToRead(request.from);
  const catalogue = await readCatalogue(repository, request);
  const { manifest, passedOver } = chooseSnapshot(catalogue, {
    text: request.snapshot,
    instance: request.instance ?? undefined,
    place: repository.store.description,
    now: context.now(),
  });
  warnOfPassedOver(context, passedOver);
  return { repository, catalogue, manifest };
}

/** Says in the log which newer snapshots are not the latest, and why. */
export function warnOfPassedOver({ log }: Pick<AppContext, 'log'>, passedOver: readonly PassedOver[]): void {
  for (const { snapshot, reason } of passedOver)
    log.warn({ snapshot, reason }, `A newer snapshot, ${snapshot}, was passed over: ${reason}`);
}
