// Builders of manifests and snapshots for tests that are not about making one.

import { createHash } from 'node:crypto';
import { encodeManifest, type Manifest } from '../../src/snapshots/manifest.ts';
import { manifestKey } from '../../src/snapshots/catalogue.ts';
import { buildKey, createSnapshotId } from '../../src/snapshots/object-keys.ts';
import type { ObjectStore } from '../../src/storage/store.ts';

const content = Buffer.from('content');
const sha256 = createHash('sha256').update(content).digest('hex');

/** What a test may want to say of a snapshot. */
export type SnapshotOverrides = Partial<
  Pick<Manifest, 'dataAt' | 'tier' | 'instance' | 'label' | 'slot' | 'copiedFrom' | 'database'>
>;

/** A valid manifest of a tiny snapshot. */
export function aManifest(overrides: SnapshotOverrides = {}): Manifest {
  const dataAt = overrides.dataAt ?? '2026-01-01T00:00:00.000Z';
  const tier = overrides.tier ?? 'daily';
  const id = createSnapshotId(new Date(dataAt));
  return {
    format: 1,
    id,
    tier,
    label: null,
    instance: 'social.example',
    dataAt,
    slot: null,
    committedAt: dataAt,
    tool: { version: '0.0.0' },
    database: {
      name: 'mastodon_production',
      systemIdentifier: '7000000000000000000',
      serverVersion: '14.23',
      clientVersion: '14.23',
      sizeBytes: 1_000_000,
      encoding: 'UTF8',
      collation: 'C',
      extensions: ['plpgsql'],
      rows: { 'public.accounts': 1 },
    },
    mastodon: { schemaVersion: '20251023160000' },
    dump: { bytes: 7, sha256 },
    object: {
      key: buildKey({ prefix: '', folder: tier, id, suffix: '.dump' }),
      bytes: content.length,
      sha256,
      compression: 'none',
      encryption: null,
      partBytes: null,
      etag: null,
    },
    secrets: null,
    verified: { method: 'full', at: dataAt },
    copiedFrom: null,
    ...overrides,
  };
}

/** Stores a snapshot, its object and its manifest. */
export async function putSnapshot(store: ObjectStore, overrides: SnapshotOverrides = {}): Promise<Manifest> {
  const manifest = aManifest(overrides);
  const signal = AbortSignal.timeout(300_000);
  await store.putDocument(manifest.object.key as Parameters<ObjectStore['putDocument']>[0], content, { signal });
  await store.putDocument(
    manifestKey({ prefix: '', folder: manifest.tier, id: manifest.id }),
    encodeManifest(manifest),
    { signal },
  );
  return manifest;
}
