// `pin` and `unpin`: a snapshot that is to stay, whatever retention says, until somebody says that it need not.

import type { Command } from 'commander';
import type { PinReport } from '../app/pin-verb.ts';
import type { StoreName } from '../storage/store.ts';
import { parseStore, snapshotForms } from './arguments.ts';
import { wrap, type Width } from '../text/table.ts';
import { print, type CommandContext } from './command-context.ts';

interface PinOptions {
  readonly from?: StoreName;
  readonly instance?: string;
  readonly json?: boolean;
}

/** Adds the commands. */
export function addPinCommands(program: Command, context: CommandContext): void {
  const { app } = context;
  const add = (name: 'pin' | 'unpin', does: string): void => {
    program
      .command(name)
      .description(does)
      .argument('<snapshot>', snapshotForms)
      .option('--from <store>', 's3 or local; left out: every destination that has it', parseStore)
      .option('--instance <name>', 'which instance, when several share the prefix')
      .option('--json', 'print the result as one JSON document')
      .action(async (snapshot: string, options: PinOptions) => {
        const reports = await app[name]({
          snapshot,
          from: options.from ?? null,
          instance: options.instance ?? null,
          signal: context.signal,
        });
        print(context, {
          json: options.json,
          document: reports,
          text: reports.map((report) => renderPin(report, { columns: context.columns() })).join(''),
        });
      });
  };
  add('pin', 'keep a snapshot out of retention until it is unpinned');
  add('unpin', 'give a pinned snapshot back to retention');
}

const words = {
  pinned: 'is pinned: retention leaves it alone until it is unpinned',
  'pinned-before': 'was pinned already',
  unpinned: 'is no longer pinned: retention may remove it',
  'not-pinned': 'was not pinned',
} as const;

/** What became of it at one destination, as text. */
export function renderPin({ snapshot, place, outcome, isRuled }: PinReport, { columns }: Width): string {
  const isKept = outcome === 'pinned' || outcome === 'pinned-before';
  const warning = 'NOTE: the rules of the bucket remove it all the same; they know no pins.';
  return [
    wrap(`${snapshot} in ${place} ${words[outcome]}`, { columns, indent: 2, firstIndent: 0 }),
    ...(isKept && isRuled ? [`  ${wrap(warning, { columns, indent: 4, firstIndent: 2 })}`] : []),
    '',
  ].join('\n');
}
