// `daemon`: what the image runs by default, until it is told to end.

import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';

/** Adds the command. */
export function addDaemonCommand(program: Command, { app, toolVersion, signal }: CommandContext): void {
  program
    .command('daemon')
    .description('back up by the schedules until it is told to end; the default of the image')
    .action(async () => {
      const [{ createClock }, { runDaemon }] = await Promise.all([
        import('../daemon/clock.ts'),
        import('../daemon/services.ts'),
      ]);
      await app.load();
      await runDaemon({ app, clock: createClock(() => new Date()), toolVersion, signal });
    });
}
