// Base backups, by hand and by the daemon: when the last one leads nowhere any more, and when their time has come. Each ends with a
// look at the whole chain: what of the past can be had now, and what nobody needs any more.

import type { ProgressListener } from '../backup/progress.ts';
import { recipientsOf } from '../config/age-keys.ts';
import { AppError } from '../errors.ts';
import { whyBaseIsDue } from '../pitr/base-due.ts';
import { makeBase } from '../pitr/base.ts';
import { chainCompression } from '../pitr/encoding.ts';
import type { BaseDocument } from '../snapshots/base-document.ts';
import { findHolder } from '../state/lock.ts';
import type { PitrRecord } from '../state/pitr-record.ts';
import { lookAtChain, toBaseRecord } from './chain-keeping.ts';
import type { AppContext } from './context.ts';
import { rememberAndTell } from './failures.ts';
import { lockFor } from './locking.ts';
import { startTimeLimit } from './time-limit.ts';

/** Options of `pitr base`. */
export interface BaseRequest {
  readonly wait: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** What `pitr base` made. */
export interface BaseReport {
  readonly id: string;
  readonly place: string;
  /** Every moment from here on can be had. */
  readonly restorableFrom: string;
  readonly objectBytes: number;
  readonly dataBytes: number;
  readonly durationMs: number;
}

/** What came of looking whether one is due: it was made; or when to look again. */
export type BaseLook = { readonly kind: 'made' } | { readonly kind: 'waits'; readonly until: Date };

const minuteMs = 60_000;
/** How long the log through a base's end may take to be stored, with somebody who follows it and without. */
const walWaitMs = { followed: 15 * minuteMs, alone: minuteMs } as const;
/** How often is looked what has become of the log: a promotion or a hole does not wait for a Monday. */
const lookEveryMs = minuteMs / 4;
const afterFailureMs = 15 * minuteMs;
/** How often the whole chain is looked at, without anything new. */
const chainEveryMs = 60 * minuteMs;

/** Makes one now. @throws AppError `usage` where the log is not to be followed: a base without log restores nothing. */
export async function pitrBase(context: AppContext, request: BaseRequest): Promise<BaseReport> {
  const { settings } = context.load();
  if (!settings.pitr.isOn)
    throw new AppError('usage', 'BACKUP_PITR is off, and a base backup without the log behind it restores nothing', {
      hint: 'Set BACKUP_PITR=on and start the daemon.',
    });
  await using _lock = await lockFor(context, { name: 'base', command: 'pitr base', ...request });
  return await make(context, request);
}

/** Makes one when it is due; only for whoever follows the log. Rejects only with the reason of `signal`. */
export async function baseIfDue(context: AppContext, signal: AbortSignal): Promise<BaseLook> {
  const now = context.now();
  const waits = (ms: number): BaseLook => ({ kind: 'waits', until: new Date(now.getTime() + ms) });
  const { settings } = context.load();
  const failure = (await context.state().readAttempts()).failures['base'];
  const sinceFailureMs = failure === undefined ? Number.POSITIVE_INFINITY : now.getTime() - Date.parse(failure.at);
  if (sinceFailureMs >= 0 && sinceFailureMs < afterFailureMs) return waits(afterFailureMs - sinceFailureMs);
  try {
    await using _lock = await lockFor(context, { name: 'base', command: 'base backup', signal });
    const record = await recall(context, signal);
    const { baseSchedule: schedule } = settings.pitr;
    const reason = whyBaseIsDue({
      following: record?.following ?? null,
      base: record?.base ?? null,
      schedule,
      timeZone: settings.timeZone,
      now,
    });
    if (reason === null) return waits(lookEveryMs);
    context.log.info({ reason }, 'A base backup is due');
    await make(context, { signal, onProgress: () => undefined });
    return { kind: 'made' };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AppError && error.code === 'locked') return waits(lookEveryMs);
    context.log.error({ err: error }, 'No base backup could be made');
    await rememberAndTell(context, { tier: 'base', error, subject: 'no base backup could be made', signal });
    return waits(afterFailureMs);
  }
}

async function make(
  context: AppContext,
  { signal, onProgress }: Pick<BaseRequest, 'signal' | 'onProgress'>,
): Promise<BaseReport> {
  const { settings, target, instance } = context.load();
  using limit = startTimeLimit(settings.timeoutMs, {
    what: 'The base backup',
    setting: 'BACKUP_TIMEOUT',
    hint: 'Raise BACKUP_TIMEOUT.',
  });
  const limited = AbortSignal.any([signal, limit.signal]);
  const holder = await findHolder({ directory: settings.stateDirectory, name: 'pitr' });
  if (holder === null) context.log.warn({}, 'Nobody here follows the log, which the base backup needs');
  const repository = await context.storeToRead(null);
  const startedAt = performance.now();
  using _remaining = context.remains.add('perhaps a base backup without its document: it counts for nothing');
  const base = await makeBase({
    connection: target,
    repository,
    instance,
    toolVersion: context.toolVersion,
    compression: chainCompression,
    recipients: recipientsOf(settings.keys),
    threads: settings.threads,
    stallTimeoutMs: settings.stallTimeoutMs,
    walWaitMs: holder === null ? walWaitMs.alone : walWaitMs.followed,
    patience: context.readPatience,
    now: context.now,
    log: context.log,
    signal: limited,
    onProgress: (bytes, expectedBytes) => onProgress({ step: 'dump', bytes, expectedBytes }),
  });
  await remember(context, base);
  await look(context, limited);
  return {
    id: base.id,
    place: repository.store.description,
    restorableFrom: base.endedAt.toISOString(),
    objectBytes: base.tar.bytes,
    dataBytes: base.server.dataBytes,
    durationMs: Math.round(performance.now() - startedAt),
  };
}

async function remember(context: AppContext, base: BaseDocument): Promise<void> {
  await context.state().updatePitr({ base: toBaseRecord(base) });
  await context.state().updateAttempts(({ failures }) => ({
    failures: Object.fromEntries(Object.entries(failures).filter(([tier]) => tier !== 'base')),
  }));
}

// What a new container does not remember is in the store; and once an hour all of it is looked at.
async function recall(context: AppContext, signal: AbortSignal): Promise<PitrRecord | null> {
  const record = await context.state().readPitr();
  if (record === null || record.following === null) return record;
  const { window, following } = record;
  const isOther = window?.systemIdentifier !== following.systemIdentifier;
  const ageMs = window === null ? 0 : context.now().getTime() - Date.parse(window.at);
  if (!isOther && ageMs >= 0 && ageMs < chainEveryMs) return record;
  await lookAtChain(context, signal);
  return context.state().readPitr();
}

// A base that was made is there, whatever becomes of this.
async function look(context: AppContext, signal: AbortSignal): Promise<void> {
  try {
    await lookAtChain(context, signal);
  } catch (error) {
    signal.throwIfAborted();
    context.log.warn({ err: error }, 'The chain of base backups could not be looked at');
  }
}
