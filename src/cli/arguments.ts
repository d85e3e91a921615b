// Parsers for arguments and options. Each throws `InvalidArgumentError`, which ends with exit status 2.

import { InvalidArgumentError } from 'commander';
import { parseAgeIdentity } from '../config/age-keys.ts';
import { AppError, describeError } from '../errors.ts';
import { asFolder, asTier, tiers, type Folder, type Tier } from '../schedule/tier.ts';
import type { StoreName } from '../storage/store.ts';
import type { CommandContext } from './command-context.ts';

/** How a snapshot is named, for help texts. */
export const snapshotForms = 'latest, latest:<tier>, an id, <tier>/<id>, or a date (the nearest one)';

/** What to do where none is named. */
export const snapshotHint = 'Write latest, an id, or a date; see what there is with: mastodon-backup list';

/** A scheduled tier. */
export function parseTier(text: string): Tier {
  const tier = asTier(text);
  if (tier === undefined) throw new InvalidArgumentError(`Write one of ${tiers.join(', ')}.`);
  return tier;
}

/** A tier, or `labelled`. */
export function parseFolder(text: string): Folder {
  const folder = asFolder(text);
  if (folder === undefined) throw new InvalidArgumentError(`Write one of ${tiers.join(', ')}, labelled.`);
  return folder;
}

/** `s3` or `local`. */
export function parseStore(text: string): StoreName {
  if (text !== 's3' && text !== 'local') throw new InvalidArgumentError('Write s3 or local.');
  return text;
}

const mostJobs = 64;

/** Jobs of pg_restore. */
export function parseJobs(text: string): number {
  const jobs = Number(text);
  if (!/^\d+$/.test(text) || jobs < 1 || jobs > mostJobs)
    throw new InvalidArgumentError(`Write a number from 1 to ${mostJobs}.`);
  return jobs;
}

/** A label of a run. */
export function parseLabel(text: string): string {
  const label = text.trim();
  if (label === '' || label.length > 200) throw new InvalidArgumentError('Write 1 to 200 characters.');
  return label;
}

/** Collects an option that may be given several times. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** What reading identities needs of the process. */
type IdentitySources = Pick<CommandContext, 'readFile' | 'readInput'>;

/** The age identities in these files; `-` is stdin, so that a key need not lie on the server. Throws AppError `usage`. */
export async function readIdentities(
  files: readonly string[] = [],
  context: IdentitySources,
): Promise<readonly string[]> {
  const identities: string[] = [];
  // Stdin comes once, however often it is named.
  for (const file of new Set(files)) identities.push(...(await readIdentityFile(file, context)));
  return identities;
}

async function readIdentityFile(file: string, { readFile, readInput }: IdentitySources): Promise<readonly string[]> {
  const isInput = file === '-';
  try {
    return parseAgeIdentity(await (isInput ? readInput() : readFile(file)));
  } catch (error) {
    const what = isInput ? 'The identity on standard input' : `The identity file '${file}'`;
    throw new AppError('usage', `${what} cannot be used: ${describeError(error)}`, {
      cause: error,
      hint: isInput
        ? "Send the key file to it (with Docker: exec -T … --identity - < key.txt); it has a line that starts with 'AGE-SECRET-KEY-'."
        : "Name a file as age-keygen writes it, with a line that starts with 'AGE-SECRET-KEY-'.",
    });
  }
}
