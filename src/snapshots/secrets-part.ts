// Mastodon's settings beside a backup: read back, and opened and compared with the manifest's fingerprints by whoever has a key.

import { decryptDocument } from '../codec/age.ts';
import type { Environment } from '../config/environment.ts';
import { AppError, describeError } from '../errors.ts';
import type { MastodonVariables } from '../mastodon/documented-variables.ts';
import { decodeEnvFile } from '../mastodon/env-file.ts';
import { compareFingerprints } from '../mastodon/secret-fingerprints.ts';
import { partOf, type Manifest } from './manifest.ts';
import { keyOf, type ReadOptions, type StoredPart } from './part-reader.ts';
import { readDocumentPart } from './parts.ts';
import type { Repository } from './repository.ts';

/** What the name of such a part ends in. */
export const secretsSuffix = '.secrets.env.age';

/** How far a snapshot's secrets object was looked at: there is none, its hash is right, or it was opened as well. */
export type SecretsVerification = 'none' | 'hashed' | 'decrypted';

/**
 * Reads a snapshot's secrets object back and compares it with the manifest; with identities it is opened, and its secrets
 * are compared with the fingerprints. Throws AppError `verify`, also when it is missing.
 */
export async function verifySecrets(
  repository: Repository,
  options: ReadOptions & {
    readonly manifest: Pick<Manifest, 'id' | 'tier' | 'parts' | 'secrets'>;
    /** Empty: it is not opened. */
    readonly identities: readonly string[];
  },
): Promise<SecretsVerification> {
  const { manifest, identities } = options;
  const part = partOf(manifest, 'secrets');
  if (part === undefined) return 'none';
  const stored = { repository, manifest, part };
  const content = await readSecrets(stored, options);
  if (identities.length === 0) return 'hashed';
  let variables: MastodonVariables;
  try {
    variables = decodeEnvFile((await decryptDocument(content, identities)).toString('utf8'));
  } catch (error) {
    throw secretsProblem(stored, { text: `it cannot be opened: ${describeError(error)}`, cause: error });
  }
  const found = compareFingerprints(manifest, { get: (name) => lookUp(variables, name) });
  const differing = [...(found?.changed ?? []), ...(found?.missing ?? []), ...(found?.added ?? [])];
  if (differing.length > 0)
    throw secretsProblem(stored, { text: `its ${differing.join(', ')} differ from the manifest's fingerprints` });
  return 'decrypted';
}

/** Reads a secrets object whole, encrypted as it is. Throws AppError `verify` when it is not what its manifest says. */
export async function readSecrets(stored: StoredPart, options: ReadOptions): Promise<Buffer> {
  return readDocumentPart(stored, options).catch(inWordsOfSecrets(stored));
}

/** Says of a part that is not what was written that the dump beside it is not concerned. */
export function inWordsOfSecrets(stored: StoredPart): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof AppError) || error.code !== 'verify') throw error;
    throw secretsProblem(stored, { text: describeError(error.cause ?? error), cause: error });
  };
}

/** The failure of a secrets object: the dump is not concerned. */
export function secretsProblem(
  stored: StoredPart,
  { text, cause }: { readonly text: string; readonly cause?: unknown },
): AppError {
  const place = stored.repository.store.description;
  return new AppError('verify', `Mastodon's settings in '${keyOf(stored)}' in ${place} failed verification: ${text}`, {
    cause,
    hint: 'The dump beside them is not concerned. Take a new backup, and look at the storage when it happens again.',
  });
}

function lookUp(variables: MastodonVariables, name: string): ReturnType<Environment['get']> {
  const text = variables[name];
  return text === undefined || text === '' ? undefined : { text, source: { kind: 'environment' } };
}
