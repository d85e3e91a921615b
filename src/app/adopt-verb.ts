// `adopt`: snapshots from before there was a key, or from where there is none, are signed because a person says so. Each is read
// back first, as a run reads back what it made; what cannot be looked into without a private key is hashed, and that is said.

import type { ProgressListener } from '../backup/progress.ts';
import { AppError, describeError } from '../errors.ts';
import { readCatalogue, type Unsigned } from '../snapshots/catalogue.ts';
import { removeFalseSignature } from '../snapshots/deletion-law.ts';
import { readAll } from '../snapshots/document-reading.ts';
import { decodeManifest, encodeManifest, snapshotName } from '../snapshots/manifest.ts';
import { manifestKey } from '../snapshots/object-keys.ts';
import { describeObjection, storeSignature } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { StoreName } from '../storage/store.ts';
import { adoptChains } from './chain-adoption.ts';
import type { AppContext } from './context.ts';
import { lockFor } from './locking.ts';
import { readHoldings } from './holdings.ts';
import { readBack } from './reading-verbs.ts';

/** Options of `adopt`. */
export interface AdoptRequest {
  /** Ids, `<tier>/<id>`, or `pitr/<id>` of base backups; null: all of this instance. */
  readonly snapshots: readonly string[] | null;
  /** Null: every destination. */
  readonly from: StoreName | null;
  readonly identities: readonly string[];
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** What became of a snapshot. */
export interface Adoption {
  readonly snapshot: string;
  readonly place: string;
  /** Whether it counts from now on. */
  readonly adopted: boolean;
  /** Whether it was decoded to its end; false: it was hashed alone, or not looked at. */
  readonly decoded: boolean;
  /** Why it was not adopted; null: it was. */
  readonly problem: string | null;
  /** Of a base backup, the log that was adopted with it; null: it is a snapshot, or was not adopted. */
  readonly log: {
    readonly segments: number;
    /** The position in the log where it ends, as PostgreSQL writes it. */
    readonly reaches: string;
    /** What is missing behind it; null: nothing. */
    readonly hole: string | null;
  } | null;
}

/** Verifies and signs what is unsigned. @throws AppError `settings` without a key; `no-snapshot` when one is not there. */
export async function adopt(context: AppContext, request: AdoptRequest): Promise<readonly Adoption[]> {
  const { settings, instance } = context.load();
  const { signal } = request;
  if (settings.signing.key === null) {
    throw new AppError('settings', 'There is no key to sign with', {
      hint: 'Make one with: mastodon-backup keygen --output signing_key, and name it in BACKUP_SIGNING_KEY_FILE.',
    });
  }
  await using _lock = await lockFor(context, { command: 'adopt', signal });
  const places = request.from === null ? await context.stores() : [await context.storeToRead(request.from)];
  const adoptions: Adoption[] = [];
  const seen = new Set<string>();
  for (const repository of places) {
    const { unsigned, snapshots } = await readCatalogue(repository, { signal });
    for (const one of snapshots) for (const name of [one.id, snapshotName(one)]) seen.add(name);
    for (const one of unsigned) {
      const names = [one.manifest.id, snapshotName(one.manifest)];
      const isMeant =
        request.snapshots === null
          ? one.manifest.instance === instance
          : names.some((name) => request.snapshots?.includes(name));
      if (!isMeant) continue;
      for (const name of names) seen.add(name);
      adoptions.push(await adoptOne(context, { ...request, repository, one }));
    }
    adoptions.push(...(await adoptChains(context, { ...request, repository, seen })));
  }
  await readHoldings(context, signal);
  const lost = (request.snapshots ?? []).find((name) => !seen.has(name));
  if (lost !== undefined) {
    throw new AppError('no-snapshot', `There is no snapshot '${lost}' to adopt`, {
      hint: 'See what there is with the command: mastodon-backup list.',
    });
  }
  return adoptions;
}

async function adoptOne(
  context: AppContext,
  { repository, one, ...request }: AdoptRequest & { readonly repository: Repository; readonly one: Unsigned },
): Promise<Adoption> {
  const { manifest, damage, objection } = one;
  const snapshot = snapshotName(manifest);
  const place = repository.store.description;
  const refused = (problem: string): Adoption => ({
    snapshot,
    place,
    adopted: false,
    decoded: false,
    problem,
    log: null,
  });
  if (damage !== null) return refused(damage);
  if (objection.kind === 'stranger')
    return refused(`it ${describeObjection(objection)}; if that is a key of yours, add it to BACKUP_TRUSTED_SIGNERS`);
  try {
    const { decoded } = await readBack(context, { ...request, repository, manifest });
    await signAsJudged(context, { repository, one, signal: request.signal });
    context.log.info({ snapshot, store: place, decoded }, 'Snapshot adopted');
    return { snapshot, place, adopted: true, decoded, problem: null, log: null };
  } catch (error) {
    request.signal.throwIfAborted();
    context.log.warn({ err: error, snapshot, store: place }, 'A snapshot could not be adopted');
    return refused(describeError(error));
  }
}

// The bytes that are signed are those that are there now, and they must say what was judged.
async function signAsJudged(
  { log }: AppContext,
  {
    repository,
    one: { manifest, objection },
    signal,
  }: { readonly repository: Repository; readonly one: Unsigned; readonly signal: AbortSignal },
): Promise<void> {
  const { store, prefix, manifests } = repository;
  const key = manifestKey(prefix, manifest);
  const content = await readAll(await store.get(key, { signal }));
  const decoded = decodeManifest(content);
  if (decoded.kind === 'unreadable' || !encodeManifest(decoded.manifest).equals(encodeManifest(manifest)))
    throw new Error(`'${key}' in ${store.description} is no longer the manifest that was read`);
  if (objection.kind === 'false') await removeFalseSignature(repository, { key, content, log, signal });
  await storeSignature(repository, { key, content, signal });
  manifests.delete(key);
}
