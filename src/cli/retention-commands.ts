// `prune` and `lifecycle`: retention by hand, shown without doing it, or left to the bucket.

import { InvalidArgumentError, type Command } from 'commander';
import { AppError } from '../errors.ts';
import { print, type CommandContext } from './command-context.ts';
import { renderLifecycle } from './lifecycle-text.ts';
import { pruneDocument, renderPrune } from './prune-text.ts';

/** Adds the commands. */
export function addRetentionCommands(program: Command, context: CommandContext): void {
  program
    .command('prune')
    .description('apply retention; every line says why a snapshot stays or goes')
    .option('--dry-run', 'show it, remove nothing')
    .option('--accept-new-server', 'the database has moved: judge the snapshots of its earlier server like our own')
    .option('--json', 'print the result as one JSON document')
    .action(async (options: { dryRun?: boolean; acceptNewServer?: boolean; json?: boolean }) => {
      const dryRun = options.dryRun === true;
      const acceptNewServer = options.acceptNewServer === true;
      const results = await context.app.prune({ dryRun, acceptNewServer, signal: context.signal });
      print(context, {
        json: options.json,
        document: pruneDocument(results, { dryRun }),
        text: renderPrune(results, { dryRun }),
      });
      const failed = results.find(({ error }) => error !== null);
      if (failed !== undefined) {
        throw new AppError('store', `Retention could not be carried out in ${failed.place}: ${failed.error}`, {
          hint: 'Check the store with the command: mastodon-backup doctor; what was not removed stays until the next time.',
        });
      }
    });

  program
    .command('lifecycle')
    .description('bucket rules that match the retention; `apply` puts them in place')
    .argument('[action]', 'show or apply', parseAction, 'show')
    .option('--json', 'print the result as one JSON document')
    .action(async (action: 'show' | 'apply', { json }: { json?: boolean }) => {
      const { app, signal } = context;
      try {
        const report = action === 'show' ? await app.showLifecycle(signal) : await app.applyLifecycle(signal);
        print(context, { json, document: report, text: renderLifecycle(report) });
      } catch (error) {
        if (action === 'show' || !(error instanceof AppError) || error.code !== 'store') throw error;
        // Without the right to change them a person can.
        const report = await app.showLifecycle(signal);
        print(context, { json, document: report, text: renderLifecycle(report) });
        throw new AppError('store', error.message, {
          cause: error,
          hint: "Enter the rules above in the bucket's dashboard, or use a token that may change the bucket.",
        });
      }
    });
}

function parseAction(text: string): 'show' | 'apply' {
  if (text !== 'show' && text !== 'apply') throw new InvalidArgumentError('Write show or apply.');
  return text;
}
