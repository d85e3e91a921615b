// `keygen` and `adopt`: whose backups count. What keygen writes to stdout is the key alone, so that it can go straight into its
// file.

import type { Command } from 'commander';
import type { Adoption } from '../app/adopt-verb.ts';
import { AppError } from '../errors.ts';
import type { StoreName } from '../storage/store.ts';
import { plural } from '../text/table.ts';
import { collect, parseStore, readIdentities } from './arguments.ts';
import { print, type CommandContext } from './command-context.ts';
import { showProgress } from './progress-bar.ts';

interface AdoptOptions {
  readonly all?: boolean;
  readonly identity?: readonly string[];
  readonly from?: StoreName;
  readonly json?: boolean;
}

/** Adds the commands. */
export function addSigningCommands(program: Command, context: CommandContext): void {
  const { app } = context;
  program
    .command('keygen')
    .description('make a key that signs backups, as ssh-keygen would; without --output it goes to stdout')
    .option('--output <file>', 'where to write it, with its public half beside it as .pub')
    .action(async ({ output }: { output?: string }) => {
      const { file, publicKey, fingerprint } = await app.keygen({ output: output ?? null });
      if (output === undefined) {
        context.write(file);
        app.log.info({ fingerprint }, `Its public half, for BACKUP_TRUSTED_SIGNERS on other machines: ${publicKey}`);
        return;
      }
      print(context, {
        json: false,
        document: null,
        text: [
          `The key is in ${output}: name it in BACKUP_SIGNING_KEY_FILE, and let only the user of this program read it.`,
          `Its public half, ${fingerprint}, is in ${output}.pub, for BACKUP_TRUSTED_SIGNERS on other machines:`,
          publicKey,
          '',
        ].join('\n'),
      });
    });

  program
    .command('adopt')
    .description(
      'sign what was there before the key: each snapshot, and each base backup with its log, is read back and decoded first',
    )
    .argument(
      '[snapshots...]',
      'ids, or <tier>/<id>, as list shows them; pitr/<id> of a base backup, with the log behind it',
    )
    .option('--all', 'all unsigned ones of this instance')
    .option('--identity <file>', 'age private key; without one an encrypted snapshot is hashed only', collect)
    .option('--from <store>', 's3 or local; left out: every destination', parseStore)
    .option('--json', 'print the result as one JSON document')
    .action(async (snapshots: readonly string[], options: AdoptOptions) => {
      if ((options.all === true) === snapshots.length > 0) {
        throw new AppError('usage', 'It is not said what is to be adopted', {
          hint: 'Write --all, or name snapshots as they are listed by: mastodon-backup list.',
        });
      }
      using progress = showProgress(context.progress, app.log);
      const adoptions = await app.adopt({
        snapshots: options.all === true ? null : snapshots,
        from: options.from ?? null,
        identities: await readIdentities(options.identity, context),
        signal: context.signal,
        onProgress: progress.update,
      });
      progress[Symbol.dispose]();
      print(context, { json: options.json, document: adoptions, text: renderAdoptions(adoptions) });
      const refused = adoptions.filter(({ adopted }) => !adopted);
      const [first] = refused;
      if (first === undefined) return;
      throw new AppError('verify', `${refused.length} of ${adoptions.length} could not be adopted: ${first.problem}`, {
        hint: 'Look at those that say so above; they go on counting for nothing.',
      });
    });
}

function renderAdoptions(adoptions: readonly Adoption[]): string {
  if (adoptions.length === 0) return 'Nothing to adopt: all of it is signed.\n';
  return adoptions
    .map(({ snapshot, place, decoded, problem, log }) => {
      const how =
        problem !== null
          ? `NOT adopted: ${problem}`
          : log !== null
            ? `read back, decoded to the end, signed with ${plural(log.segments, 'segment')} of the log behind it, to ${log.reaches}${log.hole === null ? '' : `; ${log.hole}`}`
            : decoded
              ? 'read back, decoded to the end, signed'
              : 'read back, hash right, signed; NOT decoded: it is encrypted and there is no --identity';
      return `${snapshot} in ${place}: ${how}\n`;
    })
    .join('');
}
