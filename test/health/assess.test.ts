// What health says of what goes on beside the backups: a drill that runs, one that runs past its limit, a service that died; and of
// what a clock that was ahead has left behind.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { assessHealth } from '../../src/health/assess.ts';
import { noAttempts, type AttemptsRecord, type StoreRecord } from '../../src/state/records.ts';
import { snapshotRecord } from '../support/records.ts';

const hourMs = 3_600_000;
const now = new Date('2026-11-23T13:00:00Z');
const store: StoreRecord = {
  name: 's3',
  description: "bucket 'backups'",
  readAt: now.toISOString(),
  error: null,
  snapshots: [snapshotRecord('daily')],
  damagedCount: 0,
  unreadableCount: 0,
};

function assess(
  attempts: Partial<AttemptsRecord>,
  {
    troubles = [],
    stores = [store],
    heartbeatAt = now,
  }: {
    readonly troubles?: readonly string[];
    readonly stores?: readonly StoreRecord[];
    readonly heartbeatAt?: Date;
  } = {},
) {
  const schedules = { hourly: null, daily: '0 12 * * *', weekly: null, monthly: null, yearly: null, drill: null };
  return assessHealth({
    timetable: { schedules, timeZone: 'UTC' },
    graceMs: 2 * hourMs,
    timeoutMs: 12 * hourMs,
    drillTimeoutMs: 12 * hourMs,
    stores: { instance: 'social.example', stores },
    attempts: { ...noAttempts, ...attempts },
    heartbeat: { at: heartbeatAt.toISOString(), startedAt: now.toISOString(), processId: 1, troubles: [...troubles] },
    log: null,
    unknownSettings: [],
    unreadable: [],
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
  const health = assess({}, { troubles: [died] });
  assert.deepEqual([health.status, health.healthy, health.warnings], ['degraded', true, [died]]);
});

it('a drill that could not be carried out makes it degraded, whatever backups come after it', () => {
  const failure = { at: now.toISOString(), step: 'timeout', message: 'it took too long', hint: null };
  const health = assess({ failures: { drill: failure } });
  assert.equal(health.status, 'degraded');
  assert.match(health.warnings.join(), /The last drill run failed at .*: it took too long/);
});

it('a destination that cannot be read makes it degraded, also where no daemon tells of it', () => {
  const health = assess(
    {},
    { stores: [store, { ...store, name: 'local', description: "directory '/nas'", error: 'gone' }] },
  );
  assert.deepEqual(
    [health.status, health.healthy, health.warnings],
    ['degraded', true, ["directory '/nas' cannot be read: gone"]],
  );
});

it('what is dated in the future is no backup, and no proof that one was tried in vain', () => {
  const ahead = new Date(now.getTime() + 400 * 24 * hourMs);
  const future = { ...store, snapshots: [snapshotRecord('daily', { dataAt: ahead, slot: ahead, committedAt: ahead })] };
  const nothing = assess({}, { stores: [future] });
  assert.deepEqual([nothing.status, nothing.healthy], ['starting', false]);
  assert.match(nothing.warnings.join(), /holds no backup that counts: 1 snapshot dated in the future/);
  const failure = { at: now.toISOString(), step: 'dump', message: 'it broke off', hint: null };
  assert.equal(assess({ failures: { daily: failure } }, { stores: [future] }).status, 'late');
  assert.equal(assess({}, { stores: [store, { ...future, description: 'another' }] }).status, 'degraded');
});

it('a sign of life that is dated in the future is none', () => {
  const at = (ms: number) => assess({}, { heartbeatAt: new Date(now.getTime() + ms) });
  assert.equal(at(4 * 60_000).status, 'healthy');
  const ahead = at(6 * 60_000);
  assert.equal(ahead.status, 'failed');
  assert.deepEqual(ahead.warnings, ['The daemon has given no sign of life since the clock was set back']);
  assert.match(at(-6 * 60_000).warnings.join(), /no sign of life for 6 min/);
});
