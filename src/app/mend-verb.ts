// What one destination missed is copied to it from the other, not dumped again: the newest snapshot of each tier, when the
// destination's own newest is older.

import { copyAcross } from '../snapshots/copying.ts';
import { wantsEncrypted } from '../config/age-keys.ts';
import { objectToPlaintext } from '../snapshots/choice.ts';
import { AppError } from '../errors.ts';
import { whyUnlisted } from '../snapshots/catalogue.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import { newestFirst, withoutFuture } from '../schedule/due.ts';
import { folders } from '../schedule/tier.ts';
import { assertSigning } from '../snapshots/origin.ts';
import type { AppContext } from './context.ts';
import { lockFor } from './locking.ts';
import { readHoldings, type Holding } from './holdings.ts';
import { isKnown, mayBeCopied } from './provenance.ts';

/** What a tier of a destination lacks: what it may be copied from, the best first. */
interface Gap {
  readonly to: Holding;
  readonly sources: readonly { readonly source: Manifest; readonly from: Holding }[];
}

/**
 * Which copies are missing; destinations that cannot be read are left out, and so are what is in the clear where only what is
 * encrypted is taken for a backup, and what is from the future.
 */
function findMissing(
  holdings: readonly Holding[],
  options: { readonly encryptedOnly: boolean; readonly madeHere: readonly string[]; readonly now: Date },
): readonly Gap[] {
  const readable = holdings
    .filter(({ catalogue }) => catalogue !== null)
    .map((holding) => ({
      ...holding,
      snapshots: withoutFuture(holding.snapshots, options.now).filter(
        (one) => !options.encryptedOnly || objectToPlaintext(one) === null,
      ),
    }));
  return readable.flatMap((to) =>
    folders.flatMap((tier): readonly Gap[] => {
      // What cannot be seen may be there.
      if (to.catalogue !== null && whyUnlisted(to.catalogue, tier) !== null) return [];
      const others = readable.filter((from) => from !== to);
      const isThere = ({ id }: Manifest, { snapshots }: Holding): boolean =>
        snapshots.some((one) => one.tier === tier && one.id === id);
      // What is there alone and was not made here may be anybody's: it fills no gap.
      const own = to.snapshots.find(
        (one) =>
          one.tier === tier && (isKnown(one, { ...to, ...options }) || others.some((other) => isThere(one, other))),
      );
      const sources = others
        .flatMap((from) => from.snapshots.map((source) => ({ source, from })))
        .filter(({ source }) => source.tier === tier && (own === undefined || source.dataAt > own.dataAt))
        .filter(({ source }) => !isThere(source, to))
        .toSorted((a, b) => newestFirst(a.source, b.source));
      return sources.length === 0 ? [] : [{ to, sources }];
    }),
  );
}

/** Copies what is missing, one at a time. Answers whether anything was copied; leaves it for later when a run is on. */
export async function mend(context: AppContext, signal: AbortSignal): Promise<boolean> {
  const { settings } = context.load();
  if ((await context.stores()).length < 2) return false;
  assertSigning(settings.signing);
  let copied = false;
  const { madeHere } = await context.state().readAttempts();
  const missing = findMissing(await readHoldings(context, signal), {
    encryptedOnly: wantsEncrypted(settings.keys),
    madeHere,
    now: context.now(),
  });
  if (missing.length === 0) return false;
  try {
    await using _lock = await lockFor(context, { command: 'copy', signal });
    for (const { to, sources } of missing) {
      const best = await findGood(context, { sources, madeHere, signal });
      if (best === undefined) continue;
      const { source, from } = best;
      const { verify, stallTimeoutMs } = settings;
      const { now, log } = context;
      const outcome = await copyAcross(
        { from: from.repository, to: to.repository },
        { source, verify, stallTimeoutMs, now, log, signal },
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

async function findGood(
  context: AppContext,
  {
    sources,
    ...options
  }: Pick<Gap, 'sources'> & { readonly madeHere: readonly string[]; readonly signal: AbortSignal },
): Promise<Gap['sources'][number] | undefined> {
  for (const one of sources) {
    const { repository } = one.from;
    if (await mayBeCopied(context, { ...options, manifest: one.source, repository })) return one;
  }
  return undefined;
}
