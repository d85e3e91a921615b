// A coarser tier's backup as a copy of a finer one: each destination copies inside itself; one that lacks the source gets the
// snapshot from the other afterwards.

import { copyWithin } from '../snapshots/copying.ts';
import type { BackupResult } from '../backup/backup.ts';
import type { DestinationOutcome } from '../snapshots/destination.ts';
import { compareFingerprints, fingerprintSecrets } from '../mastodon/secret-fingerprints.ts';
import { dumpOf, snapshotName } from '../snapshots/manifest.ts';
import { createSnapshotId } from '../snapshots/object-keys.ts';
import { chooseSource } from '../schedule/reuse.ts';
import type { Tier } from '../schedule/tier.ts';
import type { AppContext } from './context.ts';
import { snapshotsOfAll, type Holding } from './holdings.ts';

/** Copies a snapshot that is young enough; null when there is none, or when no destination could: then a dump is due. */
export async function copyForTier(
  context: AppContext,
  options: {
    readonly tier: Tier;
    readonly slot: Date;
    readonly holdings: readonly Holding[];
    readonly signal: AbortSignal;
  },
): Promise<(BackupResult & { readonly copiedFrom: string }) | null> {
  const { log, now } = context;
  const { settings } = context.load();
  const source = chooseSource(snapshotsOfAll(options.holdings), {
    tier: options.tier,
    now: now(),
    reuseWithinMs: settings.reuseWithinMs,
    encrypted: settings.keys.kind !== 'plain',
  });
  if (source === undefined) return null;
  const secrets = compareFingerprints(source, context.environment);
  if (secrets !== null && [...secrets.changed, ...secrets.missing, ...secrets.added].length > 0) {
    log.info({ source: source.id }, "Mastodon's secrets have changed since the last dump; dumping instead of copying");
    return null;
  }
  const id = createSnapshotId(now());
  const fingerprints = fingerprintSecrets(context.environment, { snapshotId: id });
  const outcomes: DestinationOutcome[] = [];
  for (const { repository, snapshots } of options.holdings) {
    const own = snapshots.find((one) => one.id === source.id && one.tier === source.tier);
    if (own === undefined) continue;
    const { tier, slot, signal } = options;
    const { verify } = settings;
    const { toolVersion } = context;
    outcomes.push(
      await copyWithin(repository, {
        source: own,
        id,
        tier,
        slot,
        verify,
        toolVersion,
        fingerprints,
        now,
        log,
        signal,
      }),
    );
  }
  if (!outcomes.some(({ kind }) => kind === 'stored')) {
    for (const outcome of outcomes)
      if (outcome.kind === 'failed')
        log.warn({ err: outcome.error }, 'The snapshot could not be copied; dumping instead');
    return null;
  }
  return {
    id,
    tier: options.tier,
    dataAt: source.dataAt,
    dumpBytes: dumpOf(source).content.bytes,
    objectBytes: dumpOf(source).bytes,
    warnings: [],
    outcomes,
    copiedFrom: snapshotName(source),
  };
}
