// One backup now: under the lock, after a sweep, within BACKUP_TIMEOUT.

import { availableParallelism } from 'node:os';
import { backUp, type BackupResult, type BackupStore } from '../backup/backup.ts';
import type { ProgressListener } from '../backup/progress.ts';
import { AppError } from '../errors.ts';
import { defaultMemoryLimit } from '../plan/memory-limit.ts';
import type { Folder } from '../plan/tier.ts';
import { takeLock } from '../state/lock.ts';
import type { AppContext } from './context.ts';
import { sweepStores } from './placed-stores.ts';

/** Options of a run. */
export interface RunRequest {
  readonly tier: Folder;
  readonly label: string | null;
  /** Whether to wait while another run holds the lock. */
  readonly wait: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** Makes one backup. */
export async function run(context: AppContext, request: RunRequest): Promise<BackupResult> {
  const { log, now } = context;
  const { settings, target, instance } = context.load();
  const name = request.label === null ? `run ${request.tier}` : 'run --label';
  const timeout = timeoutSignal(settings.timeoutMs);
  const signal = AbortSignal.any([request.signal, timeout.signal]);
  try {
    await using _lock = await takeLock({
      directory: settings.stateDirectory,
      holder: { command: name, processId: context.processId, since: now().toISOString() },
      wait: request.wait,
      signal,
      log,
    });
    await sweepStores(context.stores(), { settings, now, log, signal });
    return await backUp({
      ...settings,
      tier: request.tier,
      label: request.label,
      slot: null,
      instance,
      toolVersion: context.toolVersion,
      environment: context.environment,
      connection: target,
      clients: await context.findClients(signal),
      stores: context.stores() satisfies readonly BackupStore[],
      compression:
        settings.compression.kind === 'xz'
          ? { ...settings.compression, threads: settings.threads }
          : settings.compression,
      cores: availableParallelism(),
      memoryLimitBytes: settings.memoryLimitBytes ?? (await defaultMemoryLimit()),
      recipients: settings.ageRecipients,
      now,
      log,
      signal,
      onProgress: request.onProgress,
    });
  } finally {
    timeout.clear();
  }
}

function timeoutSignal(timeoutMs: number): { readonly signal: AbortSignal; readonly clear: () => void } {
  const controller = new AbortController();
  const abort = (): void =>
    controller.abort(
      new AppError('timeout', `The run took longer than BACKUP_TIMEOUT (${Math.round(timeoutMs / 60_000)} min)`, {
        hint: 'Raise BACKUP_TIMEOUT, or make runs faster: more BACKUP_THREADS, a lower BACKUP_COMPRESSION_LEVEL.',
      }),
    );
  // setTimeout takes at most 2^31-1 ms, some 24 days.
  const timer = setTimeout(abort, Math.min(timeoutMs, 2 ** 31 - 1));
  return { signal: controller.signal, clear: () => clearTimeout(timer) };
}
