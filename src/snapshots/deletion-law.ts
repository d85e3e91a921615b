// The deletion law: the only module that removes anything. What it may remove (snapshots that retention gives up and nobody has
// pinned, what interrupted runs left, and a pin, a probe or a false signature by its name) is named here and nowhere else; for
// everything it is not sure about it does nothing. A backup tool that deletes by mistake is worse than none.

import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Catalogue } from './catalogue.ts';
import { readAll } from './document-reading.ts';
import type { Pinned } from './listing.ts';
import { describeLock, lockedUntil } from './lock-check.ts';
import { decodeManifest, encodeManifest, type Manifest } from './manifest.ts';
import { isDrillName, manifestKey, parseKey, partKey, pinKey } from './object-keys.ts';
import { maxSignatureBytes, readSignature, signatureKey } from './origin.ts';
import { belongsToPlace } from './place-script.ts';
import { removal, type Repository } from './repository.ts';
import { readSigner } from './sshsig.ts';
import { folders } from '../schedule/tier.ts';
import type { BucketRule, ObjectKey } from '../storage/store.ts';

/** What the ids of our bucket rules begin with; rules with other ids are never changed. */
export const ruleIdPrefix = 'mastodon-backup-';

const dayMs = 86_400_000;
/** Clocks further apart than this make every age a guess. */
export const maxClockSkewMs = 5 * 60_000;
const probeName = /^probe-[0-9a-f]{16}\.txt$/;

/** What a sweep removed. */
export interface SweepResult {
  readonly objects: readonly ObjectKey[];
  readonly uploads: readonly ObjectKey[];
}

/**
 * Removes what interrupted runs left behind: objects of our grammar whose manifest the store says does not exist, and
 * unfinished uploads of our names; both only when older than a day and than twice `timeoutMs`. Call it holding the lock.
 */
export async function sweep(
  { [removal]: store, prefix }: Repository,
  options: {
    /** What the repository holds, read while the lock was held. */
    readonly catalogue: Pick<Catalogue, 'orphans'>;
    readonly now: Date;
    /** BACKUP_TIMEOUT in milliseconds: the longest a run of another container may take. */
    readonly timeoutMs: number;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<SweepResult> {
  const { log, signal } = options;
  const storeNow = (await store.now({ signal })) ?? options.now;
  if (Math.abs(storeNow.getTime() - options.now.getTime()) > maxClockSkewMs) {
    log.warn({ ours: options.now, theirs: storeNow, store: store.description }, 'The clocks differ; nothing is swept');
    return { objects: [], uploads: [] };
  }
  const cutoff = storeNow.getTime() - Math.max(dayMs, 2 * options.timeoutMs);
  const isOld = (...times: readonly Date[]): boolean => times.every((time) => time.getTime() < cutoff);

  // One that cannot be asked for, or not removed, keeps none of the others.
  const inItself = async (key: ObjectKey, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ err: error, key, store: store.description }, 'What an interrupted run left behind is still there');
    }
  };
  const objects: ObjectKey[] = [];
  for (const { key, folder, id, modifiedAt, startedAt } of options.catalogue.orphans) {
    if (!isOld(modifiedAt, startedAt)) continue;
    await inItself(key, async () => {
      // Asked for itself: a listing may be stale, and only "not found" is a reason to remove.
      if ((await store.head(manifestKey(prefix, { tier: folder, id }), { signal })) !== null) return;
      log.info({ key, store: store.description }, 'Removing what an interrupted run left behind');
      await store.remove(key, { signal });
      objects.push(key);
    });
  }
  const uploads: ObjectKey[] = [];
  // In a bucket what is small is stored by one request; in a directory everything has a temporary file first.
  const below = store.hasParts ? folders.map((folder) => `${prefix}${folder}/`) : [prefix];
  for (const start of below) {
    for await (const upload of store.listUnfinished(start, { signal })) {
      const parsed = parseKey(upload.key, { prefix });
      if (parsed === undefined && !standsBeside(upload.key, { prefix })) continue;
      if (!isOld(upload.startedAt, parsed?.startedAt ?? upload.startedAt)) continue;
      log.info({ key: upload.key, store: store.description }, 'Aborting an unfinished upload of an interrupted run');
      await inItself(upload.key, async () => {
        await store.discard(upload, { signal });
        uploads.push(upload.key);
      });
    }
  }
  return { objects, uploads };
}

// What is ours and belongs to no snapshot: the place's own files, records of drills, probes.
function standsBeside(key: ObjectKey, { prefix }: { readonly prefix: string }): boolean {
  const name = key.slice(prefix.length);
  return belongsToPlace(name) || isDrillName(name) || probeName.test(name);
}

/** The key of a probe object, with which `doctor` finds out whether it may write. */
export function probeKey({ prefix, random }: { readonly prefix: string; readonly random: string }): ObjectKey {
  return `${prefix}probe-${random}.txt` as ObjectKey;
}

/** Removes a probe object, and nothing that is not named like one. */
export async function removeProbe(
  { [removal]: store, prefix }: Repository,
  { key, signal }: { readonly key: ObjectKey; readonly signal: AbortSignal },
): Promise<void> {
  if (!key.startsWith(prefix) || !probeName.test(key.slice(prefix.length)))
    throw new Error(`'${key}' is no probe object`);
  await store.remove(key, { signal });
}

/**
 * Removes a snapshot that retention has given up, nobody has pinned and no lock holds: the manifest first, then its parts and its signature, so that a crash between
 * them leaves no manifest without an object. The manifest is read once more: it must still be the one that was judged. Its parts are
 * named by its own id, or it could not be read.
 */
export async function removeSnapshot(
  { [removal]: store, prefix }: Repository,
  options: {
    readonly manifest: Manifest;
    readonly instance: string;
    readonly now: Date;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { manifest, signal } = options;
  const key = manifestKey(prefix, manifest);
  const decoded = decodeManifest(await readAll(await store.get(key, { signal })));
  if (decoded.kind === 'unreadable')
    throw new Error(`'${key}' in ${store.description} can no longer be read: ${decoded.reason}`);
  const isSame =
    decoded.manifest.instance === options.instance && encodeManifest(decoded.manifest).equals(encodeManifest(manifest));
  if (!isSame) throw new Error(`'${key}' in ${store.description} is no longer the manifest that was judged`);
  // Asked for at the last moment: it may have been pinned since the catalogue was read.
  if ((await store.head(pinKey(prefix, manifest), { signal })) !== null)
    throw new Error(`'${key}' in ${store.description} has been pinned`);
  const until = await lockedUntil({ store, prefix }, { ...options, manifest: decoded.manifest });
  if (until !== null)
    throw new AppError('store', `'${key}' in ${store.description} is locked ${describeLock(until)}`, {
      reason: 'locked',
      hint: 'Wait until the lock is off: retention removes it then.',
    });
  options.log.info({ key, store: store.description }, 'Removing a snapshot that retention does not keep');
  await store.remove(key, { signal });
  for (const { name } of decoded.manifest.parts)
    await store.remove(partKey(prefix, { tier: manifest.tier, name }), { signal });
  const signature = signatureKey(key);
  if ((await store.head(signature, { signal })) !== null) await store.remove(signature, { signal });
}

/** Removes the pin of a snapshot, and nothing else; the snapshot itself is retention's again. */
export async function removePin(
  { [removal]: store, prefix }: Repository,
  options: {
    readonly snapshot: Pinned;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { snapshot, signal } = options;
  const key = pinKey(prefix, snapshot);
  if (parseKey(key, { prefix })?.part !== 'pin') throw new Error(`'${key}' is no pin`);
  options.log.info({ key, store: store.description }, 'Removing a pin');
  await store.remove(key, { signal });
}

/**
 * Removes what stands in the place of a manifest's signature and is nobody's signature of it, so that a person who adopts the
 * snapshot can have it signed. One that somebody made, whoever it is, stays.
 */
export async function removeFalseSignature(
  repository: Repository,
  options: {
    /** The key of the manifest. */
    readonly key: ObjectKey;
    /** What the manifest is. */
    readonly content: Uint8Array;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { [removal]: store } = repository;
  const { key, content, signal } = options;
  const found = await store.head(signatureKey(key), { signal });
  if (found === null) return;
  const isReadable = found.bytes <= maxSignatureBytes;
  const signature = isReadable ? (await readSignature(repository, { key, signal })).toString('latin1') : '';
  if (readSigner(content, signature) !== null)
    throw new Error(`'${signatureKey(key)}' in ${store.description} is somebody's signature`);
  options.log.info({ key: signatureKey(key), store: store.description }, 'Removing what is no signature');
  await store.remove(signatureKey(key), { signal });
}

/**
 * Takes back a manifest that was written a moment ago and is not there as it was written: it would stand beside the good ones as one
 * that nobody can read, or count. Its parts are the sweep's. Never rejects but with the reason of `signal`: the run fails as it is.
 */
export async function takeBackManifest(
  { [removal]: store }: Repository,
  {
    key,
    written,
    log,
    signal,
  }: { readonly key: ObjectKey; readonly written: Buffer; readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  try {
    const stored = await readAll(await store.get(key, { signal }));
    if (stored.equals(written)) return;
    log.warn({ key, store: store.description }, 'Removing a manifest that is not what was written');
    await store.remove(key, { signal });
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ err: error, key, store: store.description }, 'A manifest that is not what was written is still there');
  }
}

/** Puts our rules into the bucket, in the place of our earlier ones; rules of others are not changed. */
export async function applyBucketRules(
  { [removal]: store }: Repository,
  { rules, signal }: { readonly rules: readonly BucketRule[]; readonly signal: AbortSignal },
): Promise<void> {
  await store.replaceLifecycleRules(rules, { idPrefix: ruleIdPrefix, signal });
}
