// A run's manifest as far as it is known before the snapshot is verified and committed.

import type { CompressionName } from '../codec/codec.ts';
import type { DatabaseFacts } from '../database/server.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import type { Folder } from '../schedule/tier.ts';
import type { Destination } from './destination.ts';
import type { PipelineResult } from './pipeline.ts';

/** A manifest without what verification and commitment add to it. */
export type SnapshotBase = Omit<Manifest, 'committedAt' | 'verified'>;

/** The manifest of a dump at one destination, its secrets object left out. */
export function describeSnapshot(
  run: {
    readonly tier: Folder;
    readonly label: string | null;
    readonly slot: Date | null;
    readonly instance: string;
    readonly toolVersion: string;
    readonly compression: { readonly kind: CompressionName };
    readonly recipients: readonly string[];
  },
  found: {
    readonly id: string;
    readonly facts: DatabaseFacts;
    readonly client: { readonly version: string };
    readonly schemaVersion: string | null;
    readonly passed: PipelineResult;
    readonly destination: Destination;
    readonly etag: string | null;
  },
): SnapshotBase {
  const { facts, passed, destination } = found;
  return {
    format: 1,
    id: found.id,
    tier: run.tier,
    label: run.label,
    instance: run.instance,
    dataAt: passed.dataAt.toISOString(),
    slot: run.slot?.toISOString() ?? null,
    tool: { version: run.toolVersion },
    database: {
      name: facts.name,
      systemIdentifier: facts.systemIdentifier,
      serverVersion: facts.serverVersion,
      clientVersion: found.client.version,
      sizeBytes: facts.sizeBytes,
      encoding: facts.encoding,
      collation: facts.collation,
      locale: facts.locale,
      extensions: facts.extensions,
      rows: passed.archive.rows,
    },
    mastodon: found.schemaVersion === null ? null : { schemaVersion: found.schemaVersion },
    dump: passed.dump,
    object: {
      key: destination.key,
      ...passed.object,
      compression: run.compression.kind,
      encryption: run.recipients.length > 0 ? 'age' : null,
      partBytes: destination.store.hasParts ? destination.partBytes : null,
      etag: found.etag,
    },
    secrets: null,
    copiedFrom: null,
  };
}
