// What health says of what goes on beside the backups: a drill that runs, one that runs past its limit, a service that died.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { assessHealth } from '../../src/health/assess.ts';
import { noAttempts, type AttemptsRecord } from '../../src/state/records.ts';
import { snapshotRecord } from '../support/records.ts';

const hourMs = 3_600_000;
const now = new Date('2026-11-23T13:00:00Z');
const store = {
  name: 's3',
  description: "bucket 'backups'",
  readAt: now.toISOString(),
  error: null,
  snapshots: [snapshotRecord('daily')],
  damagedCount: 0,
  unreadableCount: 0,
};

function assess(attempts: Partial<AttemptsRecord>, troubles: readonly string[] = []) {
  const schedules = { hourly: null, daily: '0 12 * * *', weekly: null, monthly: null, yearly: null, drill: null };
  return assessHealth({
    timetable: { schedules, timeZone: 'UTC' },
    graceMs: 2 * hourMs,
    timeoutMs: 12 * hourMs,
    drillTimeoutMs: 12 * hourMs,
    stores: { instance: 'social.example', stores: [store] },
    attempts: { ...noAttempts, ...attempts },
    heartbeat: { at: now.toISOString(), startedAt: now.toISOString(), processId: 1, troubles: [...troubles] },
    log: null,
    unknownSettings: [],
    now,
  });
}

it('a drill that is on is shown, and is no trouble until it is past its limit', () => {
  const since = (ms: number) => ({ snapshot: 'daily/x', since: new Date(now.getTime() - ms).toISOString() });
  const within = assess({ drilling: since(12 * hourMs) });
  assert.deepEqual([within.status, within.warnings, within.drilling], ['healthy', [], since(12 * hourMs)]);
  const past = assess({ drilling: since(12 * hourMs + 61_000) });
  assert.deepEqual([past.status, past.healthy], ['degraded', true]);
  assert.match(
    past.warnings.join(),
    /The drill of daily\/x runs since 2026-11-23 00:58 UTC, past BACKUP_DRILL_TIMEOUT/,
  );
});

it('a service that died makes it degraded, by its name and what it died of', () => {
  const died = "The service 'http' died and is started again: Port 80 cannot be served";
  const health = assess({}, [died]);
  assert.deepEqual([health.status, health.healthy, health.warnings], ['degraded', true, [died]]);
});

it('a drill that could not be carried out makes it degraded, whatever backups come after it', () => {
  const failure = { at: now.toISOString(), step: 'timeout', message: 'it took too long', hint: null };
  const health = assess({ failures: { drill: failure } });
  assert.equal(health.status, 'degraded');
  assert.match(health.warnings.join(), /The last drill run failed at .*: it took too long/);
});
