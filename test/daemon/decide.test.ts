// How long the daemon waits after a failure.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { decide, nextSetback } from '../../src/daemon/decide.ts';
import { AppError } from '../../src/errors.ts';

const now = new Date('2026-11-23T12:00:00Z');
const base = {
  now,
  random: () => 0.5,
  yieldPauseMs: 300_000,
  firstSetbackMs: 60_000,
  nextSlotAt: new Date('2026-11-24T12:00:00Z'),
};

it('what may pass by itself is tried again after a minute, and then less and less often', () => {
  const error = new AppError('dump', 'it broke off');
  const first = nextSetback(null, { ...base, error });
  assert.equal(first.notBefore.toISOString(), '2026-11-23T12:01:00.000Z');
  assert.equal(nextSetback(first, { ...base, error }).notBefore.toISOString(), '2026-11-23T12:02:00.000Z');
});

it('what somebody has to mend first is tried again after a quarter of an hour, and never less often than every hour', () => {
  const error = new AppError('store', 'access is denied', { reason: 'access-denied' });
  const first = nextSetback(null, { ...base, error });
  assert.equal(first.notBefore.toISOString(), '2026-11-23T12:15:00.000Z');
  const later = nextSetback({ failures: 9, notBefore: now }, { ...base, error });
  assert.equal(later.notBefore.toISOString(), '2026-11-23T13:00:00.000Z');
});

it('a damaged source is not read again before the next slot, however often it failed', () => {
  const error = new AppError('dump', 'invalid page', { reason: 'damaged-source' });
  const first = nextSetback(null, { ...base, error });
  assert.equal(first.notBefore.toISOString(), '2026-11-24T12:00:00.000Z');
  assert.equal(nextSetback(first, { ...base, error }).notBefore.toISOString(), '2026-11-24T12:00:00.000Z');
});

it('without any schedule a damaged source is left alone for a day', () => {
  const error = new AppError('dump', 'invalid page', { reason: 'damaged-source' });
  const { notBefore } = nextSetback(null, { ...base, error, nextSlotAt: null });
  assert.equal(notBefore.toISOString(), '2026-11-24T12:00:00.000Z');
});

it('looks at the stores again however long it has to wait', () => {
  const schedules = { hourly: null, daily: '0 12 * * *', weekly: null, monthly: null, yearly: null, drill: null };
  const setback = { failures: 1, notBefore: new Date('2026-11-24T12:00:00Z') };
  const step = decide({ schedules, timeZone: 'UTC' }, { snapshots: [], setback, now });
  assert.ok(step.kind === 'wait' && step.until.getTime() - now.getTime() <= 3 * 3_600_000, JSON.stringify(step));
});
