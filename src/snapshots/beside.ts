// What lies beside a dump, encrypted to the same recipients: Mastodon's settings and the administrator's extra files. Whatever is
// wrong with one of them is said of it alone: the dump is not concerned.

import { decryptDocument } from '../codec/age.ts';
import { AppError, describeError } from '../errors.ts';
import { partOf } from './manifest.ts';
import type { BesideKind } from './object-keys.ts';
import { keyOf, type ReadOptions, type StoredPart } from './part-reader.ts';
import { readDocumentPart } from './parts.ts';
import type { Repository } from './repository.ts';

/** What the names of these parts end in. */
export const besideSuffixes = {
  secrets: '.secrets.env.age',
  extra: '.extra.tar.age',
} as const satisfies Record<BesideKind, string>;

/** What people call them. */
export const besideWords = {
  secrets: "Mastodon's settings",
  extra: 'The extra files',
} as const satisfies Record<BesideKind, string>;

/** How far what lies beside a snapshot was looked at: there is none, its hash is right, or it was opened as well. */
export type BesideVerification = 'none' | 'hashed' | 'decrypted';

/** Reads one whole, encrypted as it is. Throws AppError `verify` when it is not what its manifest says. */
export async function readBeside(stored: StoredPart, options: ReadOptions): Promise<Buffer> {
  return readDocumentPart(stored, options).catch(inItsWords(stored));
}

/** What of a snapshot is verified, and how. */
export interface BesideToVerify extends ReadOptions, Pick<StoredPart, 'manifest'> {
  /** Empty: it is not opened. */
  readonly identities: readonly string[];
}

/** Reads a part back, and with identities opens it for `look`. Throws AppError `verify`, also when it is missing. */
export async function verifyBeside(
  repository: Repository,
  {
    kind,
    manifest,
    identities,
    look,
    ...options
  }: BesideToVerify & { readonly kind: BesideKind; readonly look: (stored: StoredPart, opened: Buffer) => unknown },
): Promise<BesideVerification> {
  const part = partOf(manifest, kind);
  if (part === undefined) return 'none';
  const stored = { repository, manifest, part };
  const content = await readBeside(stored, options);
  if (identities.length === 0) return 'hashed';
  const opened = await decryptDocument(content, identities).catch((error: unknown) => {
    throw besideProblem(stored, { text: `it cannot be opened: ${describeError(error)}`, cause: error });
  });
  look(stored, opened);
  return 'decrypted';
}

/** Says of a part that is not what was written that the dump beside it is not concerned. */
export function inItsWords(stored: StoredPart): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof AppError) || error.code !== 'verify') throw error;
    throw besideProblem(stored, { text: describeError(error.cause ?? error), cause: error });
  };
}

/** The failure of such a part: the dump is not concerned. */
export function besideProblem(
  stored: StoredPart,
  { text, cause }: { readonly text: string; readonly cause?: unknown },
): AppError {
  const place = stored.repository.store.description;
  const { kind } = stored.part;
  const words = kind === 'secrets' || kind === 'extra' ? besideWords[kind] : `The ${kind}`;
  return new AppError('verify', `${words} in '${keyOf(stored)}' in ${place} failed verification: ${text}`, {
    cause,
    hint: 'The dump beside them is not concerned. Take a new backup, and look at the storage when it happens again.',
  });
}
