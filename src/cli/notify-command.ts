// `notify test`: whether messages arrive, found out before they are needed.

import { Argument, type Command } from 'commander';
import { AppError } from '../errors.ts';
import { formatTable } from '../text/table.ts';
import { print, type CommandContext } from './command-context.ts';

/** Adds the command. */
export function addNotifyCommand(program: Command, context: CommandContext): void {
  program
    .command('notify')
    .description('send a message by each channel, to see whether it arrives')
    .addArgument(new Argument('<action>', 'test').choices(['test']))
    .argument('[channel]', 'one of them alone, such as telegram or e-mail')
    .option('--json', 'print the outcomes as one JSON document')
    .action(async (_action: string, channel: string | undefined, { json }: { json?: boolean }) => {
      const outcomes = await context.app.notifyTest({ channel: channel ?? null, signal: context.signal });
      const document = outcomes.map((one) => ({ ...one, status: one.error === null ? 'sent' : 'failed' }));
      const text = formatTable(
        document.map((one) => [one.channel, one.error === null ? 'sent' : `FAILED: ${one.error}`]),
        { columns: context.columns() },
      );
      print(context, { json, document, text });
      const failed = outcomes.filter(({ error }) => error !== null);
      if (failed.length > 0) {
        throw new AppError('message', `No message came through by ${failed.map((one) => one.channel).join(', ')}`, {
          hint: 'Mend the settings of the channels above, then try again: mastodon-backup notify test',
        });
      }
    });
}
