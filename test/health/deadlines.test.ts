// When a tier is late: by the snapshots there are, and for a tier that never had one by the first of the others.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Schedules } from '../../src/config/settings.ts';
import { standings } from '../../src/health/deadlines.ts';
import type { SnapshotRecord } from '../../src/state/records.ts';
import { snapshotRecord } from '../support/records.ts';

const schedules: Schedules = {
  hourly: null,
  daily: '0 12 * * *',
  weekly: '0 13 * * 0',
  monthly: null,
  yearly: null,
  drill: null,
};

function standing(tier: string, snapshots: readonly SnapshotRecord[], now: string) {
  return standings(
    { schedules, timeZone: 'UTC' },
    { snapshots, graceMs: 2 * 3_600_000, timeoutMs: 12 * 3_600_000, now: new Date(now) },
  ).find((one) => one.tier === tier);
}

describe('the deadline of a tier', () => {
  it('is the slot after its newest snapshot, the grace, and twice what that one took', () => {
    const slow = snapshotRecord('daily', {
      slot: new Date('2026-11-23T12:00:00.000Z'),
      startedAt: new Date('2026-11-23T12:00:00.000Z'),
      committedAt: new Date('2026-11-23T12:30:00.000Z'),
    });
    assert.equal(
      standing('daily', [slow], '2026-11-23T13:00:00Z')?.deadlineAt?.toISOString(),
      '2026-11-24T15:00:00.000Z',
    );
    assert.equal(standing('daily', [slow], '2026-11-24T14:59:59Z')?.late, false);
    assert.equal(standing('daily', [slow], '2026-11-24T15:00:00Z')?.late, true);
  });

  it('lets nobody claim a run that was longer than runs may be', () => {
    const claimed = snapshotRecord('daily', {
      slot: new Date('2026-11-23T12:00:00.000Z'),
      startedAt: new Date('2026-11-21T12:31:00.000Z'),
      committedAt: new Date('2026-11-23T12:30:00.000Z'),
    });
    assert.equal(
      standing('daily', [claimed], '2026-11-23T13:00:00Z')?.deadlineAt?.toISOString(),
      '2026-11-25T14:00:00.000Z',
    );
  });

  it('does not move away from a tier that never had a snapshot while a finer one replaces its only one', () => {
    const daily = snapshotRecord('daily', {
      slot: new Date('2026-11-29T12:00:00.000Z'),
      committedAt: new Date('2026-11-29T13:30:00.000Z'),
    });
    const weekly = standing('weekly', [daily], '2026-11-29T15:00:00Z');
    assert.deepEqual([weekly?.lastSuccessAt, weekly?.late], [null, true]);
  });

  it('is none where there is no snapshot at all', () => {
    assert.equal(standing('daily', [], '2026-11-29T15:00:00Z'), undefined);
  });
});
