// `daemon`: what the image runs by default, until it is told to end.

import type { Command } from 'commander';
import { createClock } from '../daemon/clock.ts';
import { runDaemon } from '../daemon/services.ts';
import type { CommandContext } from './command-context.ts';

/** Adds the command. */
export function addDaemonCommand(program: Command, { app, toolVersion, signal }: CommandContext): void {
  program
    .command('daemon')
    .description('back up by the schedules until it is told to end; the default of the image')
    .action(async () => runDaemon({ app, clock: createClock(() => new Date()), toolVersion, signal }));
}
