// Builders of manifests and snapshots for tests that are not about making one.

import { createHash } from 'node:crypto';
import { decodeManifest, dumpOf, encodeManifest, partOf, type Manifest } from '../../src/snapshots/manifest.ts';
import { createSnapshotId, manifestKey, partKey } from '../../src/snapshots/object-keys.ts';
import type { ObjectKey, ObjectStore } from '../../src/storage/store.ts';

const content = Buffer.from('content');
const sha256 = createHash('sha256').update(content).digest('hex');

type Time = string | Date;

/** What a test may want to say of a snapshot. */
export type SnapshotOverrides = Partial<
  Pick<Manifest, 'tier' | 'instance' | 'label' | 'copiedFrom' | 'database'> & {
    readonly dataAt: Time;
    readonly slot: Time | null;
  }
>;

/** A valid manifest of a tiny snapshot. */
export function aManifest(overrides: SnapshotOverrides = {}): Manifest {
  const { dataAt: wanted = '2026-01-01T00:00:00.000Z', slot = null, ...others } = overrides;
  const dataAt = new Date(wanted);
  const tier = overrides.tier ?? 'daily';
  const id = createSnapshotId(dataAt);
  return {
    format: 1,
    id,
    tier,
    label: null,
    instance: 'social.example',
    dataAt,
    slot: slot === null ? null : new Date(slot),
    committedAt: dataAt,
    tool: { version: '0.0.0' },
    database: {
      name: 'mastodon_production',
      role: 'mastodon',
      systemIdentifier: '7000000000000000000',
      serverVersion: '14.23',
      clientVersion: '14.23',
      sizeBytes: 1_000_000,
      encoding: 'UTF8',
      locale: { collation: 'C', ctype: 'C', provider: 'libc', name: null },
      extensions: [{ name: 'plpgsql', version: '1.0', schema: 'pg_catalog' }],
      rows: { 'public.accounts': 1 },
      oddities: [],
    },
    mastodon: { schemaVersion: '20251023160000', release: null },
    parts: [
      {
        kind: 'dump',
        name: `${id}.dump`,
        bytes: content.length,
        sha256,
        compression: 'none',
        encryption: null,
        partBytes: null,
        etag: null,
        content: { bytes: content.length, sha256 },
      },
    ],
    secrets: null,
    verified: { method: 'full', at: dataAt },
    copiedFrom: null,
    ...others,
  };
}

/** The manifest in a document that a command printed, decoded as a stored one is. */
export function manifestFrom(document: unknown): Manifest {
  const decoded = decodeManifest(Buffer.from(JSON.stringify(document)));
  if (decoded.kind === 'unreadable') throw new Error(decoded.reason);
  return decoded.manifest;
}

/** The key of a snapshot's dump. */
export function dumpKey(manifest: Manifest, prefix = ''): ObjectKey {
  return partKey(prefix, { tier: manifest.tier, name: dumpOf(manifest).name });
}

/** The key of the settings beside a snapshot. */
export function secretsKey(manifest: Manifest, prefix = ''): ObjectKey {
  return partKey(prefix, { tier: manifest.tier, name: partOf(manifest, 'secrets')?.name ?? '' });
}

/** Stores a snapshot, its object and its manifest. */
export async function putSnapshot(store: ObjectStore, overrides: SnapshotOverrides = {}): Promise<Manifest> {
  const manifest = aManifest(overrides);
  const signal = AbortSignal.timeout(300_000);
  await store.putDocument(dumpKey(manifest), content, { signal });
  await store.putDocument(manifestKey('', manifest), encodeManifest(manifest), { signal });
  return manifest;
}
