// The result of a run, for people and as JSON.

import type { RunReport } from '../app/run-verb.ts';
import type { DestinationOutcome } from '../backup/destination.ts';
import { formatBytes, formatDuration } from '../text/format.ts';

/** The JSON document of `run --json`. */
export function runDocument(result: RunReport, { durationMs }: { readonly durationMs: number }): object {
  return {
    id: result.id,
    tier: result.tier,
    dataAt: result.dataAt.toISOString(),
    durationMs,
    dumpBytes: result.dumpBytes,
    objectBytes: result.objectBytes,
    warnings: result.warnings,
    copiedFrom: result.copiedFrom,
    prunedCount: result.prunedCount,
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
export function renderRun(result: RunReport, { durationMs }: { readonly durationMs: number }): string {
  const sizes = `${formatBytes(result.dumpBytes)} dumped, ${formatBytes(result.objectBytes)} stored, in ${formatDuration(durationMs)}`;
  return [
    `${result.tier}/${result.id}: ${sizes}`,
    ...result.warnings.map((text) => `  warning: ${text}`),
    ...result.outcomes.map(renderOutcome),
    ...(result.prunedCount === null || result.prunedCount === 0
      ? []
      : [`  retention removed ${result.prunedCount} older snapshots`]),
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
