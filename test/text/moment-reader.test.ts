import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { formatMinuteBare } from '../../src/text/moment.ts';
import { readMoment } from '../../src/text/moment-reader.ts';

const read = (text: string, zone = 'Europe/Berlin'): string | undefined => {
  const named = readMoment(text, zone);
  if (named === undefined) return undefined;
  const { from, to } = named;
  return from.getTime() === to.getTime() ? from.toISOString() : `${from.toISOString()} ${to.toISOString()}`;
};

it('a moment is read in the zone that was set, unless it names another', () => {
  assert.equal(read('2026-11-23 13:00'), '2026-11-23T12:00:00.000Z');
  assert.equal(read('2026-11-23T13:00:30'), '2026-11-23T12:00:30.000Z');
  assert.equal(read('2026-07-23 13:00'), '2026-07-23T11:00:00.000Z');
  for (const text of [
    '2026-11-23T12:00:00Z',
    '2026-11-23 12:00 UTC',
    '2026-11-23T120000Z',
    '2026-11-23T14:00+02:00',
    '2026-11-23 14:00:00+02',
  ])
    assert.equal(read(text), '2026-11-23T12:00:00.000Z', text);
});

it('a day is that of the zone, also when it has 23 or 25 hours', () => {
  assert.equal(read('2026-11-23'), '2026-11-22T23:00:00.000Z 2026-11-23T23:00:00.000Z');
  assert.equal(read('2026-03-29'), '2026-03-28T23:00:00.000Z 2026-03-29T22:00:00.000Z');
  assert.equal(read('2026-10-25'), '2026-10-24T22:00:00.000Z 2026-10-25T23:00:00.000Z');
});

it('an hour that a clock shows twice is the first, one that it never shows is the next', () => {
  assert.equal(read('2026-10-25 02:30'), '2026-10-25T00:30:00.000Z');
  assert.equal(read('2026-03-29 02:30'), '2026-03-29T01:30:00.000Z');
});

it('what is no time is none', () => {
  for (const text of [
    '',
    'yesterday',
    '2026-02-30',
    '2026-13-01',
    '2026-11-23 25:00',
    '23.11.2026',
    '2026-11',
    '2026-11-23 12:00+99:99',
    '2026-11-23 12:00-0160',
  ])
    assert.equal(read(text), undefined, text);
});

it('what is written of a moment is read as that moment', () => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date('2020-01-01'), max: new Date('2035-01-01'), noInvalidDate: true }),
      fc.constantFrom('UTC', 'Asia/Tokyo', 'Asia/Kathmandu', 'America/St_Johns'),
      (date, zone) => {
        const text = formatMinuteBare(date, zone);
        const from = readMoment(text, zone)?.from ?? new Date(0);
        assert.equal(formatMinuteBare(from, zone), text);
        assert.ok(Math.abs(from.getTime() - date.getTime()) <= 3_660_000);
      },
    ),
  );
});
