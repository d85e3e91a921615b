// The memory of the year: nothing of a year of the default plan is lost, and it stays small whatever the plan is.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mergeRuns, withDrills, withFailure, withRuns } from '../../src/state/history.ts';
import { drillAt, madeAt, now, yearOfRuns } from '../support/status-facts.ts';

describe('the history', () => {
  it('holds all of a year of the default plan, and takes nothing new for known', () => {
    const runs = yearOfRuns(370);
    const history = withRuns(null, { snapshots: runs, now });
    assert.equal(history.runs.length, runs.length);
    assert.equal(withRuns(history, { snapshots: runs.slice(100, 120), now }), history);
    const next = madeAt('daily', new Date('2026-11-26T12:00:00Z'));
    assert.equal(withRuns(history, { snapshots: [next], now }).runs[0], next);
  });

  it('keeps what retention has removed', () => {
    const [first, ...others] = yearOfRuns(30);
    const history = withRuns(null, { snapshots: others, now });
    assert.ok(first !== undefined);
    assert.equal(withRuns(history, { snapshots: [first], now }).runs.length, others.length + 1);
  });

  it('thins out hours to days, and is bounded also after ten years', () => {
    const hours = Array.from({ length: 87_600 }, (_, hour) =>
      madeAt('hourly', new Date(now.getTime() - hour * 3_600_000)),
    );
    const runs = mergeRuns([], hours);
    assert.ok(runs.length < 2_000, `${runs.length}`);
    assert.ok(JSON.stringify(runs).length < 2 ** 20);
    const hourly = runs.filter(({ tier }) => tier === 'hourly');
    const days = new Set(hourly.map(({ dataAt }) => dataAt.toISOString().slice(0, 10)));
    assert.ok(days.size > 365, `${days.size}`);
    assert.equal(mergeRuns(runs, runs), runs);
  });

  it('learns what an older version left out', () => {
    const whole = madeAt('daily', now);
    const { databaseBytes: _size, label: _label, ...old } = whole;
    assert.deepEqual(mergeRuns([old], [whole]), [whole]);
    assert.deepEqual(mergeRuns([whole], [old]), [whole]);
  });

  it('bounds failures and drills, the newest first', () => {
    let history = withRuns(null, { snapshots: [], now });
    for (let index = 0; index < 300; index += 1)
      history = withFailure(history, {
        failure: { tier: 'daily', at: now.toISOString(), step: 'dump', message: String(index) },
        now,
      });
    assert.deepEqual([history.failures.length, history.failures[0]?.message], [200, '299']);
    const drills = Array.from({ length: 100 }, (_, day) => drillAt(new Date(now.getTime() - day * 86_400_000)));
    const { reports } = withDrills({ reports: drills.slice(50), isWhole: true }, drills.slice(0, 50));
    assert.deepEqual([reports.length, reports[0]?.id], [60, drills[0]?.id]);
  });
});
