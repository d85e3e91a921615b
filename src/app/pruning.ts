// Retention carried out: the plan for each destination, what it removes, and what holds it back. A prune that fails after a
// good backup does not make the backup bad; it is said, and health shows it.

import { connect } from '../database/connection.ts';
import { readDatabaseFacts, readServerClock } from '../database/server.ts';
import { describeError, reasonOf } from '../errors.ts';
import { snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { removeSnapshot } from '../snapshots/deletion-law.ts';
import { describeLock, lockedUntil } from '../snapshots/lock-check.ts';
import { planPrune, withoutLocked, type Hold, type PrunePlan } from '../retention/prune.ts';
import type { AppContext } from './context.ts';
import type { Holding } from './holdings.ts';

/** A database that does not answer is waited for so long, in milliseconds. */
const askingMs = 15_000;
/** A store that keeps this many is asked for no more of them today. */
const mostFailures = 3;

/** So many snapshots are asked together whether they are locked. */
const askedAtOnce = 16;

/** What became of retention at a destination. */
export interface PlacePrune {
  readonly place: string;
  readonly plan: PrunePlan | null;
  readonly removed: readonly Manifest[];
  /** Why it could not be done, or not to its end. */
  readonly error: string | null;
}

/** Plans retention for every destination, and carries it out unless `dryRun`. Rejects only with the reason of `signal`. */
export async function prunePlaces(
  context: AppContext,
  options: Pick<Parameters<typeof planPrune>[1], 'systemIdentifier' | 'acceptedServers' | 'occasion' | 'made'> & {
    readonly holdings: readonly Holding[];
    /** How far the database's clock is ahead of ours, in milliseconds, where it was asked just now; else it is asked where it matters. */
    readonly aheadMs?: number | null;
    readonly dryRun: boolean;
    readonly signal: AbortSignal;
  },
): Promise<readonly PlacePrune[]> {
  const results: PlacePrune[] = [];
  const needsClock = options.holdings.some(({ repository }) => !repository.store.hasClock);
  const aheadMs = options.aheadMs ?? (needsClock ? await askDatabaseClock(context, options.signal) : null);
  for (const place of options.holdings) results.push(await prunePlace(context, { ...options, place, aheadMs }));
  return results;
}

// How far the database's clock is ahead of ours, in milliseconds; null: it does not answer.
async function askDatabaseClock(context: AppContext, signal: AbortSignal): Promise<number | null> {
  try {
    await using client = await connect(context.load().target, AbortSignal.any([signal, AbortSignal.timeout(askingMs)]));
    return (await readServerClock(client)).getTime() - context.now().getTime();
  } catch (error) {
    signal.throwIfAborted();
    context.log.warn({ err: error }, 'The database could not be asked what time it is');
    return null;
  }
}

async function prunePlace(
  context: AppContext,
  {
    place,
    aheadMs,
    dryRun,
    signal,
    ...options
  }: Omit<Parameters<typeof prunePlaces>[1], 'holdings' | 'aheadMs'> & {
    readonly place: Holding;
    readonly aheadMs: number | null;
  },
): Promise<PlacePrune> {
  const { settings, instance, target } = context.load();
  const { store } = place.repository;
  const removed: Manifest[] = [];
  let plan: PrunePlan | null = null;
  try {
    if (place.catalogue === null) throw place.error;
    plan = planPrune(place.catalogue, {
      serverPlace: `${target.host}:${target.port}`,
      ...options,
      instance,
      keep: settings.retention.keep,
      timeZone: settings.timeZone,
      now: context.now(),
      storeNow: await store.now({ signal }),
      databaseNow: aheadMs === null ? null : new Date(context.now().getTime() + aheadMs),
    });
    for (const hold of plan.holds)
      context.log.warn({ store: store.description, tier: hold.tier, remedy: hold.remedy }, describeHold(hold));
    const failures: string[] = [];
    const locked = new Map<Manifest, string>();
    const now = context.now();
    const remove = async (manifest: Manifest): Promise<void> => {
      try {
        const until = dryRun ? await lockedUntil(place.repository, { manifest, now, signal }) : null;
        if (until !== null) locked.set(manifest, `locked ${describeLock(until)}`);
        if (dryRun) return;
        await removeSnapshot(place.repository, { manifest, instance, now, log: context.log, signal });
        removed.push(manifest);
      } catch (error) {
        signal.throwIfAborted();
        if (reasonOf(error) === 'locked') {
          locked.set(manifest, `locked${/ until [^ ]+$/.exec(describeError(error))?.[0] ?? ''}`);
          return;
        }
        // One that stays keeps none of the others.
        context.log.warn({ err: error, snapshot: snapshotName(manifest) }, 'A snapshot could not be removed');
        failures.push(describeError(error));
      }
    };
    const atOnce = dryRun ? askedAtOnce : 1;
    for (let at = 0; at < plan.remove.length && failures.length < mostFailures; at += atOnce)
      await Promise.all(plan.remove.slice(at, at + atOnce).map(remove));
    plan = withoutLocked(plan, locked);
    return { place: store.description, plan, removed, error: failures.length === 0 ? null : failures.join('; ') };
  } catch (error) {
    signal.throwIfAborted();
    context.log.warn({ err: error, store: store.description }, 'Retention could not be carried out');
    return { place: store.description, plan, removed, error: describeError(error) };
  }
}

/** A hold in one sentence. */
function describeHold({ tier, reason }: Hold): string {
  return `Retention removes nothing${tier === null ? '' : ` of the tier ${tier}`}: ${reason}`;
}

/** What keeps retention from working at these destinations, in one text; null: nothing. */
export function pruneProblem(results: readonly PlacePrune[]): string | null {
  const problems = results.flatMap(({ place, plan, error }) => [
    ...(error === null ? [] : [`${place}: ${error}`]),
    ...(plan?.holds ?? []).map((hold) => `${place}: ${hold.reason}. ${hold.remedy}`),
  ]);
  return problems.length === 0 ? null : problems.join(' | ');
}

/**
 * The system identifier of the database that is configured; when it cannot be asked, that of the newest snapshot: by hand
 * and without a database, what was backed up last is the best that is known.
 */
export async function currentSystemIdentifier(
  context: AppContext,
  { snapshots, signal }: { readonly snapshots: readonly Manifest[]; readonly signal: AbortSignal },
): Promise<string | null> {
  const { target } = context.load();
  try {
    await using client = await connect(target, AbortSignal.any([signal, AbortSignal.timeout(askingMs)]));
    return (await readDatabaseFacts(client)).systemIdentifier;
  } catch (error) {
    signal.throwIfAborted();
    context.log.warn({ err: error }, 'The database could not be asked which server it is');
    return snapshots[0]?.database.systemIdentifier ?? null;
  }
}
