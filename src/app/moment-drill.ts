// `drill --pitr`: the newest base backup and all log behind it, replayed, dumped and drilled like any snapshot. Log that was never
// replayed is a hope, as a backup is that was never restored.

import type { ProgressListener } from '../backup/progress.ts';
import { failed, note, shown, type CheckResult } from '../checks/check.ts';
import { identitiesOf } from '../config/age-keys.ts';
import { drill as carryOut } from '../drill/drill.ts';
import type { DrillStatus } from '../drill/drill-record.ts';
import { AppError, describeError } from '../errors.ts';
import type { AppContext } from './context.ts';
import { lockFor } from './locking.ts';
import {
  bringBack,
  dumpReplayed,
  factsOf,
  notesOf,
  readMomentChain,
  type MomentFacts,
  type MomentSource,
} from './moment-verb.ts';
import { scratchMeans } from './scratch-means.ts';

/** Options of `drill --pitr`. */
export type MomentDrillRequest = Omit<MomentSource, 'at' | 'onProgress'> & { readonly onProgress: ProgressListener };

/** What `drill --pitr` found. */
export interface MomentDrill {
  readonly status: DrillStatus;
  /** Null: nothing was replayed. */
  readonly moment: MomentFacts | null;
  /** From the first byte read to the database being whole, in milliseconds; null: not reached. */
  readonly durationMs: number | null;
  readonly serverVersion: string | null;
  readonly checks: readonly CheckResult[];
}

/** Drills the newest moment. Rejects with AppError when that could not be carried out. */
export async function drillMoment(context: AppContext, request: MomentDrillRequest): Promise<MomentDrill> {
  const { settings } = context.load();
  const { signal } = request;
  await using _lock = await lockFor(context, { name: 'drill', command: 'drill --pitr', wait: request.wait, signal });
  const result = await drillUnderLock(context, { ...request, at: 'latest' });
  const checks = result.checks.map((check) => shown(check, { withValues: settings.keys.kind === 'plain' }));
  const findings = checks.filter(({ status }) => status !== 'ok').map(({ check, detail }) => `${check}: ${detail}`);
  const { status, durationMs, moment } = result;
  const at = context.now().toISOString();
  await context.state().updatePitr({ drill: { at, status, durationMs, findings } });
  const snapshot = `pitr/${moment?.base ?? 'latest'}`;
  await context.tell({ kind: 'drill-ended', status, snapshot, durationMs, findings }, signal);
  return { ...result, checks };
}

/** The daemon's, after its drill of a snapshot, where there is a base backup. Rejects only with the reason of `signal`. */
export async function drillMomentToo(context: AppContext, signal: AbortSignal): Promise<void> {
  const { settings, instance } = context.load();
  const record = await context.state().readPitr();
  if (!settings.pitr.isOn || record === null || record.base === null) return;
  const request = { from: null, instance, identities: [], acceptUnsigned: false, wait: false, signal } as const;
  try {
    await drillMoment(context, { ...request, onProgress: () => undefined });
  } catch (error) {
    signal.throwIfAborted();
    context.log.warn({ err: error }, 'The newest moment could not be drilled');
    const at = context.now().toISOString();
    const drill = { at, status: 'incomplete', durationMs: null, findings: [describeError(error)] } as const;
    await context.state().updatePitr({ drill });
  }
}

async function drillUnderLock(context: AppContext, request: MomentSource): Promise<MomentDrill> {
  const { settings, target } = context.load();
  const { signal } = request;
  const identities = [...request.identities, ...identitiesOf(settings.keys)];
  const chosen = await readMomentChain(context, request);
  const [newest] = chosen.chain.bases;
  if (newest?.tar.encryption === 'age' && identities.length === 0)
    return skipped(
      'base backups are encrypted and no private key is on this machine: set BACKUP_AGE_IDENTITY, or use --identity',
    );
  const startedAt = performance.now();
  try {
    await using replayed = await bringBack(context, { moment: { kind: 'latest' }, use: 'drill', request, chosen });
    const moment = factsOf(replayed);
    context.log.info({ ...moment, database: target.database }, 'The newest moment is replayed');
    const source = await dumpReplayed(context, { replayed, request });
    const outcome = await carryOut({
      ...(await scratchMeans(context, signal)),
      source,
      isKeyGiven: false,
      earlier: [],
      secrets: null,
      now: context.now,
      signal,
      onProgress: () => undefined,
    });
    const durationMs = outcome.durationMs === null ? null : Math.round(performance.now() - startedAt);
    return { ...outcome, checks: [...outcome.checks, ...notesOf(chosen, replayed)], durationMs, moment };
  } catch (error) {
    signal.throwIfAborted();
    // Space and programs that are missing here say nothing of what is stored.
    const isOfStored = error instanceof AppError && (error.code === 'verify' || error.reason === 'damaged-object');
    if (isOfStored) return failedBy(error);
    throw error;
  }
}

const nothing = { moment: null, durationMs: null, serverVersion: null } as const;

function skipped(detail: string): MomentDrill {
  return { status: 'skipped', ...nothing, checks: [note('drill', detail)] };
}

function failedBy({ message, hint }: AppError): MomentDrill {
  const remedy = hint ?? 'Make a new base backup with: mastodon-backup pitr base.';
  return { status: 'failed', ...nothing, checks: [failed('log', { detail: message, remedy })] };
}
