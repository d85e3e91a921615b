// A snapshot made from another one instead of from the database: within a store for a coarser tier, or from one store to the
// other that missed it. Like any backup it counts only after it was verified and its manifest written.

import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, toAppError } from '../errors.ts';
import { dumpOf, snapshotName, type DumpPart, type Manifest, type VerificationMethod } from '../snapshots/manifest.ts';
import { partKey, partSuffix } from '../snapshots/object-keys.ts';
import { readStored, type ReadOptions } from '../snapshots/part-reader.ts';
import { partBytesFor } from '../snapshots/part-size.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { Folder } from '../schedule/tier.ts';
import { createMeter } from '../stream/meter.ts';
import { commit, createDestination, type Destination, type DestinationOutcome } from './destination.ts';
import { copySecrets } from './secrets-object.ts';
import { verifyByEtag, verifyFully, type Unverified } from '../snapshots/verification.ts';

/** What copies of both kinds need. */
export interface CopyOptions extends Omit<ReadOptions, 'onProgress'> {
  readonly source: Manifest;
  readonly verify: 'auto' | 'full' | 'etag';
  readonly now: () => Date;
}

/** Copies a snapshot inside its store as one of `tier` that answers `slot`. Rejects only with the reason of `signal`. */
export async function copyWithin(
  repository: Repository,
  options: CopyOptions & {
    readonly id: string;
    readonly tier: Folder;
    readonly slot: Date;
    readonly toolVersion: string;
    /** Fingerprints under the new id of the secrets that the source was made with. */
    readonly fingerprints: Readonly<Record<string, string>>;
  },
): Promise<DestinationOutcome> {
  const { source, tier, id, log, signal } = options;
  const { store, prefix } = repository;
  const dump = dumpOf(source);
  const destination = destinationFor(repository, { ...options, name: nameUnder(id, { part: dump, of: source }) });
  return asOutcome(destination, signal, async () => {
    const from = partKey(prefix, { tier: source.tier, name: dump.name });
    log.info({ from, to: destination.key, store: store.description }, 'Copying inside the store');
    const { etag } = await store.copy(from, { to: destination.key, source: dump, signal });
    const sameParts = etag === dump.etag;
    const copied = { ...dump, name: destination.name, etag, partBytes: sameParts ? dump.partBytes : null };
    const stored = { ...source, id, tier, parts: [copied] };
    const method = await verifyCopy(destination, { ...options, manifest: stored, etag: sameParts ? etag : null });
    const beside = await copySecrets(source, { from: repository, to: repository, place: { tier, id }, log, signal });
    const manifest: Omit<Manifest, 'committedAt' | 'verified'> = {
      ...stored,
      label: null,
      slot: options.slot,
      tool: { version: options.toolVersion },
      parts: [copied, ...(beside === null ? [] : [beside])],
      secrets: beside === null ? null : { fingerprints: options.fingerprints },
      copiedFrom: snapshotName(source),
    };
    return commit(destination, { ...options, manifest, method });
  });
}

/** Copies a snapshot with its id from one store to another. Rejects only with the reason of `signal`. */
export async function copyAcross(
  { from, to }: { readonly from: Repository; readonly to: Repository },
  options: CopyOptions,
): Promise<DestinationOutcome> {
  const { source, log, signal } = options;
  const { tier, id, committedAt } = source;
  const dump = dumpOf(source);
  const destination = destinationFor(to, { ...options, tier, name: dump.name });
  return asOutcome(destination, signal, async () => {
    const key = partKey(from.prefix, { tier, name: dump.name });
    log.info(
      { key, from: from.store.description, to: to.store.description },
      'Copying a snapshot that this store missed',
    );
    const body = readStored({ repository: from, manifest: source, part: dump }, options);
    const meter = createMeter({ observe: (chunk) => destination.etagMeter?.push(chunk) });
    const upload = new PassThrough({ highWaterMark: 1024 * 1024 });
    const [receipt] = await Promise.all([
      to.store.put(destination.key, upload, { signal, partBytes: destination.partBytes }),
      pipeline([body, meter.stream, upload], { signal }),
    ]);
    const partBytes = to.store.hasParts ? destination.partBytes : null;
    const stored = { ...source, parts: [{ ...dump, partBytes, etag: receipt.etag }] };
    const etag = destination.etagMeter?.etag() ?? null;
    const method = await verifyCopy(destination, { ...options, manifest: stored, etag });
    const beside = await copySecrets(source, { from, to, place: { tier, id }, log, signal });
    const manifest: Omit<Manifest, 'committedAt' | 'verified'> = {
      ...source,
      parts: [...stored.parts, ...(beside === null ? [] : [beside])],
      secrets: beside === null ? null : source.secrets,
    };
    // The same snapshot: it answers no slot here that it does not answer there.
    return commit(destination, { ...options, manifest, method, committedAt });
  });
}

function destinationFor(
  repository: Repository,
  options: CopyOptions & { readonly tier: Folder; readonly name: string },
): Destination {
  const { bytes, partBytes } = dumpOf(options.source);
  return createDestination(repository, { ...options, partBytes: partBytes ?? partBytesFor(bytes) });
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
    const message = `A snapshot could not be copied in ${destination.repository.store.description}`;
    return { kind: 'failed', destination, error: toAppError(error, { code: 'store', message }) };
  }
}

// The source was decoded to its end when it was made; equal bytes need no second decoding.
async function verifyCopy(
  { repository, method }: Destination,
  { manifest, etag, ...options }: CopyOptions & Pick<Unverified, 'manifest'> & { readonly etag: string | null },
): Promise<VerificationMethod> {
  const stored = { repository, manifest };
  if (method === 'etag') return verifyByEtag(stored, { ...options, etag });
  await verifyFully(stored, { ...options, identities: 'missing', threads: 1 });
  return 'full';
}

function nameUnder(id: string, { part, of }: { readonly part: DumpPart; readonly of: Manifest }): string {
  const suffix = partSuffix(part, of.id);
  if (suffix === undefined)
    throw new AppError('verify', `${snapshotName(of)} names '${part.name}', which is not its own`);
  return `${id}${suffix}`;
}
