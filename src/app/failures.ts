// Why attempts failed, as health, metrics and the next message know it; and what only two of them together tell: a server
// that breaks off twice at the same table has crashed there.

import { brokeOffBehind, damageHint } from '../database/damage.ts';
import { AppError, describeError } from '../errors.ts';
import { withFailure } from '../state/history.ts';
import type { Channel } from '../notify/channel.ts';
import type { ChannelOutcome } from '../notify/notifier.ts';
import type { FailureRecord } from '../state/records.ts';
import type { AppContext } from './context.ts';

/** Remembers why an attempt failed, for health and metrics. */
export async function rememberFailure(
  context: AppContext,
  { tier, error, isUntold = false }: { readonly tier: string; readonly error: unknown; readonly isUntold?: boolean },
): Promise<void> {
  const failure = {
    ...toFailure(error, context.now().toISOString()),
    ...(isUntold ? { isUntold } : {}),
  };
  const counter = `${tier} ${failure.step}`;
  await context.state().updateAttempts(({ failures, failureCounts }) => ({
    failures: { ...failures, [tier]: { ...crashKnownBefore(failures[tier], error), ...failure } },
    failureCounts: { ...failureCounts, [counter]: (failureCounts[counter] ?? 0) + 1 },
  }));
  const past = { tier, at: failure.at, step: failure.step, message: failure.message };
  await context.state().updateHistory((history) => withFailure(history, { failure: past, now: context.now() }));
}

/**
 * Remembers why a drill or a base backup could not be had, and tells people once of what lasts: again where the message of it reached
 * nobody, also when we were ended before it was sent.
 */
export async function rememberAndTell(
  context: AppContext,
  {
    tier,
    error,
    subject,
    signal,
  }: {
    readonly tier: 'drill' | 'base';
    readonly error: unknown;
    readonly subject: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const message = describeError(error);
  const before = (await context.state().readAttempts()).failures[tier];
  const isKnown = before?.message === message && before.isUntold !== true;
  await rememberFailure(context, { tier, error, isUntold: !isKnown });
  if (isKnown) return;
  const hint = error instanceof AppError ? (error.hint ?? null) : null;
  const outcomes = await context.tell({ kind: 'attention', subject, message, hint }, signal);
  if (reachedPeople(context.channels(), outcomes)) await noteTold(context, { tier, message });
}

/** Whether a message reached somebody, or there is nobody to be reached. */
export function reachedPeople(channels: readonly Channel[], outcomes: readonly ChannelOutcome[] | null): boolean {
  if (outcomes === null) return false;
  const people = channels.flatMap(({ filtered, name }) => (filtered ? [name] : []));
  const toPeople = outcomes.filter(({ channel }) => people.includes(channel));
  return toPeople.length === 0 || toPeople.some(({ error }) => error === null);
}

async function noteTold(
  context: AppContext,
  { tier, message }: { readonly tier: string; readonly message: string },
): Promise<void> {
  await context.state().updateAttempts(({ failures }) => {
    const { [tier]: failure } = failures;
    if (failure?.message !== message) return {};
    const { isUntold: _told, ...told } = failure;
    return { failures: { ...failures, [tier]: told } };
  });
}

/** A failure as it is remembered. */
export function toFailure(error: unknown, at: string): FailureRecord {
  const known = error instanceof AppError;
  const brokeOff = brokeOffBehind(error);
  return {
    at,
    step: known ? error.code : 'unexpected',
    message: describeError(error),
    hint: known ? (error.hint ?? null) : null,
    ...(brokeOff === undefined ? {} : { brokeOffAt: brokeOff.table }),
  };
}

/**
 * The error as it is after what is remembered: the second time that the server breaks off at the same table is a crash, which
 * another try would only bring about again.
 */
export async function inTheLightOfEarlier(
  context: AppContext,
  { tier, error }: { readonly tier: string; readonly error: unknown },
): Promise<unknown> {
  const table = brokeOffBehind(error)?.table;
  if (table === undefined || !(error instanceof AppError)) return error;
  const { failures } = await context.state().readAttempts();
  if (failures[tier]?.brokeOffAt !== table) return error;
  return new AppError(error.code, `The database server crashed again at the table "${table}": ${error.message}`, {
    cause: error,
    hint: damageHint,
    reason: 'damaged-source',
  });
}

// While a crashed server starts again it cannot be reached: that is no other failure.
function crashKnownBefore(before: FailureRecord | undefined, error: unknown): Pick<FailureRecord, 'brokeOffAt'> {
  const isSilent = error instanceof AppError && error.code === 'database';
  return isSilent && before?.brokeOffAt !== undefined ? { brokeOffAt: before.brokeOffAt } : {};
}
