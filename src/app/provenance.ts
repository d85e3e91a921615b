// Of what a copy may be made. A manifest that says `verified: full` proves nothing: anybody who may write the store can have written
// it, and a copy of garbage would stand in every tier, verified. A copy is made of what was made here, of what somebody trusted
// has signed, and of what was decoded to its end just now.

import { identitiesOf } from '../config/age-keys.ts';
import { dumpOf, snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { wantsSigned } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import { verifyFully } from '../snapshots/verification.ts';
import type { AppContext } from './context.ts';

/** What is remembered of a snapshot that was made here: its id, and what its dump is. */
export function rememberedAs(manifest: Pick<Manifest, 'id' | 'parts'>): string {
  return `${manifest.id} ${dumpOf(manifest).sha256}`;
}

/** Whether a snapshot of this id was made here, whatever its dump is now. */
export function wasMadeHere(madeHere: readonly string[], { id }: Pick<Manifest, 'id'>): boolean {
  return madeHere.some((one) => one.split(' ')[0] === id);
}

/** Whether a snapshot in this place is known to be ours without being looked into. */
export function isKnown(
  manifest: Manifest,
  { repository, madeHere }: { readonly repository: Pick<Repository, 'signing'>; readonly madeHere: readonly string[] },
): boolean {
  return wantsSigned(repository.signing) || madeHere.includes(rememberedAs(manifest));
}

/**
 * Whether a copy may be made of a snapshot: it is known, or it is decoded to its end now. Where it is encrypted and nobody can
 * open it here it may not. Rejects only with the reason of `signal`.
 */
export async function mayBeCopied(
  context: AppContext,
  {
    manifest,
    repository,
    madeHere,
    signal,
  }: {
    readonly manifest: Manifest;
    readonly repository: Repository;
    readonly madeHere: readonly string[];
    readonly signal: AbortSignal;
  },
): Promise<boolean> {
  if (isKnown(manifest, { repository, madeHere })) return true;
  const { log } = context;
  const { settings } = context.load();
  const about = { snapshot: snapshotName(manifest), store: repository.store.description };
  const isOpen = dumpOf(manifest).encryption === null;
  const identities = identitiesOf(settings.keys);
  if (!isOpen && identities.length === 0) {
    log.warn(about, 'No copy is made of a snapshot that was not made here and that nobody can open here');
    return false;
  }
  try {
    await verifyFully(
      { repository, manifest },
      {
        identities: isOpen ? null : identities,
        threads: settings.threads,
        patience: context.readPatience,
        log,
        signal,
      },
    );
    return true;
  } catch (error) {
    signal.throwIfAborted();
    log.warn(
      { ...about, err: error },
      'No copy is made of a snapshot that was not made here, for it cannot be decoded',
    );
    return false;
  }
}
