// Builders of what is remembered of snapshots, for tests of health and deadlines.

import type { SnapshotRecord } from '../../src/state/records.ts';

/** A snapshot of a tier as it is remembered, committed at once after its slot unless said otherwise. */
export function snapshotRecord(tier: string, overrides: Partial<SnapshotRecord> = {}): SnapshotRecord {
  const slot = overrides.slot ?? new Date('2026-11-23T12:00:00.000Z');
  return {
    id: '2026-11-23T120000Z-4f1c2a',
    tier,
    dataAt: slot,
    slot,
    committedAt: slot,
    startedAt: slot,
    dumpBytes: 4,
    objectBytes: 1,
    copiedFrom: null,
    ...overrides,
  };
}
