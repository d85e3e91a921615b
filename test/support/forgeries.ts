// Snapshots as somebody makes them who may write the store and has read how ours look: every field is right but those that a
// test wants to be wrong.

import { createHash } from 'node:crypto';
import { decodeManifest, dumpOf, encodeManifest, type Manifest } from '../../src/snapshots/manifest.ts';
import { createSnapshotId, manifestKey, partKey } from '../../src/snapshots/object-keys.ts';
import { signatureKey } from '../../src/snapshots/origin.ts';
import type { ObjectKey, ObjectStore } from '../../src/storage/store.ts';

const signal = AbortSignal.timeout(1_800_000);

/** Reads an object whole, as anybody can who may read the store. */
export async function readObject(store: ObjectStore, key: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of await store.get(key as ObjectKey, { signal })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Reads the manifest at `key` as anybody can. */
export async function readStoredManifest(store: ObjectStore, key: string): Promise<Manifest> {
  const decoded = decodeManifest(await readObject(store, key));
  if (decoded.kind === 'unreadable') throw new Error(decoded.reason);
  return decoded.manifest;
}

/** What a forgery is made of. */
export interface Forgery {
  /** The manifest it looks like. */
  readonly like: Manifest;
  /** When it says it was made. */
  readonly at: Date;
  readonly tier?: Manifest['tier'];
  /** What its dump holds, as it is stored. */
  readonly content: Buffer;
  /** Whether it says that this is encrypted. */
  readonly encryption: 'age' | null;
  /** What else its manifest says. */
  readonly changes?: Partial<Manifest>;
  /** What is stored as its signature; left out: nothing. */
  readonly signature?: (content: Buffer) => string | Uint8Array;
}

/** Stores a forged snapshot, and answers what its manifest says. */
export async function forge(store: ObjectStore, forgery: Forgery): Promise<Manifest> {
  const { like, at, content, encryption } = forgery;
  const id = createSnapshotId(at);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const dump = dumpOf(like);
  const manifest: Manifest = {
    ...like,
    id,
    tier: forgery.tier ?? like.tier,
    dataAt: at,
    slot: null,
    committedAt: at,
    verified: { method: 'full', at },
    secrets: null,
    copiedFrom: null,
    parts: [
      {
        ...dump,
        name: `${id}.dump${encryption === null ? '' : '.age'}`,
        bytes: content.length,
        sha256,
        compression: 'none',
        encryption,
        partBytes: null,
        etag: null,
        content: encryption === null ? { bytes: content.length, sha256 } : dump.content,
      },
    ],
    ...forgery.changes,
  };
  const name = dumpOf(manifest).name;
  await store.putDocument(partKey('', { tier: manifest.tier, name }), content, { signal });
  const key = manifestKey('', manifest);
  const document = encodeManifest(manifest);
  if (forgery.signature !== undefined)
    await store.putDocument(signatureKey(key), Buffer.from(forgery.signature(document)), { signal });
  await store.putDocument(key, document, { signal });
  return manifest;
}
