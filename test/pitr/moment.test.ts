import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatMicros, parseMoment } from '../../src/pitr/moment.ts';

function utcOf(text: string, timeZone: string): string {
  const moment = parseMoment(text, { timeZone });
  return moment.kind === 'at' ? formatMicros(moment.micros) : moment.kind;
}

describe('a moment', () => {
  it('is read in the zone of the settings, with an offset in that, and to the microsecond', () => {
    assert.equal(utcOf('2026-11-25 14:31:07', 'Europe/Berlin'), '2026-11-25 13:31:07.000000+00');
    assert.equal(utcOf('2026-11-25T14:31:07.123456+05:30', 'Europe/Berlin'), '2026-11-25 09:01:07.123456+00');
    assert.equal(utcOf('2026-07-01 00:00', 'Europe/Berlin'), '2026-06-30 22:00:00.000000+00');
    assert.equal(utcOf('latest', 'UTC'), 'latest');
  });

  it('is refused in the hour that comes twice, with both ways to say it, and in the one that never comes', () => {
    assert.throws(
      () => utcOf('2026-10-25 02:30:00', 'Europe/Berlin'),
      (error: Error & { hint?: string }) => /twice/.test(error.message) && /\+02:00.*\+01:00/.test(error.hint ?? ''),
    );
    assert.throws(() => utcOf('2026-03-29 02:30:00', 'Europe/Berlin'), /does not exist/);
    assert.throws(() => utcOf('2026-02-30 12:00:00', 'UTC'), /no moment/);
    for (const offset of ['+99:99', '-01:60', '+24'])
      assert.throws(() => utcOf(`2026-11-23 12:00:00${offset}`, 'UTC'), /no moment/);
    assert.throws(() => utcOf('yesterday', 'UTC'), /no moment/);
  });
});
