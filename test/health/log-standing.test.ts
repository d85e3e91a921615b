// When what is stored of the log is behind, and what health makes of it.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { assessLog } from '../../src/health/log-standing.ts';
import type { FollowingRecord, PitrRecord } from '../../src/state/pitr-record.ts';

const now = new Date('2026-11-23T13:00:00.000Z');
const before = (minutes: number): string => new Date(now.getTime() - minutes * 60_000).toISOString();

const following: FollowingRecord = {
  at: before(0),
  systemIdentifier: '7',
  timeline: 1,
  followsFrom: '0/1000000',
  storedTo: '0/2000000',
  coveredAt: before(0.1),
  behindBytes: 0,
  slot: { name: 's', status: 'reserved', keptBytes: 1_000, limitBytes: 10_000 },
  withoutSlot: null,
  problem: null,
};
const record: PitrRecord = {
  since: before(600),
  following,
  base: null,
  window: { at: before(10), systemIdentifier: '7', from: before(500), gaps: [], bases: 1, bytes: 1 },
};

function assess(change: Partial<FollowingRecord>, others: Partial<PitrRecord> = {}) {
  const pitr = { ...record, following: { ...following, ...change }, ...others };
  return assessLog({ isOn: true, pitr, heartbeat: null, now });
}

it('what is stored to this minute is healthy, and the window is told', () => {
  assert.deepEqual(assess({}), {
    document: {
      restorableFrom: before(500),
      restorableTo: before(0.1),
      lagSeconds: 6,
      slot: 'reserved',
      walKeptBytes: 1_000,
    },
    status: 'healthy',
    warnings: [],
  });
});

it('five minutes behind is degraded and half an hour late, with the reason', () => {
  assert.equal(assess({ coveredAt: before(4.9) })?.status, 'healthy');
  const behind = assess({ coveredAt: before(6), problem: 'the bucket is down' });
  assert.equal(behind?.status, 'degraded');
  assert.match(behind.warnings.join(), /nothing is stored for 6 min: the bucket is down/);
  assert.equal(assess({ coveredAt: before(31) })?.status, 'late');
});

it('what was never stored is behind from when it was switched on', () => {
  assert.equal(assess({ coveredAt: null })?.status, 'late');
  const heartbeat = { startedAt: before(6) };
  assert.equal(assessLog({ isOn: true, pitr: null, heartbeat, now })?.status, 'degraded');
  assert.equal(assessLog({ isOn: true, pitr: null, heartbeat: null, now }), null);
  assert.equal(assessLog({ isOn: false, pitr: record, heartbeat, now }), null);
});

it('a slot that is half full, none at all, and no base backup are worth a look; a gap is said', () => {
  const slot = { name: 's', status: 'extended', keptBytes: 6_000, limitBytes: 10_000 };
  assert.equal(assess({ slot })?.status, 'degraded');
  assert.equal(assess({ slot: null, withoutSlot: 'this role may not' })?.status, 'degraded');
  const unstored = assess({ historyProblem: 'The history of timeline 2 is not stored' });
  assert.deepEqual([unstored?.status, unstored?.warnings], ['degraded', ['The history of timeline 2 is not stored']]);
  assert.equal(assess({}, { window: null })?.status, 'degraded');
  const gap = assess({}, { window: { ...record.window!, gaps: ['the log from 0/1 to 0/2 is missing in the store'] } });
  assert.deepEqual([gap?.status, gap?.warnings.length], ['healthy', 1]);
});

it('what could be had of another server says nothing of this one', () => {
  assert.equal(assess({ systemIdentifier: '8' })?.document.restorableFrom, null);
});

it('says why nothing is followed since the daemon started, be it the first time or not', () => {
  const obstacle = 'this server is a standby';
  assert.match(
    assess({ coveredAt: before(6) }, { obstacle })?.warnings.join() ?? '',
    /6 min: this server is a standby/,
  );
  const never = { since: before(7), following: null, base: null, window: null, obstacle };
  const { warnings = [] } = assessLog({ isOn: true, pitr: never, heartbeat: null, now }) ?? {};
  assert.match(warnings.join(), /7 min: this server is a standby/);
});
