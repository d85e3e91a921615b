// How far a zone is from UTC is asked of Intl once a day; that must be the same as to ask it at every moment.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { wallTime, zoneOffsetMs } from '../../src/text/time-zone.ts';

const hourMs = 3_600_000;

it('the offset of a zone is right to the minute on the days when its clocks change', () => {
  for (const [timeZone, change, before, after] of [
    ['Europe/Berlin', '2026-03-29T01:00:00Z', 1, 2],
    ['Europe/Berlin', '2026-10-25T01:00:00Z', 2, 1],
    ['America/St_Johns', '2026-03-08T05:30:00Z', -3.5, -2.5],
    ['Australia/Lord_Howe', '2026-04-04T15:00:00Z', 11, 10.5],
    // A whole day was left out.
    ['Pacific/Apia', '2011-12-30T10:00:00Z', -10, 14],
  ] as const) {
    const at = Date.parse(change);
    // The whole days around it first: what they say must not be taken for the hours before and after.
    for (const days of [-1, 0, 1]) zoneOffsetMs(at + days * 24 * hourMs, timeZone);
    assert.deepEqual(
      [at - 60_000, at].map((moment) => zoneOffsetMs(moment, timeZone) / hourMs),
      [before, after],
      `${timeZone} ${change}`,
    );
  }
});

it('what a clock shows can be read from the UTC parts', () => {
  assert.equal(wallTime(new Date('2026-12-31T23:30:00Z'), 'Asia/Kolkata').toISOString(), '2027-01-01T05:00:00.000Z');
});
