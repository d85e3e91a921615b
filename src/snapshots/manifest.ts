// The manifest, format 1: the document that makes a backup exist. What is read is checked field by field, because
// retention and restore act on it; fields that a newer version added are kept.

import type { CompressionName } from '../codec/codec.ts';
import type { DatabaseLocale } from '../database/server.ts';
import { asFolder, type Folder } from '../schedule/tier.ts';

/** The format this version writes and reads. */
export const manifestFormat = 1;

/** What was looked at before the backup counted: the whole object, its ETag, or its size alone. */
export type VerificationMethod = 'full' | 'etag' | 'size';

/** A committed backup. Times are ISO 8601 in UTC, sizes bytes, hashes SHA-256 in hexadecimal. */
export interface Manifest {
  readonly format: 1;
  readonly id: string;
  readonly tier: Folder;
  readonly label: string | null;
  readonly instance: string;
  /** The moment of the database snapshot; ages count from it. */
  readonly dataAt: string;
  /** The scheduled instant this run answers; null for one by hand. */
  readonly slot: string | null;
  readonly committedAt: string;
  readonly tool: { readonly version: string };
  readonly database: {
    readonly name: string;
    readonly systemIdentifier: string | null;
    readonly serverVersion: string;
    readonly clientVersion: string;
    readonly sizeBytes: number;
    readonly encoding: string;
    readonly collation: string;
    /** What else tells how text sorts and compares; older manifests lack it. */
    readonly locale?: DatabaseLocale;
    readonly extensions: readonly string[];
    /** Exact number of rows in the dump by `schema.table`. */
    readonly rows: Readonly<Record<string, number>>;
  };
  readonly mastodon: { readonly schemaVersion: string } | null;
  readonly dump: { readonly bytes: number; readonly sha256: string };
  readonly object: {
    readonly key: string;
    readonly bytes: number;
    readonly sha256: string;
    readonly compression: CompressionName;
    readonly encryption: 'age' | null;
    readonly partBytes: number | null;
    readonly etag: string | null;
  };
  readonly secrets: SecretsEntry | null;
  readonly verified: { readonly method: VerificationMethod; readonly at: string };
  readonly copiedFrom: string | null;
}

/** The object with Mastodon's settings that stands beside a backup, and the fingerprints of its secrets. */
export interface SecretsEntry {
  readonly key: string;
  /** HMAC-SHA-256 under the snapshot's id, 64 bits; see `mastodon/secret-fingerprints.ts`. */
  readonly fingerprints: Readonly<Record<string, string>>;
  /** Size and hash of the stored object, where the writer noted them. */
  readonly bytes?: number;
  readonly sha256?: string;
  /** The snapshot under whose id the fingerprints were made, when it is another one: a copy keeps its source's. */
  readonly under?: string;
}

/** The manifest as it is stored. */
export function encodeManifest(manifest: Manifest): Buffer {
  return Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
}

/** What a stored document turned out to be. */
export type DecodedManifest =
  { readonly kind: 'manifest'; readonly manifest: Manifest } | { readonly kind: 'unreadable'; readonly reason: string };

/** Reads a stored document; never throws. */
export function decodeManifest(content: Uint8Array): DecodedManifest {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
    return { kind: 'manifest', manifest: check(value) };
  } catch (error) {
    return { kind: 'unreadable', reason: error instanceof Error ? error.message : String(error) };
  }
}

type Fields = Readonly<Record<string, unknown>>;

function check(value: unknown): Manifest {
  const top = object(value, 'the document');
  if (top['format'] !== manifestFormat)
    throw new Error(`format ${JSON.stringify(top['format'])} is not known to this version`);
  for (const name of ['id', 'instance']) text(top, name);
  for (const name of ['dataAt', 'committedAt']) time(top, name);
  if (top['slot'] !== null) time(top, 'slot');
  for (const name of ['label', 'copiedFrom']) textOrNull(top, name);
  if (asFolder(text(top, 'tier')) === undefined) throw new Error(`tier ${JSON.stringify(top['tier'])} is not known`);
  text(object(top['tool'], 'tool'), 'version');
  const database = object(top['database'], 'database');
  for (const name of ['name', 'serverVersion', 'clientVersion', 'encoding', 'collation']) text(database, name);
  textOrNull(database, 'systemIdentifier');
  if (database['locale'] !== undefined) {
    const locale = object(database['locale'], 'locale');
    text(locale, 'ctype');
    textOrNull(locale, 'name');
    // It becomes a word of SQL.
    if (!['libc', 'icu', 'builtin'].includes(text(locale, 'provider')))
      throw new Error('the locale provider is not known');
  }
  count(database, 'sizeBytes');
  if (!Array.isArray(database['extensions'])) throw new Error('extensions is not a list');
  const rows = object(database['rows'], 'rows');
  for (const table of Object.keys(rows)) count(rows, table);
  if (top['mastodon'] !== null) text(object(top['mastodon'], 'mastodon'), 'schemaVersion');
  checkBytes(object(top['dump'], 'dump'));
  const stored = object(top['object'], 'object');
  checkBytes(stored);
  text(stored, 'key');
  if (!['xz', 'zstd', 'none'].includes(text(stored, 'compression'))) throw new Error('the compression is not known');
  if (stored['encryption'] !== null && stored['encryption'] !== 'age') throw new Error('the encryption is not known');
  if (top['secrets'] !== null) {
    const secrets = object(top['secrets'], 'secrets');
    text(secrets, 'key');
    const fingerprints = object(secrets['fingerprints'], 'fingerprints');
    for (const name of Object.keys(fingerprints)) text(fingerprints, name);
    if (secrets['under'] !== undefined) text(secrets, 'under');
    if (secrets['bytes'] !== undefined) count(secrets, 'bytes');
    if (secrets['sha256'] !== undefined) hash(secrets);
  }
  const verified = object(top['verified'], 'verified');
  time(verified, 'at');
  text(verified, 'method');
  return top as unknown as Manifest;
}

function checkBytes(fields: Fields): void {
  count(fields, 'bytes');
  hash(fields);
}

function hash(fields: Fields): void {
  if (!/^[0-9a-f]{64}$/.test(text(fields, 'sha256'))) throw new Error('sha256 is no SHA-256');
}

function object(value: unknown, name: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${name} is not an object`);
  return value as Fields;
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new Error(`${name} is not a text`);
  return value;
}

function textOrNull(fields: Fields, name: string): void {
  if (fields[name] !== null) text(fields, name);
}

function time(fields: Fields, name: string): void {
  if (Number.isNaN(Date.parse(text(fields, name)))) throw new Error(`${name} is not a time`);
}

function count(fields: Fields, name: string): void {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new Error(`${name} is not a count`);
}
