// The table of commands: arguments in, one verb of the app, text or one JSON document out. Wrong arguments end with exit
// status 2 like wrong settings.

import { Command, CommanderError } from 'commander';
import { AppError, describeError, exitStatusOf, exitStatuses } from '../errors.ts';
import type { Redact } from '../log.ts';
import { layOutHint } from '../text/hint.ts';
import { withLocalMicros, withLocalTimes } from '../text/moment.ts';
import { wrap, type Width } from '../text/table.ts';
import { forTerminal } from '../text/terminal.ts';
import type { CommandContext } from './command-context.ts';
import { snapshotHint } from './arguments.ts';
import { loadCommands } from './command-modules.ts';
import { addExamples } from './examples.ts';

const helpColumns = 110;

/** Runs the command in `argv` (without node and script). Rejects with AppError, also told on stdout where `--json` is asked for. */
export async function runProgram(argv: readonly string[], context: CommandContext): Promise<void> {
  let printed = false;
  const write = (text: string): void => {
    printed = true;
    context.write(text);
  };
  // What stands after it is a statement, and no snapshot; commander would not tell the two apart.
  const end = argv[0] === 'open' ? argv.indexOf('--') : -1;
  const words = end === -1 ? [] : argv.slice(end + 1);
  const program = await createProgram({ ...context, write }, { name: argv[0], words });
  try {
    await program.parseAsync(end === -1 ? [...argv] : argv.slice(0, end), { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return;
    const failure = error instanceof CommanderError ? usageError(error, argv) : error;
    // Whoever reads JSON finds one document, whatever happened.
    if (!printed && argv.includes('--json')) context.write(context.app.redact(failureDocument(failure)));
    throw failure;
  }
}

/** The line on stderr that says what failed and what to do. */
export function describeFailure(
  error: unknown,
  {
    redact,
    program,
    timeZone = 'UTC',
    columns = Number.POSITIVE_INFINITY,
  }: { readonly redact: Redact; readonly program: string; readonly timeZone?: string } & Partial<Width>,
): string {
  const [message, hint] =
    error instanceof AppError
      ? [error.message, error.hint]
      : [`Unexpected failure: ${describeError(error)}`, undefined];
  const text = `mastodon-backup: ${withLocalTimes(message, timeZone)}${hint === undefined ? '' : `. ${withLocalMicros(hint, timeZone)}`}`;
  const lines = text.split('\n').map((line) => {
    const indent = line.length - line.trimStart().length;
    const look = { program, columns, indent: indent + 2, firstIndent: indent };
    return `${' '.repeat(indent)}${layOutHint(line.trimStart(), look)}`;
  });
  return forTerminal(redact(`${lines.join('\n')}\n`));
}

function usageError(error: CommanderError, [first, second]: readonly string[]): AppError {
  const isUnknown = first === 'help' && second !== undefined;
  const nothing = isUnknown ? `unknown command '${second}'` : 'No command was given';
  const message = error.code === 'commander.help' ? nothing : error.message.replace(/^error: /, '').replace(/\.$/, '');
  const lacksSnapshot = error.code === 'commander.missingArgument' && message.includes("'snapshot'");
  const usual =
    error.code === 'commander.conflictingOption'
      ? 'Leave one of the two out.'
      : 'See what there is with the command: mastodon-backup --help.';
  // Docker knows 0 and 1 alone.
  return new AppError(first === 'health' ? 'unhealthy' : 'usage', message, {
    cause: error,
    hint: lacksSnapshot ? snapshotHint : usual,
  });
}

function failureDocument(error: unknown): string {
  const known = error instanceof AppError;
  const document = {
    error: {
      code: known ? error.code : 'unexpected',
      exitStatus: exitStatusOf(error),
      message: known ? error.message : describeError(error),
      hint: known ? (error.hint ?? null) : null,
    },
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function describeExitStatuses(): string {
  const all = [...exitStatuses].map(([status, words]) => `${status} ${words}`).join('; ');
  return wrap(`Exit status: ${all}.`, { columns: helpColumns, indent: 0 });
}

async function createProgram(
  context: CommandContext,
  { name, words }: { readonly name: string | undefined; readonly words: readonly string[] },
): Promise<Command> {
  const output = { writeOut: context.write, writeErr: (): void => undefined };
  const program = new Command('mastodon-backup')
    .description('Verified backups of a Mastodon database into R2, any S3 or a directory')
    .version(context.toolVersion)
    .exitOverride()
    .configureOutput(output)
    .addHelpText('after', `\n${describeExitStatuses()}`);
  for (const add of await loadCommands(name)) add(program, context, words);
  addExamples(program, context.program);
  for (const command of program.commands) command.exitOverride().configureOutput(output);
  return program;
}
