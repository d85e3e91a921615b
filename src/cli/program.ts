// The table of commands: arguments in, one verb of the app, text or one JSON document out. Wrong arguments end with exit
// status 2 like wrong settings.

import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { parseAgeIdentity } from '../config/age-keys.ts';
import { AppError, describeError, exitStatusOf } from '../errors.ts';
import type { App } from '../app.ts';
import { asFolder, asTier, tiers, type Folder, type Tier } from '../plan/tier.ts';
import type { StoreName } from '../storage/store.ts';
import { renderCatalogue, catalogueDocument } from './catalogue-text.ts';
import { renderConfig, renderFindings, renderVerification } from './report-text.ts';
import { firstError, renderRun, runDocument } from './run-text.ts';
import { showProgress, type ProgressOutput } from './progress-bar.ts';

/** What a command needs of the process. */
export interface ProgramContext {
  readonly app: App;
  readonly signal: AbortSignal;
  readonly processId: number;
  /** Writes to stdout; a closed stdout is not an error. */
  readonly write: (text: string) => void;
  readonly progress: ProgressOutput;
  readonly readFile: (file: string) => Promise<string>;
  readonly toolVersion: string;
}

const exitStatuses = `
Exit status: 0 done, 1 unexpected, 2 settings or arguments, 3 another run holds the lock, 4 no such snapshot,
5 doctor found problems, 10 dump failed or database unreachable, 11 compression or encryption failed, 12 storing failed,
13 verification failed, 124 timed out or stalled, 130 interrupted.`;

/** Runs the command in `argv` (without node and script). Rejects with AppError, also told on stdout where `--json` is asked for. */
export async function runProgram(argv: readonly string[], context: ProgramContext): Promise<void> {
  let printed = false;
  const write = (text: string): void => {
    printed = true;
    context.write(text);
  };
  const program = createProgram({ ...context, write });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return;
    const failure = error instanceof CommanderError ? usageError(error) : error;
    // Whoever reads JSON finds one document, whatever happened.
    if (!printed && argv.includes('--json')) context.write(context.app.redact(failureDocument(failure)));
    throw failure;
  }
}

function usageError(error: CommanderError): AppError {
  const message =
    error.code === 'commander.help' ? 'No command was given' : error.message.replace(/^error: /, '').replace(/\.$/, '');
  return new AppError('usage', message, {
    cause: error,
    hint: 'See what there is with the command: mastodon-backup --help.',
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

function createProgram(context: ProgramContext): Command {
  const { app, signal, write } = context;
  const program = new Command('mastodon-backup')
    .description('Verified backups of a Mastodon database into R2, any S3 or a directory')
    .version(context.toolVersion)
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: () => undefined })
    .addHelpText('after', exitStatuses);
  const print = (
    json: boolean | undefined,
    { document, text }: { readonly document: unknown; readonly text: string },
  ): void => write(json === true ? `${JSON.stringify(document, null, 2)}\n` : text);

  program
    .command('run')
    .description('make one backup now')
    .argument('[tier]', `one of ${tiers.join(', ')}`, parseTier, 'daily')
    .option('--label <text>', 'store it under labelled/, out of ordinary retention', parseLabel)
    .option('--wait', 'wait while another run holds the lock')
    .option('--json', 'print the result as one JSON document')
    .action(async (tier: Tier, options: { label?: string; wait?: boolean; json?: boolean }) => {
      const startedAt = performance.now();
      using progress = showProgress(context.progress, app.log);
      const result = await app.run({
        tier: options.label === undefined ? tier : 'labelled',
        label: options.label ?? null,
        wait: options.wait === true,
        processId: context.processId,
        signal,
        onProgress: progress.update,
      });
      progress[Symbol.dispose]();
      const durationMs = Math.round(performance.now() - startedAt);
      print(options.json, { document: runDocument(result, { durationMs }), text: renderRun(result, { durationMs }) });
      const error = firstError(result);
      if (error !== undefined) throw error;
    });

  program
    .command('list')
    .description('committed snapshots, newest first')
    .option('--tier <tier>', 'one tier only', parseFolder)
    .option('--from <store>', 's3 or local', parseStore)
    .option('--json', 'print them as one JSON document')
    .action(async (options: { tier?: Folder; from?: StoreName; json?: boolean }) => {
      const catalogue = await app.list({ from: options.from ?? null, tier: options.tier ?? null, signal });
      print(options.json, { document: catalogueDocument(catalogue), text: renderCatalogue(catalogue) });
    });

  program
    .command('verify')
    .description('read a snapshot back: hash it, decode it to the end')
    .argument('[snapshot]', 'latest, latest:<tier>, an id, or <tier>/<id>', 'latest')
    .option('--identity <file>', 'age private key; without one an encrypted snapshot is hashed only')
    .option('--from <store>', 's3 or local', parseStore)
    .option('--instance <name>', 'which instance, when several share the prefix')
    .option('--json', 'print the result as one JSON document')
    .action(
      async (snapshot: string, options: { identity?: string; from?: StoreName; instance?: string; json?: boolean }) => {
        using progress = showProgress(context.progress, app.log);
        const result = await app.verify({
          snapshot,
          from: options.from ?? null,
          instance: options.instance ?? null,
          identities: options.identity === undefined ? [] : await readIdentity(options.identity, context),
          signal,
          onProgress: progress.update,
        });
        progress[Symbol.dispose]();
        print(options.json, {
          document: {
            snapshot: `${result.manifest.tier}/${result.manifest.id}`,
            hashed: true,
            decoded: result.decoded,
          },
          text: renderVerification(result),
        });
      },
    );

  program
    .command('config')
    .description('the settings in force, secrets hidden')
    .option('--json', 'print them as one JSON document')
    .action((options: { json?: boolean }) => {
      const settings = app.config();
      print(options.json, { document: settings, text: renderConfig(settings) });
    });

  program
    .command('doctor')
    .description('check everything that can be checked without taking a backup')
    .option('--json', 'print the findings as one JSON document')
    .action(async (options: { json?: boolean }) => {
      const findings = await app.doctor(signal);
      print(options.json, { document: findings, text: renderFindings(findings) });
      const problems = findings.filter(({ status }) => status === 'problem');
      if (problems.length > 0) {
        throw new AppError(
          'findings',
          `The doctor found ${problems.length} problems: ${problems.map(({ check }) => check).join(', ')}`,
          {
            hint: 'Follow the remedies above.',
          },
        );
      }
    });

  for (const command of program.commands)
    command.exitOverride().configureOutput({ writeOut: write, writeErr: () => undefined });
  return program;
}

function parseTier(text: string): Tier {
  const tier = asTier(text);
  if (tier === undefined) throw new InvalidArgumentError(`Write one of ${tiers.join(', ')}.`);
  return tier;
}

function parseFolder(text: string): Folder {
  const folder = asFolder(text);
  if (folder === undefined) throw new InvalidArgumentError(`Write one of ${tiers.join(', ')}, labelled.`);
  return folder;
}

function parseStore(text: string): StoreName {
  if (text !== 's3' && text !== 'local') throw new InvalidArgumentError('Write s3 or local.');
  return text;
}

function parseLabel(text: string): string {
  const label = text.trim();
  if (label === '' || label.length > 200) throw new InvalidArgumentError('Write 1 to 200 characters.');
  return label;
}

async function readIdentity(file: string, { readFile }: ProgramContext): Promise<readonly string[]> {
  try {
    return parseAgeIdentity(await readFile(file));
  } catch (error) {
    throw new AppError('usage', `The identity file '${file}' cannot be used: ${describeError(error)}`, {
      cause: error,
      hint: "Name a file as age-keygen writes it, with a line that starts with 'AGE-SECRET-KEY-'.",
    });
  }
}
