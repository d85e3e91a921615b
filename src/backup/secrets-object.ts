// Mastodon's settings beside a backup: an env file, encrypted to the same recipients as the dump and never stored in the
// clear. It is read back and decrypted before a manifest names it: a secrets object that nobody can open would be found out
// only when the server is gone.

import { createHash } from 'node:crypto';
import { decryptDocument, encryptDocument } from '../codec/age.ts';
import type { Environment } from '../config/environment.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { readAll } from '../snapshots/catalogue.ts';
import { partOf, snapshotName, type Manifest, type Part } from '../snapshots/manifest.ts';
import { collectMastodonVariables, type MastodonVariables } from '../mastodon/documented-variables.ts';
import { decodeEnvFile, encodeEnvFile } from '../mastodon/env-file.ts';
import { compareFingerprints, fingerprintSecrets, requiredSecrets } from '../mastodon/secret-fingerprints.ts';
import { partKey } from '../snapshots/object-keys.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { Folder } from '../schedule/tier.ts';
import type { ObjectStore } from '../storage/store.ts';

/** Mastodon's settings of one run, encrypted once for all its destinations. */
export interface SecretsObject {
  readonly content: Buffer;
  readonly sha256: string;
  readonly plain: Buffer;
  /** Opens it: the run's own key, which is forgotten with the run. */
  readonly identity: string;
  readonly fingerprints: Readonly<Record<string, string>>;
}

/** The snapshot that a secrets object belongs to. */
export interface SecretsPlace {
  readonly tier: Folder;
  readonly id: string;
}

const suffix = '.secrets.env.age';
/** What no environment comes near to: Linux takes some 2 MiB for a whole one. */
const largestBytes = 4 * 1024 * 1024;

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
  { store, prefix }: Repository,
  options: {
    readonly secrets: SecretsObject;
    readonly place: SecretsPlace;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<Part> {
  const { secrets, place, signal } = options;
  const name = `${place.id}${suffix}`;
  const key = partKey(prefix, { tier: place.tier, name });
  await store.putDocument(key, secrets.content, { signal });
  const stored = await readAll(await store.get(key, { signal }));
  const problem = (text: string, cause?: unknown): AppError => failed(store, { key, text, cause });
  if (!stored.equals(secrets.content)) throw problem('it is not what was written');
  let opened: Buffer;
  try {
    opened = await decryptDocument(stored, [secrets.identity]);
  } catch (error) {
    throw problem(`it cannot be decrypted: ${describeError(error)}`, error);
  }
  if (!opened.equals(secrets.plain)) throw problem('it decrypts to something else than was encrypted');
  options.log.info({ key, store: store.description, bytes: stored.length }, "Mastodon's settings stored, encrypted");
  return describePart(name, { bytes: stored.length, sha256: secrets.sha256 });
}

/**
 * Copies a snapshot's secrets object to the place of its copy, in the same store or another one, and reads it back. Returns
 * what the copy's manifest says of it: null when the source has none, or has lost it, which goes to the log.
 */
export async function copySecrets(
  manifest: Pick<Manifest, 'id' | 'tier' | 'parts'>,
  options: {
    readonly from: Repository;
    readonly to: Repository;
    readonly place: SecretsPlace;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<Part | null> {
  const { from, to, place, signal } = options;
  const part = partOf(manifest, 'secrets');
  if (part === undefined) return null;
  const { tier } = manifest;
  const source = partKey(from.prefix, { tier, name: part.name });
  if ((await from.store.head(source, { signal })) === null) {
    options.log.warn(
      { key: source, store: from.store.description },
      `The secrets object of ${snapshotName(manifest)} is missing; its copy goes without Mastodon's settings`,
    );
    return null;
  }
  const content = await readSecrets(from, { tier, part, signal });
  const name = `${place.id}${suffix}`;
  const key = partKey(to.prefix, { tier: place.tier, name });
  await to.store.putDocument(key, content, { signal });
  const stored = await readAll(await to.store.get(key, { signal }));
  if (!stored.equals(content)) throw failed(to.store, { key, text: 'it is not what was written' });
  return { ...part, name };
}

// Its content has no hash here: of what a person chose, such as a password, a hash would help to guess it.
function describePart(name: string, stored: { readonly bytes: number; readonly sha256: string }): Part {
  return {
    kind: 'secrets',
    name,
    ...stored,
    compression: 'none',
    encryption: 'age',
    partBytes: null,
    etag: null,
    content: null,
  };
}

/** How far a snapshot's secrets object was looked at: there is none, its hash is right, or it was opened as well. */
export type SecretsVerification = 'none' | 'hashed' | 'decrypted';

/**
 * Reads a snapshot's secrets object back and compares it with the manifest; with identities it is opened, and its secrets
 * are compared with the fingerprints. Throws AppError `verify`, also when it is missing.
 */
export async function verifySecrets(
  repository: Repository,
  options: {
    readonly manifest: Pick<Manifest, 'id' | 'tier' | 'parts' | 'secrets'>;
    /** Empty: it is not opened. */
    readonly identities: readonly string[];
    readonly signal: AbortSignal;
  },
): Promise<SecretsVerification> {
  const { manifest, identities, signal } = options;
  const { tier } = manifest;
  const part = partOf(manifest, 'secrets');
  if (part === undefined) return 'none';
  const content = await readSecrets(repository, { tier, part, signal });
  if (identities.length === 0) return 'hashed';
  const key = partKey(repository.prefix, { tier, name: part.name });
  const problem = (text: string, cause?: unknown): AppError => failed(repository.store, { key, text, cause });
  let variables: MastodonVariables;
  try {
    variables = decodeEnvFile((await decryptDocument(content, identities)).toString('utf8'));
  } catch (error) {
    throw problem(`it cannot be opened: ${describeError(error)}`, error);
  }
  const found = compareFingerprints(manifest, { get: (name) => lookUp(variables, name) });
  const differing = [...(found?.changed ?? []), ...(found?.missing ?? []), ...(found?.added ?? [])];
  if (differing.length > 0) throw problem(`its ${differing.join(', ')} differ from the manifest's fingerprints`);
  return 'decrypted';
}

function lookUp(variables: MastodonVariables, name: string): ReturnType<Environment['get']> {
  const text = variables[name];
  return text === undefined || text === '' ? undefined : { text, source: { kind: 'environment' } };
}

/** Reads a secrets object whole, and compares its size and hash with the manifest's. Throws AppError. */
export async function readSecrets(
  { store, prefix }: Repository,
  { tier, part, signal }: { readonly tier: Folder; readonly part: Part; readonly signal: AbortSignal },
): Promise<Buffer> {
  const key = partKey(prefix, { tier, name: part.name });
  const found = await store.head(key, { signal });
  if (found === null) throw failed(store, { key, text: 'it is missing' });
  if (found.bytes !== part.bytes || found.bytes > largestBytes) {
    throw failed(store, { key, text: `it has ${found.bytes} bytes instead of ${part.bytes}` });
  }
  const content = await readAll(await store.get(key, { signal }));
  if (sha256(content) !== part.sha256) {
    throw failed(store, { key, text: 'its SHA-256 differs from what was written' });
  }
  return content;
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

function failed(
  store: ObjectStore,
  { key, text, cause }: { readonly key: string; readonly text: string; readonly cause?: unknown },
): AppError {
  return new AppError(
    'verify',
    `Mastodon's settings in '${key}' in ${store.description} failed verification: ${text}`,
    {
      cause,
      hint: 'The dump beside them is not concerned. Take a new backup, and look at the storage when it happens again.',
    },
  );
}
