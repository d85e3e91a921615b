// The commit point at one destination: what was stored is read back, what travels beside it is stored and opened, and only then is the
// manifest written that makes it a backup. What fails here is this destination's own.

import type { OneRunKey } from '../codec/age.ts';
import { toAppError } from '../errors.ts';
import { commit, type Destination, type DestinationOutcome } from '../snapshots/destination.ts';
import { dumpOf, type Manifest } from '../snapshots/manifest.ts';
import { verifyByEtag, verifyFully } from '../snapshots/verification.ts';
import type { PutReceipt } from '../storage/store.ts';
import type { BackupOptions } from './backup.ts';
import { storeEnclosure, type Enclosure } from './enclosure.ts';
import type { SnapshotBase } from './snapshot-base.ts';

/** What there is to commit. */
interface Uncommitted {
  /** How storing the dump ended there. */
  readonly put: PromiseSettledResult<PutReceipt> | undefined;
  /** Describes the snapshot by what the store says of the dump; throws when the dump itself is not whole. */
  readonly describe: (etag: string | null) => SnapshotBase;
  readonly oneRunKey: OneRunKey | null;
  /** Threads of the decoder. */
  readonly threads: number;
  readonly enclosures: readonly Enclosure[];
  readonly secrets: Manifest['secrets'];
}

/** Brings a destination to its commit point. Rejects only when the run is to end. */
export async function reachCommitPoint(
  destination: Destination,
  { options, ...made }: Uncommitted & { readonly options: BackupOptions },
): Promise<DestinationOutcome> {
  const { log, signal } = options;
  const { repository } = destination;
  try {
    if (made.put?.status === 'rejected') throw made.put.reason;
    const base = made.describe(made.put?.value.etag ?? null);
    const method = await verifyAt(destination, { ...made, base, options });
    const parts = [...base.parts];
    for (const enclosure of made.enclosures)
      parts.push(await storeEnclosure({ repository, manifest: base }, { enclosure, log, signal }));
    const manifest = { ...base, parts, secrets: made.secrets };
    return { kind: 'stored', destination, manifest: await commit(destination, { ...options, manifest, method }) };
  } catch (error) {
    signal.throwIfAborted();
    return {
      kind: 'failed',
      destination,
      error: toAppError(error, {
        code: 'store',
        message: 'Storing failed',
        hint: 'Look what the destination says, with: mastodon-backup doctor.',
      }),
    };
  }
}

async function verifyAt(
  destination: Destination,
  context: {
    readonly base: SnapshotBase;
    readonly oneRunKey: OneRunKey | null;
    readonly threads: number;
    readonly options: BackupOptions;
  },
): Promise<'full' | 'etag' | 'size'> {
  const { base, options } = context;
  const { log, signal } = options;
  const { repository, key } = destination;
  const { bytes } = dumpOf(base);
  const stored = { repository, manifest: base };
  if (destination.etagMeter !== null) {
    return verifyByEtag(stored, { etag: destination.etagMeter.etag(), signal });
  }
  log.info({ key, store: repository.store.description, bytes }, 'Reading back');
  await verifyFully(stored, {
    threads: context.threads,
    identities: context.oneRunKey === null ? null : [context.oneRunKey.identity],
    signal,
    log,
    patience: options.readPatience,
    onProgress: (read) => options.onProgress({ step: 'verify', bytes: read, expectedBytes: bytes }),
  });
  return 'full';
}
