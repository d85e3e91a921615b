// `daemon`: what the image runs by default.

import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';

/** Adds the command. */
export function addDaemonCommand(program: Command, context: CommandContext): void {
  program
    .command('daemon')
    .description('back up by the schedules until it is told to end; the default of the image')
    .action(async () => context.runDaemon(context.signal));
}
