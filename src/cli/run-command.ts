// `run`: one backup now, told as text or as a document. Both say the same of every destination: a script that reads one must
// not miss a copy that a person would see missing.

import type { Command } from 'commander';
import type { RunReport } from '../app/run-verb.ts';
import { firstError } from '../backup/first-error.ts';
import { tiers, type Tier } from '../schedule/tier.ts';
import type { DestinationOutcome } from '../snapshots/destination.ts';
import { formatBytes, formatDuration } from '../text/format.ts';
import { layOutHint } from '../text/hint.ts';
import { plural, type Width } from '../text/table.ts';
import { parseLabel, parseTier } from './arguments.ts';
import { print, type CommandContext } from './command-context.ts';
import { showProgress } from './progress-bar.ts';
import { snapshotName } from '../snapshots/manifest.ts';

interface RunOptions {
  readonly label?: string;
  readonly wait?: boolean;
  readonly acceptPlace?: boolean;
  readonly json?: boolean;
}

/** Adds the command. */
export function addRunCommand(program: Command, context: CommandContext): void {
  const { app, signal } = context;
  program
    .command('run')
    .description('make one backup now')
    .argument('[tier]', `one of ${tiers.join(', ')}`, parseTier, 'daily')
    .option('--label <text>', 'store it under labelled/, out of ordinary retention', parseLabel)
    .option('--wait', 'wait while another run holds the lock')
    .option('--accept-place', 'take the destinations as they are: a new disk, or a bucket that was emptied')
    .option('--json', 'print the result as one JSON document')
    .action(async (tier: Tier, options: RunOptions) => {
      const startedAt = performance.now();
      using progress = showProgress(context.progress, app.log);
      const result = await app.run({
        purpose: options.label === undefined ? { kind: 'by hand', tier } : { kind: 'labelled', label: options.label },
        wait: options.wait === true,
        acceptPlace: options.acceptPlace === true,
        signal,
        onProgress: progress.update,
      });
      progress[Symbol.dispose]();
      const durationMs = Math.round(performance.now() - startedAt);
      print(context, {
        json: options.json,
        document: runDocument(result, { durationMs }),
        text: renderRun(result, { durationMs, columns: context.columns(), program: context.program }),
      });
      const error = firstError(result);
      if (error !== undefined) throw error;
    });
}

/** The JSON document of `run --json`. */
function runDocument(result: RunReport, { durationMs }: { readonly durationMs: number }): object {
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
      store: outcome.destination.repository.store.name,
      key: outcome.destination.key,
      ...(outcome.kind === 'stored'
        ? { status: 'stored', verified: outcome.manifest.verified.method }
        : { status: 'failed', error: outcome.error.message, hint: outcome.error.hint ?? null }),
    })),
  };
}

/** The result of `run` as text. */
export function renderRun(
  result: RunReport,
  { durationMs, ...look }: Width & { readonly durationMs: number; readonly program: string },
): string {
  const line = (text: string): string => `  ${layOutHint(text, { ...look, indent: 4, firstIndent: 2 })}`;
  const sizes = `${formatBytes(result.dumpBytes)} dumped, ${formatBytes(result.objectBytes)} stored, in ${formatDuration(durationMs)}`;
  return [
    layOutHint(`${snapshotName(result)}: ${sizes}`, { ...look, indent: 2, firstIndent: 0 }),
    ...result.warnings.map((text) => line(`warning: ${text}`)),
    ...result.outcomes.map((outcome) => line(describeOutcome(outcome))),
    ...(result.prunedCount === null || result.prunedCount === 0
      ? []
      : [line(`retention removed ${plural(result.prunedCount, 'older snapshot')}`)]),
    '',
  ].join('\n');
}

const methods = {
  full: 'read back, hashed and decoded to the end',
  etag: 'size and ETag compared',
  size: 'size compared only: the store has no ETag to recompute',
} as const;

function describeOutcome(outcome: DestinationOutcome): string {
  const place = outcome.destination.repository.store.description;
  if (outcome.kind === 'failed') return `NOT stored in ${place}: ${outcome.error.message}`;
  return `stored in ${place} as ${outcome.destination.key} (${methods[outcome.manifest.verified.method]})`;
}
