// `completion`: a script by which a shell completes the command.

import { Argument, type Command } from 'commander';
import type { CommandContext } from './command-context.ts';
import { completionScript, shells, type Shell } from './completion.ts';

/** Adds the command. */
export function addCompletionCommand(program: Command, { write }: Pick<CommandContext, 'write'>): void {
  program
    .command('completion')
    .description('a script by which a shell completes commands, options and tiers; to be sourced')
    .addArgument(new Argument('<shell>', 'whose script').choices(shells))
    .action((shell: Shell) => write(completionScript(program, shell)));
}
