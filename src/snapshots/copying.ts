// A snapshot made from another one instead of from the database: within a store for a coarser tier, or from one store to the
// other that missed it. Like any backup it counts only after it was verified and its manifest written.

import { AppError, toAppError } from '../errors.ts';
import type { Folder } from '../schedule/tier.ts';
import { commit, createDestination, type Destination, type DestinationOutcome } from './destination.ts';
import { isAsKnown } from './known-manifests.ts';
import { dumpOf, snapshotName, type Manifest, type Part } from './manifest.ts';
import { nameUnder } from './object-keys.ts';
import { hashStored, keyOf, type ReadOptions } from './part-reader.ts';
import { partBytesAgain } from './part-size.ts';
import { copyPart, type CopyTarget } from './parts.ts';
import type { Repository } from './repository.ts';
import { verifyByEtag, verifyFully } from './verification.ts';

/** What copies of both kinds need. */
export interface CopyOptions extends Omit<ReadOptions, 'onProgress'> {
  readonly source: Manifest;
  readonly verify: 'full' | 'etag';
  /** How long the store that is copied to may stand still, in milliseconds. */
  readonly stallTimeoutMs: number;
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
  const { source, id, tier, slot, toolVersion, fingerprints } = options;
  return copy({ from: repository, to: { repository, tier, id } }, options, {
    label: null,
    slot,
    tool: { version: toolVersion },
    secrets: source.secrets === null ? null : { fingerprints },
    copiedFrom: snapshotName(source),
  });
}

/** Copies a snapshot with its id from one store to another. Rejects only with the reason of `signal`. */
export async function copyAcross(
  { from, to }: { readonly from: Repository; readonly to: Repository },
  options: CopyOptions,
): Promise<DestinationOutcome> {
  const { tier, id, committedAt } = options.source;
  // The same snapshot: it answers no slot here that it does not answer there.
  return copy({ from, to: { repository: to, tier, id } }, options, { committedAt });
}

async function copy(
  way: { readonly from: Repository; readonly to: CopyTarget },
  options: CopyOptions,
  changes: Partial<Manifest>,
): Promise<DestinationOutcome> {
  const { source, signal, verify } = options;
  const { repository, id, tier } = way.to;
  const dump = dumpOf(source);
  const partBytes = partBytesAgain(dump, repository.store);
  const destination = createDestination(repository, {
    tier,
    name: nameUnder(id, { part: dump, of: source }),
    partBytes,
    verify,
  });
  options.log.info(
    { snapshot: snapshotName(source), from: way.from.store.description, to: destination.key },
    way.from === repository ? 'Copying inside the store' : 'Copying a snapshot that this store missed',
  );
  try {
    if (!(await isAsKnown(way.from, { manifest: source, signal })))
      throw new AppError(
        'store',
        `'${snapshotName(source)}' in ${way.from.store.description} is not what was known of it`,
        {
          hint: 'Run it again: it is read anew then.',
        },
      );
    const { parts, method } = await copyParts(way, { ...options, destination });
    const hasSecrets = parts.some(({ kind }) => kind === 'secrets');
    const { committedAt: _committedAt, verified: _verified, ...same } = source;
    const manifest = { ...same, ...changes, id, tier, parts };
    return {
      kind: 'stored',
      destination,
      manifest: await commit(destination, {
        ...options,
        ...(changes.committedAt === undefined ? {} : { committedAt: changes.committedAt }),
        manifest: hasSecrets ? manifest : { ...manifest, secrets: null },
        method,
      }),
    };
  } catch (error) {
    signal.throwIfAborted();
    const message = `A snapshot could not be copied in ${repository.store.description}`;
    const hint = 'Look what the destination says, with: mastodon-backup doctor.';
    return { kind: 'failed', destination, error: toAppError(error, { code: 'store', message, hint }) };
  }
}

/**
 * Copies and verifies all parts of a snapshot; of those besides the dump one that is missing is left out, which goes to the
 * log. Throws AppError.
 */
export async function copyParts(
  { from, to }: { readonly from: Repository; readonly to: CopyTarget },
  options: Omit<CopyOptions, 'verify' | 'now'> & { readonly destination: Pick<Destination, 'etagMeter' | 'partBytes'> },
): Promise<{ readonly parts: readonly Part[]; readonly method: 'full' | 'etag' }> {
  const { source, destination, signal, log } = options;
  const parts: Part[] = [];
  let method: 'full' | 'etag' = 'full';
  for (const part of source.parts) {
    const stored = { repository: from, manifest: source, part };
    const isDump = part.kind === 'dump';
    if (!isDump && (await from.store.head(keyOf(stored), { signal })) === null) {
      const text = `The ${part.kind} of ${snapshotName(source)} are missing; its copy goes without them`;
      log.warn({ key: keyOf(stored), store: from.store.description }, text);
      continue;
    }
    const { etagMeter, partBytes } = destination;
    const copied = await copyPart(stored, {
      ...options,
      to,
      ...(isDump ? { partBytes, observe: (chunk: Buffer) => etagMeter?.push(chunk) } : {}),
    });
    const { repository, id, tier } = to;
    // The source was decoded to its end when it was made; equal bytes need no second decoding.
    if (!isDump) await hashStored({ repository, manifest: { id, tier, parts: [copied] }, part: copied }, options);
    else method = await verifyDump({ ...source, id, tier, parts: [copied] }, { ...options, from, to });
    parts.push(copied);
  }
  return { parts, method };
}

// By the ETag only where it is one that is known of these very bytes. A copy with another one, or with one that says nothing, is read:
// its size alone is that of whatever was put into the place of the source.
async function verifyDump(
  manifest: Manifest,
  {
    source,
    from,
    to: { repository },
    destination: { etagMeter },
    ...options
  }: Parameters<typeof copyParts>[1] & Parameters<typeof copyParts>[0],
): Promise<'full' | 'etag'> {
  if (etagMeter !== null) {
    const { etag } = dumpOf(manifest);
    // Inside a store no byte came by: the copy has the ETag of its source, or one that nobody knows.
    const expected = from === repository ? (etag === dumpOf(source).etag ? etag : null) : etagMeter.etag();
    const method = await verifyByEtag({ repository, manifest }, { ...options, etag: expected });
    if (method === 'etag') return method;
  }
  await verifyFully({ repository, manifest }, { ...options, identities: 'missing', threads: 1 });
  return 'full';
}
