// One backup: under the lock, after a sweep, within BACKUP_TIMEOUT; then retention, what is remembered, and what people are
// told. A scheduled one may be a copy of a finer snapshot that is young enough; one by hand always dumps.

import { availableParallelism } from 'node:os';
import { firstError } from '../backup/first-error.ts';
import { backUp, type BackupResult } from '../backup/backup.ts';
import type { ProgressListener } from '../backup/progress.ts';
import { commandOf, folderOf, type ClockPurpose, type HandPurpose, type Purpose } from '../backup/purpose.ts';
import { withThreads, type Compression } from '../codec/codec.ts';
import { recipientsOf } from '../config/age-keys.ts';
import type { Settings } from '../config/settings.ts';
import { AppError } from '../errors.ts';
import { dumpOf, type Manifest } from '../snapshots/manifest.ts';
import { isAnswered, withoutFuture, type DueRun } from '../schedule/due.ts';
import { defaultMemoryLimit } from '../backup/memory-limit.ts';
import { scheduledTiers } from '../schedule/timetable.ts';
import { roleOfDump } from '../mastodon/mastodon-role.ts';
import type { AppContext } from './context.ts';
import { askBeforeHook, runHookAfter } from './hooks.ts';
import { lockFor } from './locking.ts';
import { inTheLightOfEarlier, reachedPeople, rememberFailure, toFailure } from './failures.ts';
import { silentPlaces, snapshotsOfAll, strangePlaces, type Holding } from './holdings.ts';
import { takeStock } from './stocktaking.ts';
import { markPlaces } from './places.ts';
import { leaveScripts } from './restore-scripts.ts';
import { rememberedAs } from './provenance.ts';
import { sweepAll } from './repositories.ts';
import { pruneInTime } from './run-pruning.ts';
import { assertSigning } from '../snapshots/origin.ts';
import { rememberProgress } from './progress-memory.ts';
import { copyForTier } from './tier-copy.ts';
import { failureDetails, successDetails } from './telling.ts';
import { startTimeLimit } from './time-limit.ts';

/** A run by hand. */
export interface RunRequest {
  readonly purpose: HandPurpose;
  /** Whether to wait while another run holds the lock. */
  readonly wait: boolean;
  /** Whether the destinations are right as they are, whatever they were known to be and to hold. */
  readonly acceptPlace?: boolean;
  /** Whether people wait for its end: then the compression that takes the least time stands in for the one that is set. */
  readonly inHaste?: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** A run by the clock. */
export interface ScheduledRunRequest extends DueRun {
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** A backup that was made, and what came after it. */
export interface RunReport extends BackupResult {
  /** `<tier>/<id>` of the snapshot it is a copy of; null for a dump. */
  readonly copiedFrom: string | null;
  /** Snapshots that retention removed; null when it was not asked to. */
  readonly prunedCount: number | null;
}

type Plan = Omit<RunRequest, 'purpose' | 'wait'> & { readonly purpose: Purpose };

interface Limited {
  /** Aborts with the plan's own signal, and when BACKUP_TIMEOUT is over. */
  readonly limited: AbortSignal;
}

/** Makes one backup by hand. */
export async function run(context: AppContext, request: RunRequest): Promise<RunReport> {
  const report = await underLock(context, request);
  if (report === null) throw new Error('A run by hand answers no slot');
  return report;
}

/** Makes the backup a slot asks for, waiting for the lock; null when the slot was answered in the meantime. */
export async function runScheduled(
  context: AppContext,
  { tier, slot, ...request }: ScheduledRunRequest,
): Promise<RunReport | null> {
  const purpose: ClockPurpose = slot === null ? { kind: 'first', tier } : { kind: 'scheduled', tier, slot };
  return underLock(context, { ...request, purpose, wait: true });
}

async function underLock(
  context: AppContext,
  { wait, ...plan }: Plan & { readonly wait: boolean },
): Promise<RunReport | null> {
  const [command, tier] = [commandOf(plan.purpose), folderOf(plan.purpose)];
  const { settings } = context.load();
  assertSigning(settings.signing);
  await using _lock = await lockFor(context, { command, wait, signal: plan.signal });
  using limit = startTimeLimit(settings.timeoutMs, {
    what: 'The run',
    setting: 'BACKUP_TIMEOUT',
    hint: 'Raise BACKUP_TIMEOUT, or make runs faster: more BACKUP_THREADS, a lower BACKUP_COMPRESSION_LEVEL.',
  });
  const limited = AbortSignal.any([plan.signal, limit.signal]);
  const holdings = await listForRun(context, { ...plan, limited });
  await reportCutOff(context, { holdings, signal: plan.signal });
  const running = { command, tier, since: context.now().toISOString() };
  await context.state().updateAttempts(() => ({ running }));
  await using progress = rememberProgress(context, { of: 'run', onProgress: plan.onProgress });
  try {
    return await attempt(context, { ...plan, onProgress: progress.onProgress, holdings, limited });
  } finally {
    await context.state().updateAttempts(() => ({ running: null }));
  }
}

// A store that never answers ends the run by its limit, and that is remembered and told as any failure of it.
async function listForRun(context: AppContext, plan: Plan & Limited): Promise<readonly Holding[]> {
  try {
    return await takeStock(context, { acceptPlace: plan.acceptPlace === true, signal: plan.limited });
  } catch (error) {
    await fail(context, { error, tier: folderOf(plan.purpose), before: [], signal: plan.signal });
    throw error;
  }
}

// We hold the lock, so whoever said it was running is not running any more.
async function reportCutOff(
  context: AppContext,
  { holdings, signal }: { readonly holdings: readonly Holding[]; readonly signal: AbortSignal },
): Promise<void> {
  const { running } = await context.state().readAttempts();
  if (running === null) return;
  const error = new AppError('interrupted', `'${running.command}', begun at ${running.since}, was cut off`, {
    hint: 'Look whether the container was killed or ran out of memory (dmesg); nothing half-written counts as a backup.',
  });
  context.log.warn({ running }, 'An earlier run was cut off');
  await fail(context, { error, tier: running.tier, before: snapshotsOfAll(holdings), signal });
}

async function attempt(
  context: AppContext,
  { holdings, limited: signal, ...plan }: Plan & Limited & { readonly holdings: readonly Holding[] },
): Promise<RunReport | null> {
  const { now } = context;
  const { settings } = context.load();
  const timetable = context.timetable();
  const startedAt = now();
  const before = snapshotsOfAll(holdings);
  const { purpose } = plan;
  const tier = folderOf(purpose);
  if (purpose.kind === 'scheduled' && isAnswered(purpose.slot, { tier, snapshots: withoutFuture(before, now()) }))
    return null;
  await context.tell({ kind: 'run-started', tier }, plan.signal);
  let result: BackupResult & { readonly copiedFrom: string | null };
  try {
    await askBeforeHook(context, { tier, signal });
    await sweepAll(holdings, { settings, now, log: context.log, signal });
    const copy =
      purpose.kind === 'scheduled' ? await copyForTier(context, { ...plan, ...purpose, holdings, signal }) : null;
    result = copy ?? { ...(await dump(context, { ...plan, holdings, signal })), copiedFrom: null };
  } catch (caught) {
    const error = await inTheLightOfEarlier(context, { tier, error: caught });
    await fail(context, { error, tier, before, signal: plan.signal });
    throw error;
  }
  const error = firstError(result);
  if (error !== undefined && !result.outcomes.some(({ kind }) => kind === 'stored')) {
    await fail(context, { error, tier, before, signal: plan.signal });
    return { ...result, prunedCount: null };
  }
  // The backup is there: from here on nothing but a person's word ends the run before its end.
  await rememberSuccess(context, result);
  const afterwards = { holdings, signal: plan.signal, limited: signal };
  await markPlaces(context, { ...result, ...afterwards });
  await leaveScripts(context, { ...result, ...afterwards });
  const prunedCount = await pruneInTime(context, { result, ...afterwards });
  context.told.forget();
  const success = successDetails(result, { before, prunedCount, startedAt, timetable, now: now() });
  await Promise.all([context.tell(success, plan.signal), runHookAfter(context, success, plan.signal)]);
  return { ...result, prunedCount };
}

async function fail(
  context: AppContext,
  options: {
    readonly error: unknown;
    readonly tier: string;
    readonly before: readonly Manifest[];
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { error, signal } = options;
  await rememberFailure(context, options);
  const { now, timetable } = { now: context.now(), timetable: context.timetable() };
  // Whoever interrupts a run knows of it.
  const repeated = !signal.aborted && context.told.isKnown(error);
  const failure = failureDetails(error, { ...options, repeated, timetable, now });
  const [outcomes] = await Promise.all([
    signal.aborted ? [] : context.tell(failure, signal),
    runHookAfter(context, failure, signal),
  ]);
  // Where a message reached nobody, the next failure is told.
  if (!signal.aborted && reachedPeople(context.channels(), outcomes)) context.told.note(error);
}

async function dump(
  context: AppContext,
  plan: Plan & { readonly holdings: readonly Holding[] },
): Promise<BackupResult> {
  const { settings, target, instance } = context.load();
  using _remaining = context.remains.add('perhaps an unfinished upload: a later run removes it when it is a day old');
  return await backUp({
    ...settings,
    purpose: plan.purpose,
    instance,
    role: roleOfDump(context.environment, target),
    toolVersion: context.toolVersion,
    environment: context.environment,
    connection: target,
    clients: await context.findClients(plan.signal),
    stores: await context.stores(),
    earlier: plan.holdings.filter(({ catalogue }) => catalogue !== null),
    silent: silentPlaces(plan.holdings),
    refused: strangePlaces(plan.holdings),
    lastEncryption: (await context.state().readAttempts()).encryption,
    compression: compressionOf(settings, plan),
    niceness: plan.inHaste === true ? 0 : settings.niceness,
    readPatience: context.readPatience,
    cores: availableParallelism(),
    memoryLimitBytes: settings.memoryLimitBytes ?? (await defaultMemoryLimit()),
    recipients: recipientsOf(settings.keys),
    allowPlaintext: settings.keys.allowPlaintext,
    now: context.now,
    log: context.log,
    signal: plan.signal,
    onProgress: plan.onProgress,
  });
}

/** Faster than a database is dumped; measured, with figures in docs/upgrading-postgresql.md. */
const hastyCompression = { kind: 'zstd', level: 3, threads: 1 } as const;

function compressionOf(
  { compression, threads }: Pick<Settings, 'compression' | 'threads'>,
  { inHaste = false }: Pick<Plan, 'inHaste'>,
): Compression {
  return inHaste && compression.kind !== 'none' ? hastyCompression : withThreads(compression, threads);
}

/** How many snapshots made here are remembered, to tell them from another container's and from somebody else's. */
const rememberedIds = 1_000;

async function rememberSuccess(context: AppContext, result: BackupResult): Promise<void> {
  const at = context.now().toISOString();
  // A failure by hand is forgotten with the next success of any kind; that of a scheduled tier, a drill or a base backup with its own.
  const pending = ['drill', 'base', ...scheduledTiers(context.timetable()).filter((tier) => tier !== result.tier)];
  const [stored] = result.outcomes.flatMap((outcome) => (outcome.kind === 'stored' ? [outcome.manifest] : []));
  await context.state().updateAttempts(({ failures, madeHere, encryption }) => ({
    encryption: stored === undefined ? encryption : (dumpOf(stored).encryption ?? 'none'),
    failures: Object.fromEntries(Object.entries(failures).filter(([tier]) => pending.some((one) => one === tier))),
    destinationFailures: result.outcomes.flatMap((outcome) =>
      outcome.kind === 'stored'
        ? []
        : [{ place: outcome.destination.repository.store.description, failure: toFailure(outcome.error, at) }],
    ),
    madeHere: [...madeHere, ...(stored === undefined ? [] : [rememberedAs(stored)])].slice(-rememberedIds),
    warnings: result.warnings,
    leftOut: result.leftOut,
  }));
}
