// A snapshot made from another one instead of from the database: within a store for a coarser tier, or from one store to the
// other that missed it. Like any backup it counts only after it was verified and its manifest written.

import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Manifest, SecretsEntry, VerificationMethod } from '../snapshots/manifest.ts';
import { buildKey, parseKey } from '../snapshots/object-keys.ts';
import { partBytesFor } from '../snapshots/part-size.ts';
import type { Folder } from '../schedule/tier.ts';
import { readPatiently } from '../storage/patient-reader.ts';
import type { ObjectKey } from '../storage/store.ts';
import { createMeter } from '../stream/meter.ts';
import type { BackupStore } from './backup.ts';
import { commit, createDestination, type Destination, type DestinationOutcome } from './destination.ts';
import { copySecrets } from './secrets-object.ts';
import { verifyByEtag, verifyFully } from '../snapshots/verification.ts';

/** What copies of both kinds need. */
export interface CopyOptions {
  readonly source: Manifest;
  readonly verify: 'auto' | 'full' | 'etag';
  readonly now: () => Date;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Copies a snapshot inside its store as one of `tier` that answers `slot`. Rejects only with the reason of `signal`. */
export async function copyWithin(
  place: BackupStore,
  options: CopyOptions & {
    readonly id: string;
    readonly tier: Folder;
    readonly slot: Date;
    readonly toolVersion: string;
    /** Fingerprints under the new id of the secrets that the source was made with. */
    readonly fingerprints: SecretsEntry['fingerprints'];
  },
): Promise<DestinationOutcome> {
  const { source, tier, id, log, signal } = options;
  const { store, prefix } = place;
  const keyFor = (key: string): ObjectKey => buildKey({ prefix, folder: tier, id, suffix: suffixOf(key, prefix) });
  const destination = destinationFor(place, { ...options, key: keyFor(source.object.key) });
  return asOutcome(destination, signal, async () => {
    log.info({ from: source.object.key, to: destination.key, store: store.description }, 'Copying inside the store');
    const from = source.object.key as ObjectKey;
    const { etag } = await store.copy(from, { to: destination.key, source: source.object, signal });
    const sameParts = etag === source.object.etag;
    const partBytes = sameParts ? source.object.partBytes : null;
    const object = { ...source.object, key: destination.key, etag, partBytes };
    const method = await verifyCopy(destination, { ...options, etag: sameParts ? etag : null });
    const secrets = await copySecrets(source, {
      from: store,
      to: store,
      place: { prefix, folder: tier, id },
      log,
      signal,
    });
    const manifest: Omit<Manifest, 'committedAt' | 'verified'> = {
      ...source,
      id,
      tier,
      label: null,
      slot: options.slot.toISOString(),
      tool: { version: options.toolVersion },
      object,
      secrets: secrets === null ? null : { ...withoutForeignId(secrets), fingerprints: options.fingerprints },
      copiedFrom: `${source.tier}/${source.id}`,
    };
    return commit(destination, { ...options, manifest, method });
  });
}

/** Copies a snapshot with its id from one store to another. Rejects only with the reason of `signal`. */
export async function copyAcross(
  { from, to }: { readonly from: BackupStore; readonly to: BackupStore },
  options: CopyOptions,
): Promise<DestinationOutcome> {
  const { source, log, signal } = options;
  const keyFor = (key: string): ObjectKey =>
    buildKey({ prefix: to.prefix, folder: source.tier, id: source.id, suffix: suffixOf(key, from.prefix) });
  const destination = destinationFor(to, { ...options, key: keyFor(source.object.key) });
  return asOutcome(destination, signal, async () => {
    log.info(
      { key: source.object.key, from: from.store.description, to: to.store.description },
      'Copying a snapshot that this store missed',
    );
    const { bytes, sha256 } = source.object;
    const body = readPatiently(from.store, { key: source.object.key as ObjectKey, bytes, sha256, log, signal });
    const meter = createMeter({ observe: (chunk) => destination.etagMeter?.push(chunk) });
    const upload = new PassThrough({ highWaterMark: 1024 * 1024 });
    const [receipt] = await Promise.all([
      to.store.put(destination.key, upload, { signal, partBytes: destination.partBytes }),
      pipeline([body, meter.stream, upload], { signal }),
    ]);
    const method = await verifyCopy(destination, { ...options, etag: destination.etagMeter?.etag() ?? null });
    const place = { prefix: to.prefix, folder: source.tier, id: source.id };
    const secrets = await copySecrets(source, { from: from.store, to: to.store, place, log, signal });
    const manifest: Omit<Manifest, 'committedAt' | 'verified'> = {
      ...source,
      object: {
        ...source.object,
        key: destination.key,
        partBytes: to.store.hasParts ? destination.partBytes : null,
        etag: receipt.etag,
      },
      secrets,
    };
    return commit(destination, { ...options, manifest, method });
  });
}

function destinationFor(
  { store, prefix }: BackupStore,
  options: CopyOptions & { readonly key: ObjectKey },
): Destination {
  const { bytes, partBytes } = options.source.object;
  return createDestination(store, {
    prefix,
    key: options.key,
    partBytes: partBytes ?? partBytesFor(bytes),
    verify: options.verify,
  });
}

async function asOutcome(
  destination: Destination,
  signal: AbortSignal,
  work: () => Promise<Manifest>,
): Promise<DestinationOutcome> {
  try {
    return { kind: 'stored', destination, manifest: await work() };
  } catch (error) {
    signal.throwIfAborted();
    const message = `A snapshot could not be copied in ${destination.store.description}`;
    return { kind: 'failed', destination, error: toAppError(error, { code: 'store', message }) };
  }
}

// The source was decoded to its end when it was made; equal bytes need no second decoding.
async function verifyCopy(
  { store, key, method }: Destination,
  { source, etag, signal, log }: CopyOptions & { readonly etag: string | null },
): Promise<VerificationMethod> {
  const expected = { ...source.object, key, dump: source.dump, rows: source.database.rows };
  if (method === 'etag') return verifyByEtag(store, { expected, etag, signal });
  await verifyFully(store, { expected, identities: 'missing', threads: 1, signal, log });
  return 'full';
}

function withoutForeignId({ under: _under, ...secrets }: SecretsEntry): SecretsEntry {
  return secrets;
}

function suffixOf(key: string, prefix: string): string {
  const parsed = parseKey(key, { prefix });
  if (parsed === undefined) throw new AppError('verify', `A manifest names '${key}', which is no key of a snapshot`);
  return parsed.suffix;
}
