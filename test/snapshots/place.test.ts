// Which place is the one that was known, and what is missing from it: the rules alone, without a store.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KeepRules } from '../../src/config/settings.ts';
import { findLosses } from '../../src/retention/loss.ts';
import { judgePlace, type FoundMarker, type KnownPlace } from '../../src/snapshots/place.ts';

const one = 'daily/2026-01-01T000000Z-aaaaaa';
const judge = (found: FoundMarker, remembered: KnownPlace | null, there: readonly string[] = []) =>
  judgePlace(found, { remembered, isThere: (name) => there.includes(name) });

describe('a place', () => {
  it('of which nothing is remembered is any place, with the marker that it has', () => {
    assert.deepEqual(judge({ id: null }, null), { kind: 'known', id: null, marked: false });
    assert.deepEqual(judge({ id: 'a' }, null), { kind: 'known', id: 'a', marked: true });
    assert.deepEqual(judge({ error: new Error('403') }, null), { kind: 'known', id: null, marked: true });
  });

  it('that holds something of what was known is that place, whatever its marker says', () => {
    for (const found of [{ id: null }, { id: 'b' }, { error: new Error('403') }])
      assert.equal(judge(found, { id: 'a', snapshots: [one, 'daily/gone'] }, [one]).kind, 'known');
    // A marker that was removed comes back with the same id.
    assert.deepEqual(judge({ id: null }, { id: 'a', snapshots: [one] }, [one]), {
      kind: 'known',
      id: 'a',
      marked: false,
    });
  });

  it('that was emptied and has its marker is that place', () => {
    assert.deepEqual(judge({ id: 'a' }, { id: 'a', snapshots: [one] }), { kind: 'known', id: 'a', marked: true });
  });

  it('that holds nothing of it is another one without its marker, with another, and where that cannot be read', () => {
    const known = { id: 'a', snapshots: [one] };
    for (const [found, says] of [
      [
        { id: null },
        /the snapshot that it was known to hold is not there, and its file mastodon-backup\.place is missing/,
      ],
      [{ id: 'b' }, /that of another place/],
      [{ error: new Error('refused') }, /cannot be read \(refused\)/],
    ] as const) {
      const standing = judge(found, known);
      assert.ok(standing.kind === 'strange');
      assert.match(standing.reason, says);
    }
  });

  it('that was marked and held nothing yet is another one without its marker', () => {
    assert.equal(judge({ id: null }, { id: 'a', snapshots: [] }).kind, 'strange');
  });

  it('that held nothing yet may bear the marker of another one of us, who began at the same time', () => {
    assert.deepEqual(judge({ id: 'b' }, { id: 'a', snapshots: [] }), { kind: 'known', id: 'b', marked: true });
    assert.equal(judge({ error: new Error('403') }, { id: 'a', snapshots: [] }).kind, 'strange');
  });

  it('of an installation without markers is told by what it holds alone', () => {
    assert.equal(judge({ id: null }, { id: null, snapshots: [one] }, [one]).kind, 'known');
    assert.equal(judge({ id: null }, { id: null, snapshots: [one] }).kind, 'strange');
    assert.equal(judge({ id: null }, { id: null, snapshots: [] }).kind, 'known');
  });
});

describe('what is gone', () => {
  const now = new Date('2026-03-31T12:30:00Z');
  const keep: KeepRules = {
    hourly: { kind: 'count', n: 24 },
    daily: { kind: 'age', amount: 7, unit: 'd' },
    weekly: { kind: 'age', amount: 6, unit: 'w' },
    monthly: { kind: 'age', amount: 6, unit: 'mo' },
    yearly: { kind: 'all' },
    labelled: { kind: 'all' },
  };
  const ago = (days: number, tier = 'daily') => {
    const at = new Date(now.getTime() - days * 86_400_000);
    return { tier, dataAt: at, slot: null, committedAt: at };
  };
  const lost = (
    gone: ReturnType<typeof ago>[],
    { hasRules = false, present = [0, 1, 2].map((days) => ago(days)) } = {},
  ) => findLosses(gone, { present, keep, timeZone: 'UTC', hasRules, now });

  it('is a loss when retention would have kept it', () => {
    const gone = [ago(3), ago(6.9), ago(400, 'labelled')];
    assert.deepEqual(lost(gone), gone);
  });

  it('is none when retention would have let it go, whoever removed it', () => {
    assert.deepEqual(lost([ago(7.1), ago(30)]), []);
  });

  it('is none when a rule of the bucket could have expired it by its age', () => {
    // The newest is two days old: counted from it, retention would keep what is eight days old.
    const present = [ago(2), ago(3), ago(4)];
    assert.equal(lost([ago(8)], { present }).length, 1);
    assert.deepEqual(lost([ago(8)], { present, hasRules: true }), []);
    assert.equal(lost([ago(6)], { present, hasRules: true }).length, 1);
  });

  it('is a loss among the newest of a tier, and all of it is where nothing is left', () => {
    assert.equal(lost([ago(1), ago(2), ago(9)], { present: [] }).length, 3);
  });
});
