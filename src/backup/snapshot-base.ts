// A run's manifest as far as it is known before the snapshot is verified and committed.

import type { BackupOptions } from './backup.ts';
import { compressorOf, type CompressionName } from '../codec/codec.ts';
import type { DatabaseFacts } from '../database/server.ts';
import { clockToleranceMs, type Manifest } from '../snapshots/manifest.ts';
import { startOfId } from '../snapshots/object-keys.ts';
import type { Destination } from '../snapshots/destination.ts';
import type { ArchiveSummary } from '../database/archive-reader.ts';
import type { PipelineResult } from './pipeline.ts';
import { describePurpose } from './purpose.ts';
import type { SourceState } from './source-state.ts';
import { formatSpan } from '../text/format.ts';

/** A manifest without what verification and commitment add to it. */
export type SnapshotBase = Omit<Manifest, 'committedAt' | 'verified'>;

/** The manifest of a dump at one destination, its secrets object left out. */
export function describeSnapshot(
  run: Pick<BackupOptions, 'purpose' | 'instance' | 'toolVersion' | 'recipients' | 'role' | 'mastodonImage'> & {
    readonly compression: { readonly kind: CompressionName };
  },
  found: {
    readonly id: string;
    readonly facts: DatabaseFacts;
    readonly client: { readonly version: string };
    readonly source: SourceState;
    readonly passed: PipelineResult<ArchiveSummary, { readonly dataAt: Date }>;
    /** Tables that had rows in the last snapshot and have none now. */
    readonly emptied: readonly string[];
    readonly destination: Destination;
    readonly etag: string | null;
    /** How far the database's clock is ahead of ours, in milliseconds; negative: behind it. */
    readonly aheadMs: number;
    /** Our clock, after the dump. */
    readonly now: Date;
  },
): SnapshotBase {
  const { facts, source, passed, destination } = found;
  const compressor = compressorOf(run.compression.kind);
  return {
    format: 1,
    id: found.id,
    ...describePurpose(run.purpose),
    instance: run.instance,
    dataAt: ourMoment(passed.end.dataAt, found),
    tool: { version: run.toolVersion },
    database: {
      name: facts.name,
      ...(run.role === null ? {} : { role: run.role }),
      systemIdentifier: facts.systemIdentifier,
      serverVersion: facts.serverVersion,
      clientVersion: found.client.version,
      sizeBytes: facts.sizeBytes,
      encoding: facts.encoding,
      locale: facts.locale,
      extensions: facts.extensions,
      rows: passed.found.rows,
      ...(found.emptied.length === 0 ? {} : { emptied: found.emptied }),
      oddities: [...source.oddities],
    },
    mastodon:
      source.mastodon === null
        ? null
        : {
            schemaVersion: source.mastodon.schemaVersion,
            release: source.mastodon.release,
            ...(run.mastodonImage === null ? {} : { image: run.mastodonImage }),
          },
    parts: [
      {
        kind: 'dump',
        name: destination.name,
        ...passed.object,
        compression: run.compression.kind,
        ...(compressor === null ? {} : { compressor }),
        encryption: run.recipients.length > 0 ? 'age' : null,
        partBytes: destination.repository.store.hasParts ? destination.partBytes : null,
        etag: found.etag,
        content: passed.content,
      },
    ],
    secrets: null,
    copiedFrom: null,
  };
}

/**
 * The moment of the data by our clock. The database's tells it; one that is ahead of ours would date the backup into the future, where
 * nothing counts, and one that is behind so far back that retention gives it up at once. Then it is the moment our run began, which is
 * never later than the snapshot; on a standby with such a clock, whose data may be older, as much earlier as they are.
 */
export function ourMoment(
  dataAt: Date,
  { id, aheadMs, now }: { readonly id: string; readonly aheadMs: number; readonly now: Date },
): Date {
  const startedAt = startOfId(id) ?? now;
  if (Math.abs(aheadMs) > clockToleranceMs) return new Date(Math.min(startedAt.getTime(), dataAt.getTime() - aheadMs));
  return dataAt.getTime() <= now.getTime() + clockToleranceMs ? dataAt : startedAt;
}

/** What to say of clocks that differ, a sentence each; `aheadMs` as of `describeSnapshot`. */
export function describeClocks(aheadMs: number): readonly string[] {
  if (Math.abs(aheadMs) <= clockToleranceMs) return [];
  const apart = `${formatSpan(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'}`;
  return [
    `The database's clock is ${apart} ours, by which the backup is dated: set whichever is wrong (timedatectl set-ntp true)`,
  ];
}
