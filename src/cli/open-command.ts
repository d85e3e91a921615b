// `open`: psql on a throw-away copy of a snapshot, or the answer to one statement. The answer alone is on stdout.

import { Option, type Command } from 'commander';
import type { OpenWork } from '../app/open-verb.ts';
import type { RowFormat } from '../database/psql.ts';
import { AppError } from '../errors.ts';
import { collect, parseStore, readSource, snapshotForms, type SourceOptions } from './arguments.ts';
import type { CommandContext } from './command-context.ts';
import { showProgress } from './progress-bar.ts';

interface OpenOptions extends SourceOptions {
  readonly format: RowFormat;
}

/** Adds the command; `words` is what stands after `--`. */
export function addOpenCommand(program: Command, context: CommandContext, words: readonly string[]): void {
  const { app } = context;
  program
    .command('open')
    .description('look into a snapshot: psql on a throw-away copy that can only be read, or one statement after --')
    .usage('[options] [snapshot] [-- sql]')
    .argument('[snapshot]', snapshotForms, 'latest')
    .addOption(new Option('--format <format>', 'how rows are shown').choices(['table', 'csv', 'json']).default('table'))
    .option('--identity <file>', 'age private key, for an encrypted snapshot', collect)
    .option('--from <store>', 's3 or local', parseStore)
    .option('--accept-unsigned', 'take what nobody who is trusted has signed for ours')
    .option('--instance <name>', 'which instance, when several share the prefix')
    .action(async (snapshot: string, options: OpenOptions) => {
      const work = chooseWork(words.join(' ').trim(), { options, context });
      using progress = showProgress(context.progress, app.log);
      await app.open({
        snapshot,
        ...(await readSource(options, context)),
        work,
        onProgress: progress.update,
        onOpen: () => progress[Symbol.dispose](),
      });
    });
}

function chooseWork(
  sql: string,
  { options, context }: { readonly options: OpenOptions; readonly context: CommandContext },
): OpenWork {
  const { format } = options;
  // Some of psql's own commands run a shell, or read and write files of whoever runs it: who passes a statement on means none.
  if (sql.startsWith('\\'))
    throw new AppError(
      'usage',
      `What stands after -- is SQL, and '${sql.split(/\s/)[0]}' is a command of psql itself`,
      {
        hint: 'Type it in psql, which you get with nothing after --: mastodon-backup open.',
      },
    );
  if (sql !== '') return { kind: 'statement', format, sql, to: context.stdout };
  const hint = 'Write the statement after --, as in: mastodon-backup open latest -- "table accounts".';
  if (format === 'json')
    throw new AppError('usage', 'psql does not write JSON; one statement can be answered so', { hint });
  if (options.identity?.includes('-') === true)
    throw new AppError('usage', 'Standard input is the key, and psql would have nothing to read', { hint });
  const { terminal, runInForeground } = context;
  return { kind: 'session', format, terminal, run: runInForeground };
}
