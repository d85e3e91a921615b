// `run`: one backup now.

import type { Command } from 'commander';
import { firstError } from '../app/run-verb.ts';
import { tiers, type Tier } from '../schedule/tier.ts';
import { parseLabel, parseTier } from './arguments.ts';
import { print, type CommandContext } from './command-context.ts';
import { showProgress } from './progress-bar.ts';
import { renderRun, runDocument } from './run-text.ts';

/** Adds the command. */
export function addRunCommand(program: Command, context: CommandContext): void {
  const { app, signal } = context;
  program
    .command('run')
    .description('make one backup now')
    .argument('[tier]', `one of ${tiers.join(', ')}`, parseTier, 'daily')
    .option('--label <text>', 'store it under labelled/, out of ordinary retention', parseLabel)
    .option('--wait', 'wait while another run holds the lock')
    .option('--json', 'print the result as one JSON document')
    .action(async (tier: Tier, options: { label?: string; wait?: boolean; json?: boolean }) => {
      const startedAt = performance.now();
      using progress = showProgress(context.progress, app.log);
      const result = await app.run({
        tier: options.label === undefined ? tier : 'labelled',
        label: options.label ?? null,
        wait: options.wait === true,
        signal,
        onProgress: progress.update,
      });
      progress[Symbol.dispose]();
      const durationMs = Math.round(performance.now() - startedAt);
      print(context, {
        json: options.json,
        document: runDocument(result, { durationMs }),
        text: renderRun(result, { durationMs }),
      });
      const error = firstError(result);
      if (error !== undefined) throw error;
    });
}
