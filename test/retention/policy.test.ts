// What stays and what goes: examples a person can check, and what must hold for every history.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { KeepRule } from '../../src/config/keep-rule.ts';
import { parseKeepRule } from '../../src/config/keep-rule.ts';
import type { PlannedSnapshot } from '../../src/schedule/due.ts';
import { folders, type Folder, type Tier } from '../../src/schedule/tier.ts';
import { periodOf } from '../../src/retention/period.ts';
import { alwaysKept, before, judge } from '../../src/retention/policy.ts';

const dayMs = 86_400_000;
const now = new Date('2026-11-23T18:00:00Z');

function at(time: Date | string, tier: Folder = 'daily'): PlannedSnapshot {
  const dataAt = new Date(time);
  return { tier, dataAt, slot: null, committedAt: dataAt };
}

function kept(snapshots: readonly PlannedSnapshot[], rule: string, tier: Folder = 'daily'): readonly string[] {
  return judge(snapshots, { tier, rule: parseKeepRule(rule), now, timeZone: 'UTC' })
    .filter(({ keep }) => keep)
    .map(({ snapshot }) => snapshot.dataAt.toISOString());
}

describe('retention', () => {
  it('keeps what is no older than the age before the newest, to the millisecond', () => {
    const newest = '2026-11-23T12:00:00.000Z';
    const exactly = '2026-11-16T12:00:00.000Z';
    const older = '2026-11-16T11:59:59.999Z';
    const between = ['2026-11-22T12:00:00.000Z', '2026-11-20T12:00:00.000Z'];
    assert.deepEqual(
      kept(
        [newest, ...between, exactly, older].map((one) => at(one)),
        '7d',
      ),
      [newest, ...between, exactly],
    );
  });

  it('counts from the newest, so that an outage thins nothing', () => {
    const old = Array.from({ length: 8 }, (_, day) => at(new Date(Date.parse('2026-01-08T12:00:00Z') - day * dayMs)));
    assert.equal(kept(old, '7d').length, 8);
  });

  it('keeps at least the newest three, or N when that is less', () => {
    const scattered = ['2026-11-01', '2026-08-01', '2026-05-01', '2026-02-01'].map((day) => at(day));
    assert.equal(kept(scattered, '7d').length, 3);
    assert.equal(kept(scattered, '2').length, 2);
    assert.equal(kept(scattered, '1').length, 1);
  });

  it('keeps the newest of each of the last N periods that have one', () => {
    const times = [
      '2026-11-23T17:50Z',
      '2026-11-23T17:10Z',
      '2026-11-23T15:59Z',
      '2026-11-23T15:00Z',
      '2026-11-20T10:00Z',
      '2026-11-20T09:00Z',
    ];
    assert.deepEqual(
      kept(
        times.map((time) => at(time, 'hourly')),
        '4',
        'hourly',
      ).map((time) => time.slice(5, 16)),
      // 17:10 is one of the newest three.
      ['11-23T17:50', '11-23T17:10', '11-23T15:59', '11-20T10:00', '11-20T09:00'],
    );
  });

  it('never judges a snapshot from the future, nor counts from it', () => {
    const future = at('2027-11-23T12:00:00Z');
    const week = Array.from({ length: 7 }, (_, day) => at(new Date(Date.parse('2026-11-23T12:00:00Z') - day * dayMs)));
    assert.equal(kept([future, ...week], '7d').length, 8);
  });

  it('takes months by the calendar, at most the last day', () => {
    const age = (amount: number, unit: 'mo' | 'y') => ({ kind: 'age', amount, unit }) as const;
    assert.equal(before(new Date('2026-03-31T12:00:00Z'), age(1, 'mo')).toISOString(), '2026-02-28T12:00:00.000Z');
    assert.equal(before(new Date('2026-01-15T12:00:00Z'), age(6, 'mo')).toISOString(), '2025-07-15T12:00:00.000Z');
    assert.equal(before(new Date('2028-02-29T12:00:00Z'), age(1, 'y')).toISOString(), '2027-02-28T12:00:00.000Z');
  });

  it('names periods as the calendar does', () => {
    const name = (time: string, tier: Tier, timeZone = 'UTC'): string => periodOf(new Date(time), { tier, timeZone });
    assert.equal(name('2027-01-01T00:00:00Z', 'weekly'), '2026-W53');
    assert.equal(name('2024-12-30T00:00:00Z', 'weekly'), '2025-W01');
    assert.equal(name('2026-11-23T23:30:00Z', 'daily', 'Europe/Berlin'), '2026-11-24');
    assert.equal(
      name('2026-10-25T00:30:00Z', 'hourly', 'Europe/Berlin'),
      name('2026-10-25T01:30:00Z', 'hourly', 'Europe/Berlin'),
    );
    assert.equal(name('2026-11-23T00:00:00Z', 'hourly'), '2026-11-23 00:00');
    assert.equal(name('2026-11-23T00:00:00Z', 'yearly'), '2026');
  });

  const rules: fc.Arbitrary<KeepRule> = fc.oneof(
    fc.constant({ kind: 'all' } as const),
    fc.integer({ min: 1, max: 40 }).map((n) => ({ kind: 'count', n }) as const),
    fc
      .record({ amount: fc.integer({ min: 1, max: 40 }), unit: fc.constantFrom('d', 'w', 'mo', 'y') })
      .map((age) => ({ kind: 'age', ...age }) as const),
  );
  const histories = fc.array(fc.integer({ min: -2 * dayMs, max: 900 * dayMs }), { maxLength: 60 });

  it('gives every snapshot exactly one verdict, keeps the newest, and never fewer than it promises', () => {
    fc.assert(
      fc.property(histories, rules, fc.constantFrom(...folders), (ages, rule, tier) => {
        const snapshots = ages.map((age) => at(new Date(now.getTime() - age), tier));
        const verdicts = judge(snapshots, { tier, rule, now, timeZone: 'Europe/Berlin' });
        assert.equal(verdicts.length, snapshots.length);
        assert.deepEqual(new Set(verdicts.map(({ snapshot }) => snapshot)), new Set(snapshots));
        const least = rule.kind === 'count' ? Math.min(alwaysKept, rule.n) : alwaysKept;
        const stay = verdicts.filter(({ keep }) => keep);
        assert.ok(stay.length >= Math.min(least, snapshots.length));
        const newest = verdicts
          .map(({ snapshot }) => snapshot.dataAt.toISOString())
          .toSorted()
          .at(-1);
        assert.ok(newest === undefined || stay.some(({ snapshot }) => snapshot.dataAt.toISOString() === newest));
        for (const { reason } of verdicts) assert.ok(reason.length > 0);
      }),
    );
  });

  it('removes nothing more when it is applied again', () => {
    fc.assert(
      fc.property(histories, rules, (ages, rule) => {
        const options = { tier: 'daily', rule, now, timeZone: 'UTC' } as const;
        const snapshots = ages.map((age) => at(new Date(now.getTime() - age)));
        const stay = judge(snapshots, options)
          .filter(({ keep }) => keep)
          .map(({ snapshot }) => snapshot);
        assert.ok(judge(stay, options).every(({ keep }) => keep));
      }),
    );
  });

  it('keeps what is pinned, and with it all that it would keep were nothing pinned', () => {
    const aSnapshot = fc.record({
      ageHours: fc.integer({ min: 0, max: 24 * 60 }),
      isPinned: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(aSnapshot, { maxLength: 30 }),
        fc.constantFrom('7d', '2w', '1', '3', '10', 'all'),
        (history, rule) => {
          const all = history.map(({ ageHours, isPinned }) => ({
            ...at(new Date(now.getTime() - ageHours * 3_600_000)),
            isPinned,
          }));
          const options = { tier: 'daily', rule: parseKeepRule(rule), now, timeZone: 'UTC' } as const;
          const pinned = judge(all, { ...options, isPinned: (one) => one.isPinned });
          const stays = new Set(pinned.filter(({ keep }) => keep).map(({ snapshot }) => snapshot));
          assert.equal(pinned.length, all.length);
          for (const one of all) if (one.isPinned) assert.ok(stays.has(one));
          for (const { snapshot, keep } of judge(all, options)) assert.ok(!keep || stays.has(snapshot));
        },
      ),
    );
  });
});
