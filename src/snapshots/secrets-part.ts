// Mastodon's settings beside a backup: read back, and opened and compared with the manifest's fingerprints by whoever has a key.

import type { Environment } from '../config/environment.ts';
import { describeError } from '../errors.ts';
import type { MastodonVariables } from '../mastodon/documented-variables.ts';
import { decodeEnvFile } from '../mastodon/env-file.ts';
import { compareFingerprints, type Fingerprinted } from '../mastodon/secret-fingerprints.ts';
import { besideProblem, verifyBeside, type BesideToVerify, type BesideVerification } from './beside.ts';
import type { StoredPart } from './part-reader.ts';
import type { Repository } from './repository.ts';

/**
 * Reads a snapshot's secrets object back and compares it with the manifest; with identities it is opened, and its secrets
 * are compared with the fingerprints. Throws AppError `verify`, also when it is missing.
 */
export async function verifySecrets(
  repository: Repository,
  options: BesideToVerify & { readonly manifest: Fingerprinted },
): Promise<BesideVerification> {
  const look = (stored: StoredPart, opened: Buffer): void => assertSame(options.manifest, { stored, opened });
  return verifyBeside(repository, { ...options, kind: 'secrets', look });
}

function assertSame(
  manifest: Fingerprinted,
  { stored, opened }: { readonly stored: StoredPart; readonly opened: Buffer },
): void {
  let variables: MastodonVariables;
  try {
    variables = decodeEnvFile(opened.toString('utf8'));
  } catch (error) {
    throw besideProblem(stored, { text: `it is no env file: ${describeError(error)}`, cause: error });
  }
  const found = compareFingerprints(manifest, { get: (name) => lookUp(variables, name) });
  const differing = [...(found?.changed ?? []), ...(found?.missing ?? []), ...(found?.added ?? [])];
  if (differing.length > 0)
    throw besideProblem(stored, { text: `its ${differing.join(', ')} differ from the manifest's fingerprints` });
}

function lookUp(variables: MastodonVariables, name: string): ReturnType<Environment['get']> {
  const text = variables[name];
  return text === undefined || text === '' ? undefined : { text, source: { kind: 'environment' } };
}
