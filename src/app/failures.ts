// Why attempts failed, as health, metrics and the next message know it.

import { AppError, describeError } from '../errors.ts';
import type { FailureRecord } from '../state/records.ts';
import type { AppContext } from './context.ts';

/** Remembers why an attempt failed, for health and metrics. */
export async function rememberFailure(
  context: AppContext,
  { tier, error }: { readonly tier: string; readonly error: unknown },
): Promise<void> {
  const failure = toFailure(error, context.now().toISOString());
  const counter = `${tier} ${failure.step}`;
  await context.state().updateAttempts(({ failures, failureCounts }) => ({
    failures: { ...failures, [tier]: failure },
    failureCounts: { ...failureCounts, [counter]: (failureCounts[counter] ?? 0) + 1 },
  }));
}

/** A failure as it is remembered. */
export function toFailure(error: unknown, at: string): FailureRecord {
  const known = error instanceof AppError;
  return {
    at,
    step: known ? error.code : 'unexpected',
    message: describeError(error),
    hint: known ? (error.hint ?? null) : null,
  };
}
