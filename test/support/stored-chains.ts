// Chains in a directory that nobody's server wrote: base documents and log of zeros, signed as ours are, for what only reads and
// judges. Beside them what somebody else may put there.

import { mkdirSync } from 'node:fs';
import { zstdCompressSync } from 'node:zlib';
import { createSigningKey, parsePrivateKey } from '../../src/config/ssh-keys.ts';
import { toSigningSettings, type SigningSettings } from '../../src/config/signing-keys.ts';
import { encodeBase, type BaseDocument } from '../../src/snapshots/base-document.ts';
import { baseDocumentKey, baseKey, historyKey, walKey, type ChainPlace } from '../../src/snapshots/chain-keys.ts';
import { signatureKey, storeSignature } from '../../src/snapshots/origin.ts';
import { createRepository, type Repository } from '../../src/snapshots/repository.ts';
import { signWal } from '../../src/snapshots/wal-signature.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey } from '../../src/storage/store.ts';

const signal = new AbortController().signal;

/** A key of ours, and nobody else's is trusted. */
export const ours: SigningSettings = toSigningSettings({
  key: parsePrivateKey(createSigningKey('ours').file),
  others: [],
});

/** A repository in a directory. */
export function storedIn(
  directory: string,
  { signing = ours }: { readonly signing?: SigningSettings } = {},
): Repository {
  mkdirSync(directory, { recursive: true });
  return createRepository(createLocalStore({ directory }), { signing });
}

/** Stores a base backup whose tar has one byte; signed where `repository` signs. */
export async function putBase(repository: Repository, base: BaseDocument): Promise<void> {
  const { store, prefix } = repository;
  const place = { prefix, systemIdentifier: base.systemIdentifier };
  const key = baseDocumentKey(place, base.id);
  const content = encodeBase(base);
  await store.putDocument(baseKey(place, base.tar.name), Buffer.from('x'), { signal });
  await storeSignature(repository, { key, content, signal });
  await store.putDocument(key, content, { signal });
}

/** Stores a piece of the log as the receiver does. */
export async function putWal(
  repository: Repository,
  {
    systemIdentifier,
    segment,
    part,
    content,
  }: {
    readonly systemIdentifier: string;
    readonly segment: string;
    readonly part: { readonly from: number; readonly to: number } | null;
    readonly content: Buffer;
  },
): Promise<ObjectKey> {
  const place = { prefix: repository.prefix, systemIdentifier };
  const key = walKey(place, { segment, part, compression: 'zstd', encrypted: false });
  await signWal(repository, { key, content, signal });
  await repository.store.putDocument(key, zstdCompressSync(content), { signal });
  return key;
}

/** Stores a history as the receiver does. */
export async function putHistory(
  repository: Repository,
  { timeline, text, ...place }: Omit<ChainPlace, 'prefix'> & { readonly timeline: number; readonly text: string },
): Promise<ObjectKey> {
  const at = { prefix: repository.prefix, ...place };
  const key = historyKey(at, { timeline, compression: 'zstd', encrypted: false });
  await signWal(repository, { key, content: Buffer.from(text), signal });
  await repository.store.putDocument(key, zstdCompressSync(Buffer.from(text)), { signal });
  return key;
}

/** What somebody puts there who may write the store and has no key: an object, and what looks like its signature. */
export async function forge(
  { store }: Repository,
  key: ObjectKey,
  { content = Buffer.from('x'), signature = Buffer.from('x') }: { content?: Buffer; signature?: Buffer } = {},
): Promise<void> {
  await store.putDocument(key, content, { signal });
  await store.putDocument(signatureKey(key), signature, { signal });
}
