// Which of the manifests that a listing shows need not be read: those that this process has read, and those that an earlier command
// has. What was only remembered is good enough to be shown and counted; who restores or copies a snapshot has its manifest read once
// more, for a memory that is wrong must not become a database, or a backup with our signature.

import { describeError } from '../errors.ts';
import type { ObjectKey, StoredObject } from '../storage/store.ts';
import { nextTurn } from '../stream/patience.ts';
import type { Listing } from './listing.ts';
import { isRecognizable, type ListedManifest, type ReadManifest } from './manifest-memory.ts';
import { readManifest, type Reading } from './manifest-reading.ts';
import { encodeManifest, type Manifest } from './manifest.ts';
import { manifestKey, parseKey, type ParsedKey } from './object-keys.ts';
import { signatureKey, wantsSigned } from './origin.ts';
import type { ManifestCache, Repository } from './repository.ts';

/** A manifest that a listing shows, and what is known of it; null: nothing, it has to be read. */
export interface Candidate extends ListedManifest {
  readonly parsed: ParsedKey;
  readonly known: { readonly read: ReadManifest; readonly from: Source } | null;
}

type Source = ManifestCache extends Map<string, { readonly from: infer From }> ? From : never;

/** Fewer than this are read faster than they are remembered. */
const fewestRemembered = 64;
/** When this share of all was read anew, the others do not wait to be remembered with it. */
const freshShare = 1 / 1024;
const atOnce = 256;

/** The manifests of a listing, with what is known of them. */
export async function recognize(repository: Repository, listing: Listing): Promise<readonly Candidate[]> {
  const { manifests: cache, memory, signing } = repository;
  const candidates = listing.manifests.map(({ parsed, stored }): Candidate => {
    const signature = wantsSigned(signing) ? (listing.objects.get(signatureKey(stored.key)) ?? null) : null;
    const found = cache.get(stored.key);
    const isKnown =
      found !== undefined &&
      found.stored !== null &&
      isSame(found.stored, stored) &&
      isSame(found.signature, signature);
    return { parsed, stored, signature, known: isKnown ? found : null };
  });
  const unknown = candidates.filter(({ known }) => known === null).length;
  if (memory === null || unknown < fewestRemembered) return candidates;
  const recollection = await memory.recall();
  const all: Candidate[] = [];
  for (const candidate of candidates) {
    const read = candidate.known === null ? recollection.find(candidate) : null;
    all.push(read === null ? candidate : { ...candidate, known: { read, from: 'memory' } });
    if (all.length % atOnce === 0) await nextTurn();
  }
  return all;
}

/** Where what has just been read of a listed manifest is from. */
export function sourceOf(candidate: Candidate): Source {
  return candidate.known?.from ?? (isRecognizable(candidate) ? 'store' : 'unproven');
}

/** Remembers for later commands what is known after all of `candidates` were read, when there is enough new in it. */
export async function remember(repository: Repository, candidates: readonly Candidate[]): Promise<void> {
  const { manifests: cache, memory } = repository;
  if (memory === null || candidates.length < fewestRemembered) return;
  let fresh = 0;
  const known = candidates.flatMap((candidate) => {
    const { parsed, stored, signature } = candidate;
    const found = cache.get(stored.key);
    if (found === undefined || found.from === 'unproven' || !isRecognizable(candidate)) return [];
    if (candidate.known === null) fresh += 1;
    return [{ parsed, stored, signature, read: found.read }];
  });
  if (fresh > 0 && fresh >= known.length * freshShare) await memory.keep(known);
}

/**
 * Whether the manifest of a snapshot is in the store as it is known, and counts: read now, where it was only remembered, or is known
 * no more. When it is not, nothing is remembered any more; when the store does not give it, nothing of it is.
 */
export async function isAsKnown(
  repository: Repository,
  { manifest, signal }: { readonly manifest: Manifest; readonly signal: AbortSignal },
): Promise<boolean> {
  const { manifests: cache, memory, prefix } = repository;
  const key = manifestKey(prefix, manifest);
  const found = cache.get(key);
  if (memory === null || (found !== undefined && found.from !== 'memory')) return true;
  const read = await readNow(repository, { key, signal });
  if (read.kind === 'manifest' && read.objection === null && isEqual(read.manifest, manifest)) {
    if (found !== undefined) cache.set(key, { ...found, read, from: 'unproven' });
    return true;
  }
  if (read.kind === 'refused') {
    memory.doubt();
    cache.delete(key);
    return false;
  }
  await memory.forget();
  cache.clear();
  return false;
}

async function readNow(
  repository: Repository,
  { key, signal }: { readonly key: ObjectKey; readonly signal: AbortSignal },
): Promise<Reading> {
  const { prefix, store } = repository;
  const parsed = parseKey(key, { prefix });
  try {
    const stored = await store.head(key, { signal });
    if (stored === null || parsed === undefined) return { kind: 'gone' };
    const signature = wantsSigned(repository.signing) ? await store.head(signatureKey(key), { signal }) : null;
    return await readManifest(repository, { parsed, stored, signature, signal });
  } catch (error) {
    signal.throwIfAborted();
    return { kind: 'refused', reason: describeError(error) };
  }
}

function isEqual(a: Manifest, b: Manifest): boolean {
  return encodeManifest(a).equals(encodeManifest(b));
}

function isSame(known: StoredObject | null, listed: StoredObject | null): boolean {
  if (known === null || listed === null) return known === listed;
  const { bytes, etag, modifiedAt, fileMark } = known;
  const isAsOld = modifiedAt.getTime() === listed.modifiedAt.getTime();
  return bytes === listed.bytes && etag === listed.etag && isAsOld && fileMark === listed.fileMark;
}
