// The result of a run, for people and as JSON.

import type { BackupResult } from '../backup/backup.ts';
import type { DestinationOutcome } from '../backup/destination.ts';
import type { AppError } from '../errors.ts';
import { formatBytes, formatDuration } from './format.ts';

/** The first destination's failure, which decides the exit status; undefined when all went well. */
export function firstError(result: BackupResult): AppError | undefined {
  return result.outcomes.find((outcome) => outcome.kind === 'failed')?.error;
}

/** The JSON document of `run --json`. */
export function runDocument(result: BackupResult, { durationMs }: { readonly durationMs: number }): object {
  return {
    id: result.id,
    tier: result.tier,
    dataAt: result.dataAt.toISOString(),
    durationMs,
    dumpBytes: result.dumpBytes,
    objectBytes: result.objectBytes,
    warnings: result.warnings,
    destinations: result.outcomes.map((outcome) => ({
      store: outcome.destination.store.name,
      key: outcome.destination.key,
      ...(outcome.kind === 'stored'
        ? { status: 'stored', verified: outcome.manifest.verified.method }
        : { status: 'failed', error: outcome.error.message, hint: outcome.error.hint ?? null }),
    })),
  };
}

/** The result of `run` as text. */
export function renderRun(result: BackupResult, { durationMs }: { readonly durationMs: number }): string {
  const sizes = `${formatBytes(result.dumpBytes)} dumped, ${formatBytes(result.objectBytes)} stored, in ${formatDuration(durationMs)}`;
  return [
    `${result.tier}/${result.id}: ${sizes}`,
    ...result.warnings.map((text) => `  warning: ${text}`),
    ...result.outcomes.map(renderOutcome),
    '',
  ].join('\n');
}

const methods = {
  full: 'read back, hashed and decoded to the end',
  etag: 'size and ETag compared',
  size: 'size compared only: the store has no ETag to recompute',
} as const;

function renderOutcome(outcome: DestinationOutcome): string {
  const place = outcome.destination.store.description;
  if (outcome.kind === 'failed') return `  NOT stored in ${place}: ${outcome.error.message}`;
  return `  stored in ${place} as ${outcome.destination.key} (${methods[outcome.manifest.verified.method]})`;
}
