// Parsers for arguments and options. Each throws `InvalidArgumentError`, which ends with exit status 2.

import { InvalidArgumentError } from 'commander';
import { parseAgeIdentity } from '../config/age-keys.ts';
import { AppError, describeError } from '../errors.ts';
import { folders, tiers } from '../schedule/tier.ts';
import type { StoreName } from '../storage/store.ts';
import { isMisleading } from '../text/terminal.ts';
import type { CommandContext } from './command-context.ts';

/** How a snapshot is named, for help texts. */
export const snapshotForms = 'latest, latest:<tier>, an id, <tier>/<id>, or a date (the nearest one)';

/** What to do where none is named. */
export const snapshotHint = 'Write latest, an id, or a date; see what there is with: mastodon-backup list';

/** One of these words. */
export function parseOneOf<const Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((one) => one === text);
    if (word === undefined) throw new InvalidArgumentError(`Write one of ${words.join(', ')}.`);
    return word;
  };
}

/** A scheduled tier. */
export const parseTier = parseOneOf(tiers);

/** A tier, or `labelled`. */
export const parseFolder = parseOneOf(folders);

/** `s3` or `local`. */
export function parseStore(text: string): StoreName {
  if (text !== 's3' && text !== 'local') throw new InvalidArgumentError('Write s3 or local.');
  return text;
}

/** A whole number from 1 on. */
export function parseCount(most: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (!/^\d+$/.test(text) || count < 1 || count > most)
      throw new InvalidArgumentError(`Write a number from 1 to ${most}.`);
    return count;
  };
}

/** Jobs of pg_restore. */
export const parseJobs = parseCount(64);

/** A label of a run. */
export function parseLabel(text: string): string {
  const label = text.trim();
  if (label === '' || label.length > 200) throw new InvalidArgumentError('Write 1 to 200 characters.');
  if (isMisleading(label)) throw new InvalidArgumentError('Write one line, without control characters.');
  return label;
}

/** Collects an option that may be given several times. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** Options of whoever reads what is stored. */
export interface SourceOptions {
  readonly identity?: readonly string[];
  readonly acceptUnsigned?: boolean;
  readonly from?: StoreName;
  readonly instance?: string;
}

/** What they mean. Throws AppError `usage`. */
export async function readSource(options: SourceOptions, context: IdentitySources & Pick<CommandContext, 'signal'>) {
  return {
    from: options.from ?? null,
    instance: options.instance ?? null,
    identities: await readIdentities(options.identity, context),
    acceptUnsigned: options.acceptUnsigned === true,
    signal: context.signal,
  };
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
