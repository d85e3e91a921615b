// What one destination missed is copied to it from the other, not dumped again: the newest snapshot of each tier, when the
// destination's own newest is older.

import { copyAcross } from '../snapshots/copying.ts';
import { wantsEncrypted } from '../config/age-keys.ts';
import { objectToPlaintext } from '../snapshots/choice.ts';
import { AppError } from '../errors.ts';
import { whyUnlisted } from '../snapshots/catalogue.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import { folders } from '../schedule/tier.ts';
import { takeLock } from '../state/lock.ts';
import { assertSigning } from '../snapshots/origin.ts';
import type { AppContext } from './context.ts';
import { readHoldings, type Holding } from './holdings.ts';

/** A snapshot that a destination lacks. */
export interface MissingCopy {
  readonly source: Manifest;
  readonly from: Holding;
  readonly to: Holding;
}

/**
 * Which copies are missing; destinations that cannot be read are left out, and so is what is in the clear where only what is
 * encrypted is taken for a backup.
 */
function findMissing(
  holdings: readonly Holding[],
  { encryptedOnly }: { readonly encryptedOnly: boolean },
): readonly MissingCopy[] {
  const readable = holdings
    .filter(({ catalogue }) => catalogue !== null)
    .map((holding) => ({
      ...holding,
      snapshots: holding.snapshots.filter((one) => !encryptedOnly || objectToPlaintext(one) === null),
    }));
  return readable.flatMap((to) =>
    folders.flatMap((tier): readonly MissingCopy[] => {
      // What cannot be seen may be there.
      if (to.catalogue !== null && whyUnlisted(to.catalogue, tier) !== null) return [];
      const own = to.snapshots.find((snapshot) => snapshot.tier === tier);
      const better = readable.flatMap((from) => {
        const source = from.snapshots.find((snapshot) => snapshot.tier === tier);
        const newer = source !== undefined && (own === undefined || source.dataAt > own.dataAt);
        return newer && from !== to ? [{ source, from, to }] : [];
      });
      return better.slice(0, 1);
    }),
  );
}

/** Copies what is missing, one at a time. Answers whether anything was copied; leaves it for later when a run is on. */
export async function mend(context: AppContext, signal: AbortSignal): Promise<boolean> {
  const { settings } = context.load();
  if ((await context.stores()).length < 2) return false;
  assertSigning(settings.signing);
  let copied = false;
  const missing = findMissing(await readHoldings(context, signal), {
    encryptedOnly: wantsEncrypted(settings.keys),
  });
  if (missing.length === 0) return false;
  try {
    await using _lock = await takeLock({
      directory: settings.stateDirectory,
      name: 'run',
      holder: { command: 'copy', processId: context.processId, since: context.now().toISOString() },
      wait: false,
      signal,
      log: context.log,
    });
    for (const { source, from, to } of missing) {
      const { verify } = settings;
      const { now, log } = context;
      const outcome = await copyAcross(
        { from: from.repository, to: to.repository },
        { source, verify, now, log, signal },
      );
      const place = to.repository.store.description;
      if (outcome.kind === 'failed') {
        log.warn({ err: outcome.error, place }, 'A snapshot that this destination missed could not be copied to it');
        continue;
      }
      copied = true;
      await context.state().updateAttempts(({ destinationFailures }) => ({
        destinationFailures: destinationFailures.filter((failure) => failure.place !== place),
      }));
    }
  } catch (error) {
    if (error instanceof AppError && error.code === 'locked') return false;
    throw error;
  }
  if (copied) await readHoldings(context, signal);
  return copied;
}
