import assert from 'node:assert/strict';
import { it } from 'node:test';
import { formatMicros, parseMoment } from '../../src/pitr/moment.ts';
import { renderMoment } from '../../src/cli/moment-text.ts';
import { describeFailure } from '../../src/cli/program.ts';
import { AppError } from '../../src/errors.ts';
import {
  formatAge,
  formatMinute,
  formatMinuteBare,
  formatMoment,
  formatUtcMinute,
  withLocalTimes,
} from '../../src/text/moment.ts';

it('a moment is written to the minute in UTC', () => {
  assert.equal(formatUtcMinute('2026-11-23T12:00:59.999Z'), '2026-11-23 12:00 UTC');
  assert.equal(formatUtcMinute(new Date('2026-11-23T12:00:00.000+01:00')), '2026-11-23 11:00 UTC');
});

it('a moment is written in the zone that was set, with its name, and in UTC beside it where that helps', () => {
  assert.equal(formatMinute('2026-11-23T12:00:59.999Z', 'Europe/Berlin'), '2026-11-23 13:00 CET');
  assert.equal(formatMinuteBare('2026-11-23T12:00:59.999Z', 'Europe/Berlin'), '2026-11-23 13:00');
  assert.equal(formatMoment('2026-11-23T12:00:00Z', 'Europe/Berlin'), '2026-11-23 13:00 CET (12:00 UTC)');
  assert.equal(formatMoment('2026-11-23T23:30:00Z', 'Asia/Tokyo'), '2026-11-24 08:30 GMT+9 (2026-11-23 23:30 UTC)');
  assert.equal(formatMoment('2026-11-23T12:00:00Z', 'UTC'), '2026-11-23 12:00 UTC');
});

it('how long ago something was is one word that leaves nothing to reckon', () => {
  const now = new Date('2026-11-23T12:00:00Z');
  const ago = (minutes: number): string => formatAge(new Date(now.getTime() - minutes * 60_000), now);
  assert.deepEqual(
    [-10, -0.5, 0.5, 1, 90, 150, 26 * 60, 49 * 60, 14 * 1_440, 40 * 1_440, 200 * 1_440, 1_000 * 1_440].map(ago),
    [
      'in the future',
      'just now',
      'just now',
      '1 min ago',
      '90 min ago',
      '2 h ago',
      '26 h ago',
      '2 days ago',
      '14 days ago',
      '5 weeks ago',
      '6 months ago',
      '2 years ago',
    ],
  );
});

it('a moment to the microsecond is told in the zone that was set, so that it can be typed back', () => {
  const exact = formatMicros(1_795_215_067_888_560n);
  const told = '2026-11-20 23:51:07.888560+01:00';
  const error = new AppError('restore', `It is after ${exact}`, { hint: `Restore --at '${exact}'.` });
  const how = { redact: (one: string) => one, program: 'x', timeZone: 'Europe/Berlin' };
  assert.equal(describeFailure(error, how), `mastodon-backup: It is after ${told}. Restore --at '${told}'.\n`);
  const facts = { lastTransactionAt: exact, base: 'b', segments: 1, stagedMs: 1, unpackedMs: 1, replayedMs: 1 };
  const text = renderMoment(facts, { columns: Number.POSITIVE_INFINITY, timeZone: 'Europe/Berlin' });
  assert.ok(text.startsWith(`The last transaction in it ended at ${told}. `), text);
  assert.deepEqual(parseMoment(told, { timeZone: 'UTC' }), { kind: 'at', micros: 1_795_215_067_888_560n });
});

it('what only looks like a moment is quoted as it was typed', () => {
  for (const typed of [
    '2026-13-45 00:00:00.000000+00',
    '2026-02-30 10:00:00.000000+00',
    '2026-11-30 23:59:60.000000+00',
    '2026-13-45T00:00:00Z',
    '2026-02-30T10:00:00.5Z',
  ])
    assert.equal(withLocalTimes(`'${typed}'`, 'Europe/Berlin'), `'${typed}'`);
});
