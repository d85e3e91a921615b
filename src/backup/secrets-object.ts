// Mastodon's settings of a run: an env file, encrypted to the same recipients as the dump and never stored in the clear. What a
// store gives back is decrypted before a manifest names it: a secrets object that nobody can open would be found out only when
// the server is gone.

import { createHash } from 'node:crypto';
import { decryptDocument, encryptDocument } from '../codec/age.ts';
import type { Environment } from '../config/environment.ts';
import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { collectMastodonVariables } from '../mastodon/documented-variables.ts';
import { encodeEnvFile } from '../mastodon/env-file.ts';
import { fingerprintSecrets, requiredSecrets } from '../mastodon/secret-fingerprints.ts';
import type { Part } from '../snapshots/manifest.ts';
import type { ReadOptions, StoredPart } from '../snapshots/part-reader.ts';
import { storeDocumentPart } from '../snapshots/parts.ts';
import { inWordsOfSecrets, secretsProblem, secretsSuffix } from '../snapshots/secrets-part.ts';

/** Mastodon's settings of one run, encrypted once for all its destinations. */
export interface SecretsObject {
  readonly content: Buffer;
  readonly sha256: string;
  readonly plain: Buffer;
  /** Opens it: the run's own key, which is forgotten with the run. */
  readonly identity: string;
  readonly fingerprints: Readonly<Record<string, string>>;
}

/**
 * The secrets object of a run; null when BACKUP_SECRETS is off, when there are no recipients, or when the environment has
 * nothing of Mastodon's. What an administrator should know about it goes to the log, once.
 */
export async function encryptSecrets(
  environment: Environment,
  options: {
    readonly id: string;
    readonly secrets: 'auto' | 'off';
    readonly recipients: readonly string[];
    /** The run's own key; null without recipients. */
    readonly oneRunKey: { readonly identity: string; readonly recipient: string } | null;
    readonly log: Log;
  },
): Promise<SecretsObject | null> {
  const { id, oneRunKey, log } = options;
  if (options.secrets === 'off') return null;
  if (oneRunKey === null) {
    log.warn(
      {},
      "Mastodon's secrets are not stored with this backup, for they would be in the clear: set BACKUP_AGE_RECIPIENTS, or keep a copy of .env.production away from this server",
    );
    return null;
  }
  const variables = collectMastodonVariables(environment);
  const names = Object.keys(variables);
  const missing = requiredSecrets.filter((name) => environment.status(name) !== 'set');
  if (missing.length > 0) {
    log.warn(
      { missing },
      `These of Mastodon's secrets are not in our environment and so not in this backup: ${missing.join(', ')}; put .env.production into env_file of this service`,
    );
  }
  if (names.length === 0) return null;
  const plain = Buffer.from(encodeEnvFile(variables, { header: describe(id) }));
  const content = await encryptDocument(plain, [...options.recipients, oneRunKey.recipient]);
  return {
    content,
    sha256: sha256(content),
    plain,
    identity: oneRunKey.identity,
    fingerprints: fingerprintSecrets(environment, { snapshotId: id }),
  };
}

function describe(id: string): readonly string[] {
  return [
    `Mastodon's settings as they were when the backup ${id} was made.`,
    "Save this as .env.production beside Mastodon's docker-compose.yml, with mode 0600: env_file takes it as it is.",
    'Whoever has it can act as this instance.',
  ];
}

/** Stores the secrets object, reads it back and opens it. Returns what the manifest says of it. Throws AppError. */
export async function storeSecrets(
  { repository, manifest }: Omit<StoredPart, 'part'>,
  { secrets, ...options }: ReadOptions & { readonly secrets: SecretsObject },
): Promise<Part> {
  const part: Part = {
    kind: 'secrets',
    name: `${manifest.id}${secretsSuffix}`,
    bytes: secrets.content.length,
    sha256: secrets.sha256,
    compression: 'none',
    encryption: 'age',
    partBytes: null,
    etag: null,
    // A hash of what a person chose, such as a password, would help to guess it.
    content: null,
  };
  const stored = { repository, manifest, part };
  const back = await storeDocumentPart(stored, { ...options, content: secrets.content }).catch(
    inWordsOfSecrets(stored),
  );
  let opened: Buffer;
  try {
    opened = await decryptDocument(back, [secrets.identity]);
  } catch (error) {
    throw secretsProblem(stored, { text: `it cannot be decrypted: ${describeError(error)}`, cause: error });
  }
  if (!opened.equals(secrets.plain))
    throw secretsProblem(stored, { text: 'it decrypts to something else than was encrypted' });
  return part;
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
