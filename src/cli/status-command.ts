// `status`: the status page as text, once or again and again.

import type { Command } from 'commander';
import { AppError } from '../errors.ts';
import { pauseOrEnd } from '../stream/patience.ts';
import { coloured, plain } from '../text/paint.ts';
import { mapStrings } from '../text/strings.ts';
import { forTerminal } from '../text/terminal.ts';
import type { CommandContext } from './command-context.ts';
import { renderStatus } from './status-text.ts';

const everyMs = 2_000;
/** Home, and nothing below: without the flicker of an empty screen. */
const redraw = '\u001B[H\u001B[J';

/** Adds the command. */
export function addStatusCommand(program: Command, context: CommandContext): void {
  const { app, write, stdout, columns, hasColours } = context;
  // Names and messages come from elsewhere: they are made harmless before anything of ours is added to them.
  const text = async (): Promise<string> =>
    renderStatus(
      mapStrings(await app.status(), (words) => forTerminal(words).replaceAll(/\s/g, ' ')),
      { columns: columns(), paint: hasColours ? coloured : plain },
    );
  program
    .command('status')
    .description(
      'how it stands: the status page as text; asks no database, and a bucket only when nothing is remembered',
    )
    .option('--watch', 'show it again every two seconds, until Ctrl-C')
    .option('--json', 'print it as one JSON document')
    .action(async ({ watch, json }: { watch?: boolean; json?: boolean }) => {
      if (json === true) {
        if (watch === true)
          throw new AppError('usage', '--watch and --json exclude each other: one JSON document is printed', {
            hint: 'Leave one of them out.',
          });
        write(`${JSON.stringify(await app.status(), null, 2)}\n`);
        return;
      }
      if (watch !== true) {
        write(await text());
        return;
      }
      // Where nobody reads any more, as behind `head` or a dropped ssh, it would go on for good.
      const unread = new AbortController();
      stdout.once('error', () => unread.abort());
      const signal = AbortSignal.any([context.signal, unread.signal]);
      while (!signal.aborted) {
        const shown = await text();
        write(Number.isFinite(columns()) ? `${redraw}${shown}` : `${shown}\n`);
        await pauseOrEnd(everyMs, signal);
      }
    });
}
