// `keygen`: whose backups count. What goes to stdout is the key alone, so that it can go straight into its file.

import type { Command } from 'commander';
import { print, type CommandContext } from './command-context.ts';

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
}
