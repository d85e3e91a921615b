// `list` and `verify`: what is there, and whether it is what it says.

import type { Command } from 'commander';
import type { Folder } from '../schedule/tier.ts';
import type { StoreName } from '../storage/store.ts';
import { collect, parseFolder, parseStore, readIdentities, snapshotForms } from './arguments.ts';
import { catalogueDocument, renderCatalogue } from './catalogue-text.ts';
import { print, type CommandContext } from './command-context.ts';
import { showProgress } from './progress-bar.ts';
import { renderVerification } from './report-text.ts';

interface VerifyOptions {
  readonly identity?: readonly string[];
  readonly from?: StoreName;
  readonly instance?: string;
  readonly json?: boolean;
}

/** Adds the commands. */
export function addReadingCommands(program: Command, context: CommandContext): void {
  const { app, signal } = context;
  program
    .command('list')
    .description('committed snapshots, newest first')
    .option('--tier <tier>', 'one tier only', parseFolder)
    .option('--from <store>', 's3 or local', parseStore)
    .option('--json', 'print them as one JSON document')
    .action(async (options: { tier?: Folder; from?: StoreName; json?: boolean }) => {
      const catalogue = await app.list({ from: options.from ?? null, tier: options.tier ?? null, signal });
      print(context, {
        json: options.json,
        document: catalogueDocument(catalogue),
        text: renderCatalogue(catalogue),
      });
    });

  program
    .command('verify')
    .description('read a snapshot back: hash it, decode it to the end')
    .argument('[snapshot]', snapshotForms, 'latest')
    .option('--identity <file>', 'age private key; without one an encrypted snapshot is hashed only', collect)
    .option('--from <store>', 's3 or local', parseStore)
    .option('--instance <name>', 'which instance, when several share the prefix')
    .option('--json', 'print the result as one JSON document')
    .action(async (snapshot: string, options: VerifyOptions) => {
      using progress = showProgress(context.progress, app.log);
      const result = await app.verify({
        snapshot,
        from: options.from ?? null,
        instance: options.instance ?? null,
        identities: await readIdentities(options.identity, context),
        signal,
        onProgress: progress.update,
      });
      progress[Symbol.dispose]();
      print(context, {
        json: options.json,
        document: {
          snapshot: `${result.manifest.tier}/${result.manifest.id}`,
          hashed: true,
          decoded: result.decoded,
          secrets: result.secrets,
        },
        text: renderVerification(result),
      });
    });
}
