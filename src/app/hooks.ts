// Hooks around a run: what the administrator wants done before a backup, after it, and when it failed. Only what runs before
// can say no; whatever else happens to a hook is remembered for health and stops nothing.

import { AppError } from '../errors.ts';
import type { BackupEvent } from '../notify/event.ts';
import { hookEnvironment, hookLimitMs, hooksOf, runHook, type HookMoment, type HookOutcome } from '../notify/hook.ts';
import type { AppContext, EventDetails } from './context.ts';

/** Who is interrupted is not kept waiting for longer, in milliseconds. */
const partingMs = 5_000;

/** Asks whether there may be a backup now. @throws AppError `hook` when the program that runs before it has failed. */
export async function askBeforeHook(
  context: AppContext,
  { tier, signal }: { readonly tier: string; readonly signal: AbortSignal },
): Promise<void> {
  const outcome = await take(context, { moment: 'before', details: { kind: 'run-started', tier }, signal });
  if (outcome?.kind !== 'failed') return;
  throw new AppError('hook', `BACKUP_HOOK_BEFORE failed, so there is no backup: ${outcome.reason}`, {
    hint: 'Run the program by hand and mend it, or take it out of BACKUP_HOOK_BEFORE.',
  });
}

/**
 * Runs what follows a run, by how it ended. Never rejects: the backup is there, or the run has failed for another reason. What
 * runs after a failure also runs when the run was interrupted, within seconds: it may have to start again what was stopped before.
 */
export async function runHookAfter(
  context: AppContext,
  details: Extract<EventDetails, { readonly kind: 'run-succeeded' | 'run-failed' }>,
  signal: AbortSignal,
): Promise<void> {
  const moment = details.kind === 'run-succeeded' ? 'after' : 'failed';
  const parting = signal.aborted ? AbortSignal.timeout(partingMs) : signal;
  await take(context, { moment, details, signal: parting }).catch((error: unknown) =>
    context.log.warn({ err: error }, `BACKUP_HOOK_${moment.toUpperCase()} was cut off`),
  );
}

async function take(
  context: AppContext,
  {
    moment,
    details,
    signal,
  }: { readonly moment: HookMoment; readonly details: EventDetails; readonly signal: AbortSignal },
): Promise<HookOutcome | null> {
  const { settings, instance } = context.load();
  const hook = hooksOf(settings.hooks).find((one) => one.moment === moment);
  if (hook === undefined) return null;
  const at = context.now().toISOString();
  const event = JSON.parse(context.redact(JSON.stringify({ ...details, instance, at }))) as BackupEvent;
  const outcome = await runHook(hook, {
    event,
    environment: hookEnvironment(context.environment),
    limitMs: hookLimitMs,
    log: context.log,
    signal,
  });
  // What says no fails the run, which is remembered as that.
  const isAnswer = outcome.kind === 'done' || (outcome.kind === 'failed' && moment === 'before');
  const error = isAnswer ? null : context.redact(outcome.reason);
  if (error !== null) context.log.warn({ hook: hook.name }, `${hook.name}: ${error}`);
  await context.state().updateAttempts(({ hooks }) => ({
    hooks: [...hooks.filter((one) => one.hook !== hook.name), { hook: hook.name, error, at }],
  }));
  return outcome;
}
