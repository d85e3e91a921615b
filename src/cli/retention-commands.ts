// `prune`: retention by hand, or shown without doing it.

import type { Command } from 'commander';
import { AppError } from '../errors.ts';
import { print, type CommandContext } from './command-context.ts';
import { pruneDocument, renderPrune } from './prune-text.ts';

/** Adds the command. */
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
}
