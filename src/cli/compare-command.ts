// `compare`: what has changed since a snapshot, table by table. When the time is over before all is counted, what was counted
// is shown and the status says that it is not all.

import { InvalidArgumentError, Option, type Command } from 'commander';
import type { CompareResult } from '../app/compare-verb.ts';
import { parseDuration } from '../config/values.ts';
import { outOfTime } from '../database/uncounted-table.ts';
import { AppError, describeError } from '../errors.ts';
import { snapshotName } from '../snapshots/manifest.ts';
import { formatSpan } from '../text/format.ts';
import { formatTable, plural } from '../text/table.ts';
import { parseStore, readSource, snapshotForms, type SourceOptions } from './arguments.ts';
import { print, type CommandContext } from './command-context.ts';

interface CompareOptions extends SourceOptions {
  readonly timeout: number;
  readonly json?: boolean;
}

const usualLimitMs = 600_000;

/** Adds the command. */
export function addCompareCommand(program: Command, context: CommandContext): void {
  const { app } = context;
  program
    .command('compare')
    .description('rows of every table in a snapshot against the live database, without restoring')
    .argument('[snapshot]', snapshotForms, 'latest')
    .option('--from <store>', 's3 or local', parseStore)
    .option('--accept-unsigned', 'take what nobody who is trusted has signed for ours')
    .option('--instance <name>', 'which instance, when several share the prefix')
    .addOption(
      new Option('--timeout <duration>', 'how long the counting may take')
        .argParser(parseLimit)
        .default(usualLimitMs, '10m'),
    )
    .option('--json', 'print the result as one JSON document')
    .action(async (snapshot: string, options: CompareOptions) => {
      const result = await app.compare({
        snapshot,
        ...(await readSource(options, context)),
        limitMs: options.timeout,
      });
      print(context, {
        json: options.json,
        document: compareDocument(result),
        text: renderComparison(result, { columns: context.columns() }),
      });
      const late = result.uncounted.filter(({ reason }) => reason === outOfTime);
      if (late.length === 0) return;
      throw new AppError(
        'timeout',
        `Counting took longer than ${formatSpan(options.timeout)}: ${plural(late.length, 'table')} not counted`,
        { hint: 'Give it more time with --timeout, in an hour in which the server has little to do.' },
      );
    });
}

function parseLimit(text: string): number {
  try {
    return parseDuration('run')(text);
  } catch (error) {
    throw new InvalidArgumentError(describeError(error));
  }
}

function compareDocument(result: CompareResult): object {
  const { manifest, database, countedAt, changed, same, uncounted } = result;
  return {
    snapshot: snapshotName(manifest),
    dataAt: manifest.dataAt,
    database,
    countedAt,
    changed,
    same,
    uncounted,
  };
}

function renderComparison(
  { manifest, database, changed, same, uncounted }: CompareResult,
  width: { readonly columns: number },
): string {
  const parts = [
    `${database} beside ${snapshotName(manifest)}\n`,
    changed.length === 0
      ? ''
      : formatTable(
          [
            ['SNAPSHOT', 'NOW', 'DIFFERENCE', 'TABLE'],
            ...changed.map(({ table, before, now, difference }) => [
              before === null ? 'no table' : String(before),
              now === null ? 'no table' : String(now),
              difference > 0 ? `+${difference}` : String(difference),
              table,
            ]),
          ],
          width,
        ),
    `${plural(same, 'table has', 'tables have')} as many rows as in the snapshot.\n`,
    uncounted.length === 0
      ? ''
      : `Not counted:\n${formatTable(
          uncounted.map(({ table, reason }) => [`  ${table}`, reason]),
          width,
        )}`,
  ];
  return parts.filter((part) => part !== '').join('\n');
}
