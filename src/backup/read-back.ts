// What was stored at a destination is asked for again before a manifest says that it is a backup: read back and decoded to its end, or
// compared by its ETag where reading costs. A store that took every byte may have kept others.

import type { Log } from '../log.ts';
import type { Destination } from '../snapshots/destination.ts';
import { dumpOf } from '../snapshots/manifest.ts';
import { verifyByEtag, verifyFully } from '../snapshots/verification.ts';
import type { ReadPatience } from '../storage/patient-reader.ts';
import type { ProgressListener } from './progress.ts';
import type { SnapshotBase } from './snapshot-base.ts';

/** Verifies what a destination holds now, and says how. Throws AppError `verify` when it is not what was sent. */
export async function readBack(
  destination: Destination,
  options: {
    readonly base: SnapshotBase;
    readonly identities: readonly string[] | null;
    readonly threads: number;
    /** How often a broken download is taken up again; left out: as usual. */
    readonly readPatience?: ReadPatience | undefined;
    readonly log: Log;
    readonly signal: AbortSignal;
    readonly onProgress: ProgressListener;
  },
): Promise<'full' | 'etag' | 'size'> {
  const { base, identities, threads, readPatience, log, signal, onProgress } = options;
  const { repository, key } = destination;
  const { bytes } = dumpOf(base);
  const stored = { repository, manifest: base };
  if (destination.etagMeter !== null) return verifyByEtag(stored, { etag: destination.etagMeter.etag(), signal });
  log.info({ key, store: repository.store.description, bytes }, 'Reading back');
  await verifyFully(stored, {
    threads,
    identities,
    signal,
    log,
    patience: readPatience,
    onProgress: (read) => onProgress({ step: 'verify', bytes: read, expectedBytes: bytes }),
  });
  return 'full';
}
