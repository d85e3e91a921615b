// `recovery-kit`: one page to print.

import { InvalidArgumentError, type Command } from 'commander';
import type { CommandContext } from './command-context.ts';

/** Adds the command. */
export function addRecoveryKitCommand(program: Command, context: CommandContext): void {
  const { app, signal } = context;
  program
    .command('recovery-kit')
    .description('one page to print: what is where, which keys are needed, the stock commands that restore')
    .option('--output <file>', 'write it to a file that ends in .txt or .html', parseKitFile)
    .option('--html', 'HTML on stdout instead of text')
    .option('--instance <name>', 'which instance, when several share the prefix')
    .action(async ({ output, html, instance }: { output?: string; html?: boolean; instance?: string }) => {
      const asHtml = html === true || (output !== undefined && /\.html?$/i.test(output));
      const format = asHtml ? 'html' : 'text';
      const text = await app.recoveryKit({ format, instance: instance ?? null, output: output ?? null, signal });
      context.write(output === undefined ? text : `The recovery kit is in ${output}\n`);
    });
}

// A mistyped name must not be able to replace an .env.production.
function parseKitFile(file: string): string {
  if (!/\.(?:txt|html?)$/i.test(file)) throw new InvalidArgumentError('Write a name that ends in .txt or .html.');
  return file;
}
