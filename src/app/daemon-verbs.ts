// What only the daemon asks for: to wait for the database at start, to look what the stores hold, to mend what a destination
// missed, and to say that it lives.

import { connect } from '../database/connection.ts';
import { describeError, retryOf } from '../errors.ts';
import type { PlannedSnapshot } from '../schedule/due.ts';
import type { AppContext } from './context.ts';
import { describeEarlyExpiry, findEarlyExpiry } from '../retention/lifecycle.ts';
import { whyUnlisted } from '../snapshots/catalogue.ts';
import { snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { describeObjection } from '../snapshots/origin.ts';
import type { Waiting } from '../state/records.ts';
import { backOffMs, pauseOrEnd, type BackOff } from '../stream/patience.ts';
import { recallDrills } from './drill-memory.ts';
import { readHoldings, type Holding } from './holdings.ts';
import { attemptsNow } from './health-verb.ts';
import { wasMadeHere } from './provenance.ts';

/** The database of a host that boots may take so long; after that a run fails, and says so. */
const databaseWaitMs = 10 * 60_000;
const pauses: BackOff = { firstMs: 1_000, longestMs: 15_000, random: Math.random };

/** What the stores hold, as far as the daemon needs to know it. */
export interface Surroundings {
  /** Null: no store can be read, and nothing is remembered of any. */
  readonly snapshots: readonly PlannedSnapshot[] | null;
  /** Why a store could not be read. */
  readonly error: unknown;
  /** What is wrong, for health. */
  readonly troubles: readonly string[];
}

/**
 * Waits until the database answers, at most ten minutes, and tells `onWait` once why, and until when. Never rejects: what is due
 * is tried all the same.
 */
export async function waitForDatabase(
  context: AppContext,
  { onWait, signal }: { readonly onWait: (reason: unknown, until: Date) => void; readonly signal: AbortSignal },
): Promise<void> {
  const { target } = context.load();
  const until = performance.now() + databaseWaitMs;
  const givesUpAt = new Date(context.now().getTime() + databaseWaitMs);
  for (let failures = 1; !signal.aborted; failures += 1) {
    try {
      await using _client = await connect(target, signal);
      return;
    } catch (error) {
      if (signal.aborted) return;
      const patience = performance.now() < until && retryOf(error) === 'soon';
      context.log.warn({ err: error }, patience ? 'Waiting for the database' : 'Going on without the database');
      if (!patience) return;
      if (failures === 1) onWait(error, givesUpAt);
      await pauseOrEnd(backOffMs(failures, pauses), signal);
    }
  }
}

/** Reads every store; what cannot be read is taken from what is remembered. Rejects only with the reason of `signal`. */
export async function lookAround(
  context: AppContext,
  { startedAt, signal }: { readonly startedAt: Date; readonly signal: AbortSignal },
): Promise<Surroundings> {
  const holdings = await readHoldings(context, signal);
  const { instance } = context.load();
  const troubles: string[] = [];
  for (const { repository, error, standing } of holdings) {
    if (error === null) continue;
    const isStrange = standing?.kind === 'strange';
    const what = isStrange ? 'Nothing is stored in a place that is not known' : 'A destination cannot be read';
    context.log.warn({ err: error, store: repository.store.description }, what);
    // Health remembers of a strange place that it is one.
    if (!isStrange) troubles.push(`${repository.store.description} cannot be read: ${describeError(error)}`);
  }
  // A run by hand that goes on has committed before it has said what it made; whoever else stores meanwhile is seen afterwards.
  const { madeHere, running } = await attemptsNow(context);
  const isOfOurRun = ({ committedAt }: Manifest): boolean => running !== null && committedAt >= new Date(running.since);
  for (const { repository, catalogue, snapshots } of holdings) {
    const strangers = snapshots.filter(
      (one) =>
        one.committedAt > startedAt && !wasMadeHere(madeHere, one) && one.copiedFrom === null && !isOfOurRun(one),
    );
    const [stranger] = strangers;
    if (stranger !== undefined)
      troubles.push(
        `Another container backs up '${instance}' into ${repository.store.description}: it made ${snapshotName(stranger)}`,
      );
    const nobodys = (catalogue?.unsigned ?? []).filter(
      ({ manifest: { instance: of, committedAt } }) => of === instance && committedAt > startedAt,
    );
    for (const { manifest, objection } of nobodys)
      troubles.push(
        `Somebody has put ${snapshotName(manifest)} into ${repository.store.description}: it ${describeObjection(objection)}, and counts for nothing`,
      );
    for (const { key, reason } of catalogue?.unreadable ?? [])
      context.log.warn(
        { key, store: repository.store.description, reason },
        'A manifest cannot be read; it is left alone',
      );
    for (const { key, isTier, reason } of catalogue?.unlisted ?? []) {
      context.log.warn({ key, store: repository.store.description, reason }, 'A folder cannot be listed');
      if (isTier) troubles.push(`${repository.store.description} cannot be seen in part: ${reason}`);
    }
  }
  troubles.push(...(await earlyExpiries(context, { holdings, signal })));
  await recallDrills(context, signal).catch((caught: unknown) => {
    signal.throwIfAborted();
    context.log.debug({ err: caught }, 'What earlier drills found could not be read');
  });
  const memories = (await context.state().readStores())?.stores ?? [];
  const all = holdings.flatMap(
    ({ repository: { store }, catalogue, snapshots }): readonly (readonly PlannedSnapshot[])[] => {
      // A state directory that cannot be written must not hide what was just read.
      const memory = memories.find(({ name, description }) => name === store.name && description === store.description);
      const known = memory === undefined || memory.readAt === null ? null : memory.snapshots;
      if (catalogue === null) return known === null ? [] : [known];
      return [snapshots, (known ?? []).filter(({ tier }) => whyUnlisted(catalogue, tier) !== null)];
    },
  );
  const error = holdings.find((place) => place.error !== null)?.error ?? null;
  return { snapshots: all.length === 0 ? null : all.flat(), error, troubles };
}

// Whoever set such a rule should hear of it before it has deleted the first backup.
async function earlyExpiries(
  context: AppContext,
  { holdings, signal }: { readonly holdings: readonly Holding[]; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const { keep } = context.load().settings.retention;
  const found: string[] = [];
  for (const { repository, catalogue } of holdings) {
    if (catalogue === null) continue;
    const rules = (await repository.store.lifecycleRules({ signal })) ?? [];
    found.push(...findEarlyExpiry(rules, { prefix: repository.prefix, keep }).map(describeEarlyExpiry));
  }
  return found;
}

/** Says that the daemon lives, and what troubles it. Never rejects. */
export async function heartbeat(
  context: AppContext,
  {
    startedAt,
    troubles,
    waiting,
  }: { readonly startedAt: Date; readonly troubles: readonly string[]; readonly waiting: Waiting },
): Promise<void> {
  await context.state().writeHeartbeat({
    at: context.now().toISOString(),
    startedAt: startedAt.toISOString(),
    processId: context.processId,
    troubles,
    waiting,
  });
}
