// What is due, and what a coarser tier may be copied from.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Schedules } from '../../src/config/settings.ts';
import { findDue, type PlannedSnapshot } from '../../src/schedule/due.ts';
import { chooseSource } from '../../src/schedule/reuse.ts';

const schedules: Schedules = {
  hourly: null,
  daily: '0 12 * * *',
  weekly: '0 13 * * 0',
  monthly: '0 14 1 * *',
  yearly: null,
  drill: null,
};
const timetable = { schedules, timeZone: 'UTC' };

function snapshot(tier: string, at: string, slot: string | null = at): PlannedSnapshot {
  const dataAt = new Date(at);
  return { tier, dataAt, slot: slot === null ? null : new Date(slot), committedAt: dataAt };
}

function due(snapshots: readonly PlannedSnapshot[], now: string): readonly string[] {
  return findDue(timetable, { snapshots, now: new Date(now) }).map(
    ({ tier, slot }) => `${tier} ${slot?.toISOString() ?? 'at once'}`,
  );
}

describe('what is due', () => {
  it('is a daily at once when there is no snapshot at all', () => {
    assert.deepEqual(due([], '2026-11-23T09:00:00Z'), ['daily at once']);
  });

  it('is not what was scheduled before the first backup ever', () => {
    assert.deepEqual(due([snapshot('daily', '2026-11-23T09:00:00Z', null)], '2026-11-23T10:00:00Z'), []);
    assert.deepEqual(due([snapshot('daily', '2026-11-23T09:00:00Z', null)], '2026-11-23T12:00:00Z'), [
      'daily 2026-11-23T12:00:00.000Z',
    ]);
  });

  it('is every tier once after a long outage, the finest first', () => {
    const before = ['daily', 'weekly', 'monthly'].map((tier) => snapshot(tier, '2026-10-20T12:00:00Z'));
    assert.deepEqual(due(before, '2026-11-23T18:00:00Z'), [
      'daily 2026-11-23T12:00:00.000Z',
      'weekly 2026-11-22T13:00:00.000Z',
      'monthly 2026-11-01T14:00:00.000Z',
    ]);
  });

  it('is a coarser tier that never had a snapshot, although retention keeps only the finer one just made', () => {
    const daily = { ...snapshot('daily', '2026-11-29T12:00:02Z', '2026-11-29T12:00:00Z') };
    const slow = { ...daily, committedAt: new Date('2026-11-29T13:30:00Z') };
    assert.deepEqual(due([slow], '2026-11-29T13:31:00Z'), ['weekly 2026-11-29T13:00:00.000Z']);
    const together = { schedules: { ...schedules, weekly: schedules.daily }, timeZone: 'UTC' };
    assert.deepEqual(
      findDue(together, { snapshots: [daily], now: new Date('2026-11-29T12:01:00Z') }).map(({ tier }) => tier),
      ['weekly'],
    );
  });

  it('is answered by a run by hand that was committed after the slot', () => {
    const byHand = snapshot('daily', '2026-11-23T12:30:00Z', null);
    assert.deepEqual(due([snapshot('daily', '2026-11-22T14:00:00Z'), byHand], '2026-11-23T13:00:00Z'), []);
  });

  it('is answered by a run for the slot itself, however long it took', () => {
    const slow = { ...snapshot('daily', '2026-11-23T12:00:01Z', '2026-11-23T12:00:00Z') };
    assert.deepEqual(due([slow], '2026-11-24T11:59:00Z'), []);
  });

  it('is not answered by a snapshot from the future, as a clock that ran ahead leaves it', () => {
    const future = snapshot('daily', '2027-11-23T12:00:00Z');
    assert.deepEqual(due([snapshot('daily', '2026-11-22T14:00:00Z'), future], '2026-11-23T12:01:00Z'), [
      'daily 2026-11-23T12:00:00.000Z',
    ]);
  });
});

describe('the source of a copy', () => {
  const now = new Date('2026-11-29T13:00:00Z');
  const options = { tier: 'weekly', now, reuseWithinMs: 3 * 3_600_000, encrypted: false } as const;
  const source = (tier: string, at: string, encryption: 'age' | null = null) => ({
    ...snapshot(tier, at),
    parts: [{ kind: 'dump', encryption }],
  });

  it('is the newest finer snapshot that is young enough', () => {
    const all = [
      source('daily', '2026-11-29T12:00:00Z'),
      source('daily', '2026-11-29T11:00:00Z'),
      source('hourly', '2026-11-29T10:30:00Z'),
    ];
    assert.equal(chooseSource(all, options), all[0]);
  });

  it('is none when it is too old, coarser, of the same tier, labelled, or from the future', () => {
    for (const other of [
      source('daily', '2026-11-29T09:59:59Z'),
      source('weekly', '2026-11-29T12:00:00Z'),
      source('monthly', '2026-11-29T12:00:00Z'),
      source('labelled', '2026-11-29T12:00:00Z'),
      source('daily', '2026-11-30T12:00:00Z'),
    ])
      assert.equal(chooseSource([other], options), undefined, other.tier + other.dataAt.toISOString());
  });

  it('is none when it is stored as a new one would not be', () => {
    const plain = source('daily', '2026-11-29T12:00:00Z');
    const encrypted = source('daily', '2026-11-29T12:00:00Z', 'age');
    assert.equal(chooseSource([plain], { ...options, encrypted: true }), undefined);
    assert.equal(chooseSource([encrypted], options), undefined);
    assert.equal(chooseSource([plain, encrypted], { ...options, encrypted: true }), encrypted);
  });

  it('is none when reuse is switched off', () => {
    assert.equal(chooseSource([source('daily', now.toISOString())], { ...options, reuseWithinMs: 0 }), undefined);
  });
});
