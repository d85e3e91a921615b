// Chains that nobody made: documents and keys of base backups and log, for what only decides by them.

import { formatLsn, segmentName } from '../../src/pitr/lsn.ts';
import type { BaseDocument } from '../../src/snapshots/base-document.ts';
import type { StoredWal } from '../../src/snapshots/chain-catalogue.ts';
import { walKey } from '../../src/snapshots/chain-keys.ts';
import { createSnapshotId } from '../../src/snapshots/object-keys.ts';

export const segmentBytes = 1024 * 1024;
export const systemIdentifier = '7000000000000000001';
export const place = { prefix: '', systemIdentifier };
export const dayMs = 86_400_000;
export const begin = Date.parse('2026-11-02T04:30:00Z');
export const instance = 'example.social';

/** One segment an hour, a base a week at the segment of its hour. */
export function baseOf(week: number): BaseDocument {
  const startedAt = new Date(begin + week * 7 * dayMs);
  const start = BigInt(week * 7 * 24 + 1) * BigInt(segmentBytes);
  const id = createSnapshotId(startedAt);
  return {
    format: 1,
    id,
    instance,
    tool: { version: '0' },
    systemIdentifier,
    timeline: 1,
    startLsn: formatLsn(start),
    endLsn: formatLsn(start + 100n),
    segmentBytes,
    startSegment: segmentName(start, { timeline: 1, segmentBytes }),
    startedAt,
    endedAt: new Date(startedAt.getTime() + 60_000),
    server: { major: 15, version: '15.1', superuser: 'postgres', dataBytes: 1 },
    tar: {
      name: `${id}.tar.zst`,
      bytes: 1,
      sha256: '0'.repeat(64),
      compression: 'zstd',
      encryption: null,
      content: { bytes: 1, sha256: '0'.repeat(64) },
    },
    verified: { method: 'full', at: startedAt },
  };
}

/** The segment of an hour. */
export function walOf(hour: number): StoredWal {
  const start = BigInt(hour + 1) * BigInt(segmentBytes);
  const segment = segmentName(start, { timeline: 1, segmentBytes });
  const form = { compression: 'zstd', encrypted: false } as const;
  return {
    kind: 'segment',
    segment,
    key: walKey(place, { segment, part: null, ...form }),
    systemIdentifier,
    ...form,
    bytes: 1,
    modifiedAt: new Date(begin + hour * 3_600_000),
  };
}
