// A coarser tier's backup as a copy of a finer one: each destination copies inside itself; one that lacks the source gets the
// snapshot from the other afterwards.

import { copyWithin } from '../snapshots/copying.ts';
import type { BackupResult } from '../backup/backup.ts';
import type { DestinationOutcome } from '../snapshots/destination.ts';
import { compareFingerprints, fingerprintSecrets } from '../mastodon/secret-fingerprints.ts';
import { dumpOf, snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { createSnapshotId } from '../snapshots/object-keys.ts';
import type { Repository } from '../snapshots/repository.ts';
import { chooseSource } from '../schedule/reuse.ts';
import type { Tier } from '../schedule/tier.ts';
import type { AppContext } from './context.ts';
import { snapshotsOfAll, type Holding } from './holdings.ts';
import { mayBeCopied } from './provenance.ts';

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
  const { log, now, toolVersion } = context;
  const { verify, stallTimeoutMs } = context.load().settings;
  const found = await findSource(context, options);
  if (found === null) return null;
  const { source, places } = found;
  const secrets = compareFingerprints(source, context.environment);
  if (secrets !== null && [...secrets.changed, ...secrets.missing, ...secrets.added].length > 0) {
    log.info({ source: source.id }, "Mastodon's secrets have changed since the last dump; dumping instead of copying");
    return null;
  }
  const id = createSnapshotId(now());
  const fingerprints = fingerprintSecrets(context.environment, { snapshotId: id });
  const { tier, slot, signal } = options;
  const copying = { id, tier, slot, verify, stallTimeoutMs, toolVersion, fingerprints, now, log, signal };
  const outcomes: DestinationOutcome[] = [];
  for (const { repository, own } of places) outcomes.push(await copyWithin(repository, { ...copying, source: own }));
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
    aheadMs: null,
    objectBytes: dumpOf(source).bytes,
    warnings: [],
    leftOut: (await context.state().readAttempts()).leftOut,
    outcomes,
    copiedFrom: snapshotName(source),
  };
}

interface Source {
  readonly source: Manifest;
  /** Where it lies, and what its manifest says there. */
  readonly places: readonly { readonly repository: Repository; readonly own: Manifest }[];
}

// The newest of which a copy may be made; what only looks like one hides none that is.
async function findSource(
  context: AppContext,
  options: Pick<Parameters<typeof copyForTier>[1], 'tier' | 'holdings' | 'signal'>,
): Promise<Source | null> {
  const { settings } = context.load();
  const { madeHere } = await context.state().readAttempts();
  let candidates = snapshotsOfAll(options.holdings);
  for (;;) {
    const wanted = chooseSource(candidates, {
      tier: options.tier,
      now: context.now(),
      reuseWithinMs: settings.reuseWithinMs,
      encrypted: settings.keys.kind !== 'plain',
    });
    if (wanted === undefined) return null;
    const places: Source['places'][number][] = [];
    for (const { repository, snapshots } of options.holdings) {
      const own = snapshots.find((one) => one.id === wanted.id && one.tier === wanted.tier);
      if (own === undefined) continue;
      if (await mayBeCopied(context, { manifest: own, repository, madeHere, signal: options.signal }))
        places.push({ repository, own });
    }
    const [first] = places;
    if (first !== undefined) return { source: first.own, places };
    candidates = candidates.filter((one) => one !== wanted);
  }
}
