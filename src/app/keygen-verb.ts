// `keygen`: a key that signs backups. It needs no settings, for it is what some of them are made with, and it never writes over
// a key that is there.

import { writeFile } from 'node:fs/promises';
import { createSigningKey, publicKeyLine } from '../config/ssh-keys.ts';
import { AppError, describeError } from '../errors.ts';
import type { AppContext } from './context.ts';

/** Options of `keygen`. */
export interface KeygenRequest {
  /** Where the key goes, and its public half beside it as `.pub`; null: it is only returned. */
  readonly output: string | null;
}

/** What was made. */
export interface Keygen {
  /** The private key, as text of its file. */
  readonly file: string;
  /** `ssh-ed25519 AAAA… name`. */
  readonly publicKey: string;
  readonly fingerprint: string;
}

/** Makes a key, and writes it if asked. */
export async function keygen(context: AppContext, { output }: KeygenRequest): Promise<Keygen> {
  const domain = context.environment.get('LOCAL_DOMAIN')?.text ?? '';
  // The comment is one word of a line that others parse.
  const made = createSigningKey(/^[\w.-]+$/.test(domain) ? `mastodon-backup@${domain}` : 'mastodon-backup');
  const publicKey = publicKeyLine(made.publicKey);
  if (output !== null) {
    await writeNew(output, { text: made.file, mode: 0o600 });
    await writeNew(`${output}.pub`, { text: `${publicKey}\n`, mode: 0o644 });
  }
  return { file: made.file, publicKey, fingerprint: made.publicKey.fingerprint };
}

async function writeNew(file: string, { text, mode }: { readonly text: string; readonly mode: number }): Promise<void> {
  try {
    await writeFile(file, text, { mode, flag: 'wx' });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
    throw new AppError(
      'usage',
      `The key could not be written: ${isThere ? `'${file}' exists` : describeError(error)}`,
      {
        cause: error,
        hint: 'Name a new file with --output, in a directory that can be written here.',
      },
    );
  }
}
