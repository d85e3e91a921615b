// Slots before and after a moment, where calendars are awkward.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Schedules } from '../../src/config/settings.ts';
import { lastSlot, nextSlot, nextSlotOfAny } from '../../src/schedule/timetable.ts';

const off: Schedules = { hourly: null, daily: null, weekly: null, monthly: null, yearly: null, drill: null };

function daily(pattern: string, timeZone = 'UTC') {
  const timetable = { schedules: { ...off, daily: pattern }, timeZone };
  return {
    after: (text: string) => nextSlot(timetable, { of: 'daily', after: new Date(text) })?.toISOString(),
    at: (text: string) => lastSlot(timetable, { of: 'daily', at: new Date(text) })?.toISOString(),
  };
}

describe('slots', () => {
  it('include the moment itself when looking back, and not when looking forward', () => {
    const noon = daily('0 12 * * *');
    assert.equal(noon.at('2026-11-23T12:00:00.000Z'), '2026-11-23T12:00:00.000Z');
    assert.equal(noon.at('2026-11-23T11:59:59.999Z'), '2026-11-22T12:00:00.000Z');
    assert.equal(noon.after('2026-11-23T12:00:00.000Z'), '2026-11-24T12:00:00.000Z');
    assert.equal(noon.after('2026-11-23T11:59:59.999Z'), '2026-11-23T12:00:00.000Z');
  });

  it('come when the gap ends where summer time skips them, and once where an hour comes twice', () => {
    const night = daily('30 2 * * *', 'Europe/Berlin');
    assert.equal(night.after('2026-03-28T12:00:00Z'), '2026-03-29T01:00:00.000Z');
    assert.equal(night.at('2026-03-29T12:00:00Z'), '2026-03-29T01:00:00.000Z');
    assert.equal(night.after('2026-10-24T12:00:00Z'), '2026-10-25T00:30:00.000Z');
    assert.equal(night.after('2026-10-25T00:30:00Z'), '2026-10-26T01:30:00.000Z');
  });

  it('skip months without a 31st and years without a 29th of February', () => {
    assert.equal(daily('0 12 31 * *').after('2026-01-31T12:00:00Z'), '2026-03-31T12:00:00.000Z');
    assert.equal(daily('0 12 29 2 *').after('2026-01-01T00:00:00Z'), '2028-02-29T12:00:00.000Z');
    assert.equal(daily('0 12 29 2 *').at('2026-01-01T00:00:00Z'), '2024-02-29T12:00:00.000Z');
  });

  it('of a schedule that is off are none', () => {
    assert.equal(nextSlotOfAny({ schedules: off, timeZone: 'UTC' }, new Date()), null);
  });

  it('look the same from both sides', () => {
    const patterns = ['0 12 * * *', '*/20 * * * *', '30 2 * * *', '0 13 * * 0', '0 14 1 * *', '15 1,2,3 * * 0'];
    fc.assert(
      fc.property(
        fc.constantFrom(...patterns),
        fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe'),
        fc.date({ min: new Date('2020-01-01'), max: new Date('2032-01-01'), noInvalidDate: true }),
        (pattern, timeZone, moment) => {
          const timetable = { schedules: { ...off, daily: pattern }, timeZone };
          const next = nextSlot(timetable, { of: 'daily', after: moment });
          assert.ok(next !== null && next > moment);
          assert.deepEqual(lastSlot(timetable, { of: 'daily', at: next }), next);
          const last = lastSlot(timetable, { of: 'daily', at: moment });
          assert.ok(last !== null && last <= moment);
          assert.deepEqual(lastSlot(timetable, { of: 'daily', at: new Date(next.getTime() - 1) }), last);
        },
      ),
      { numRuns: 500 },
    );
  });
});
