// The view that page, terminal and JSON share: what it says of a year, of what goes when, of what is missing, and of nothing at all.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { judge } from '../../src/retention/policy.ts';
import { nextSlot } from '../../src/schedule/timetable.ts';
import { asTier } from '../../src/schedule/tier.ts';
import type { HeartbeatRecord, SnapshotRecord, Waiting } from '../../src/state/records.ts';
import { outlook } from '../../src/status/outlook.ts';
import { viewStatus } from '../../src/status/status.ts';
import { describeActivity } from '../../src/status/words.ts';
import {
  drillAt,
  holding,
  keep,
  keptOf,
  madeAt,
  now,
  statusFacts,
  timetable,
  yearOfRuns,
  type StatusOverrides,
} from '../support/status-facts.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const view = (overrides: StatusOverrides = {}) => viewStatus(statusFacts(overrides));
const nothing: StatusOverrides = {
  stores: [holding([])],
  history: null,
  drills: null,
  attempts: { drill: null, prune: null, channels: [] },
};

describe('the verdict', () => {
  it('of a healthy instance says so, and when the next backup comes', () => {
    const { verdict, warnings } = view();
    assert.deepEqual(verdict, {
      status: 'healthy',
      healthy: true,
      headline: 'All is backed up',
      detail: 'The newest is from 3 h ago. The next begins in 20.7 h.',
    });
    assert.deepEqual(warnings, []);
  });

  it('of a late tier names it, of two both', () => {
    const runs = yearOfRuns().filter(
      ({ dataAt, tier }) => tier !== 'daily' || now.getTime() - dataAt.getTime() > 3 * dayMs,
    );
    const late = view({ stores: [holding(keptOf(runs))] }).verdict;
    assert.deepEqual([late.status, late.headline], ['late', 'The daily backup is late']);
    const older = yearOfRuns().filter(({ dataAt }) => now.getTime() - dataAt.getTime() > 15 * dayMs);
    assert.equal(view({ stores: [holding(older)] }).verdict.headline, 'The daily and weekly backups are late');
  });

  it('of a drill that disproved the newest, and of a silent daemon, says what to do', () => {
    const failed = drillAt(new Date(now.getTime() - hourMs), { status: 'failed' });
    const drilled = view({ drills: { reports: [failed], isWhole: true } }).verdict;
    assert.deepEqual([drilled.status, drilled.headline], ['failed', 'The newest backup failed its restore drill']);
    const silent = view({ heartbeatAt: new Date(now.getTime() - 3 * hourMs) }).verdict;
    assert.equal(silent.headline, 'The backup service is silent');
    assert.match(silent.detail, /no sign of life for 3 h/);
  });

  it('of a daemon that is dated in the future, and of backups that are, does not say that all is well', () => {
    const ahead = new Date(now.getTime() + 400 * dayMs);
    const silent = view({ heartbeatAt: ahead }).verdict;
    assert.match(silent.detail, /no sign of life since the clock was set back/);
    const failure = { at: now.toISOString(), step: 'dump', message: 'it broke off', hint: null };
    const { verdict, tiers } = view({
      ...nothing,
      stores: [holding([madeAt('daily', ahead)])],
      attempts: { ...nothing.attempts, failures: { daily: failure } },
    });
    assert.equal(verdict.headline, 'There is no backup');
    assert.equal(tiers[0]?.slots.at(-1)?.answer, 'unknown');
  });

  it('of an instance without anything says that there is nothing, and nothing fails', () => {
    const empty = view(nothing);
    assert.deepEqual([empty.verdict.status, empty.verdict.headline], ['starting', 'There is no backup yet']);
    assert.equal(empty.restore, null);
    assert.deepEqual(empty.snapshots, []);
    assert.equal(empty.calendar.length, 366);
    assert.deepEqual([...new Set(empty.calendar.map(({ outcome }) => outcome))], ['unknown', 'today']);
    const tried = {
      ...nothing.attempts,
      failures: { daily: { at: now.toISOString(), step: 'dump', message: 'no', hint: null } },
    };
    assert.equal(view({ ...nothing, attempts: tried }).verdict.headline, 'There is no backup');
  });
});

describe('what the first backup waits for', () => {
  const soon = new Date(now.getTime() + 4 * 60_000).toISOString();
  const heartbeat = (waiting: Waiting): HeartbeatRecord => ({
    at: now.toISOString(),
    startedAt: now.toISOString(),
    processId: 1,
    troubles: [],
    waiting,
  });
  const first = (more: StatusOverrides): string => view({ ...nothing, ...more }).verdict.detail;

  it('is said as it is, and that it is taken at once only where nothing keeps it', () => {
    assert.equal(first({ heartbeat: heartbeat(null) }), 'The daemon takes the first one at once.');
    assert.match(first({ heartbeat: null }), /No daemon has run here yet/);
    const running = { command: 'run daily', tier: 'daily', since: now.toISOString() };
    assert.equal(first({ attempts: { ...nothing.attempts, running } }), 'The first one is being made now.');
    assert.match(
      first({ heartbeat: heartbeat({ for: 'database', until: soon }) }),
      /waits for the database; .* tries it in 4 min in any case/,
    );
    assert.match(
      first({ heartbeat: heartbeat({ for: 'destinations', until: soon }) }),
      /what is stored cannot be read. It is looked at again in 4 min/,
    );
  });

  it('is said of what has failed, and of the next one where there are backups', () => {
    const failures = { daily: { at: now.toISOString(), step: 'usage', message: 'no', hint: null } };
    const patient = heartbeat({ for: 'patience', until: soon });
    const failed = view({ ...nothing, heartbeat: patient, attempts: { ...nothing.attempts, failures } }).verdict;
    assert.deepEqual([failed.status, failed.headline], ['late', 'There is no backup']);
    assert.match(failed.detail, /The next is tried in 4 min\./);
    assert.match(view({ heartbeat: patient, attempts: { failures } }).verdict.detail, /The next is tried in 4 min\./);
    const database = heartbeat({ for: 'database', until: soon });
    assert.match(view({ heartbeat: database }).verdict.detail, /The next waits for the database\./);
  });

  it('is nothing any more where the daemon is silent', () => {
    const at = new Date(now.getTime() - hourMs).toISOString();
    const silent = { ...heartbeat({ for: 'patience', until: soon }), at };
    assert.doesNotMatch(view({ heartbeat: silent }).verdict.detail, /The next/);
  });
});

describe('the tiers', () => {
  it('tell of their last slots which were made, which were missed, and which nobody remembers', () => {
    const missing = '2026-11-20T12:00:00.000Z';
    const runs = yearOfRuns(8).filter(({ tier, dataAt }) => tier !== 'daily' || dataAt.toISOString() !== missing);
    const { tiers } = view({
      history: { since: '2026-11-19T00:00:00.000Z', runs: [...runs], failures: [] },
      stores: [holding(runs)],
    });
    const daily = tiers.find(({ tier }) => tier === 'daily');
    const answers = daily?.slots.map(({ at, answer }) => `${at.toISOString().slice(5, 10)} ${answer}`);
    assert.equal(answers?.length, 14);
    assert.equal(answers[0], '11-12 unknown');
    assert.ok(answers.includes('11-20 missed'));
    assert.ok(answers.includes('11-18 made'));
    assert.equal(answers.at(-1), '11-25 made');
  });

  it('count nothing that is dated in the future, neither for a slot nor as the newest', () => {
    const before = madeAt('daily', new Date(now.getTime() - 5 * dayMs));
    const { tiers, history } = view({
      stores: [holding([madeAt('daily', new Date(now.getTime() + dayMs)), before])],
      history: null,
    });
    assert.deepEqual(
      history.map(({ dataAt }) => dataAt),
      [before.dataAt],
    );
    assert.equal(tiers[0]?.newest?.name, `daily/${before.id}`);
    assert.notEqual(tiers[0].slots.at(-1)?.answer, 'made');
  });

  it('call a slot pending until its deadline', () => {
    const runs = yearOfRuns().filter(
      ({ dataAt, tier }) => tier !== 'daily' || now.getTime() - dataAt.getTime() > dayMs,
    );
    const soon = new Date('2026-11-25T12:30:00.000Z');
    const slots = (at: Date) => {
      const { tiers } = view({
        now: at,
        heartbeatAt: at,
        stores: [holding(runs)],
        history: { since: '2025-11-20T00:00:00.000Z', runs: [...runs], failures: [] },
      });
      return tiers.find(({ tier }) => tier === 'daily')?.slots.at(-1)?.answer;
    };
    assert.deepEqual([slots(soon), slots(now)], ['pending', 'missed']);
  });
});

describe('the calendar', () => {
  it('tells what is kept, what has gone, what failed and what was missed', () => {
    const at = (text: string) => ({ tier: 'daily', at: `${text}T12:00:30.000Z`, step: 'dump', message: 'no' });
    const without = new Set(['2026-10-10', '2026-10-11']);
    const runs = yearOfRuns().filter(({ dataAt }) => !without.has(dataAt.toISOString().slice(0, 10)));
    const { calendar } = view({
      history: { since: '2025-11-20T00:00:00.000Z', runs: [...runs], failures: [at('2026-10-10')] },
      stores: [holding(keptOf(runs))],
    });
    const outcome = (date: string) => calendar.find((day) => day.date === date)?.outcome;
    assert.deepEqual(['2026-11-24', '2026-10-09', '2026-10-10', '2026-10-11', '2026-11-01'].map(outcome), [
      'kept',
      'gone',
      'failed',
      'missed',
      'kept',
    ]);
    assert.equal(calendar.at(-1)?.date, '2026-11-25');
    assert.equal(new Set(calendar.map(({ date }) => date)).size, 366);
  });

  it('counts days in the zone of the plan, also where it changes its clock or is half an hour off', () => {
    for (const timeZone of ['Europe/Berlin', 'Asia/Kolkata', 'Pacific/Apia', 'America/St_Johns']) {
      const late = madeAt('daily', new Date('2026-11-23T23:50:00.000Z'));
      const { calendar } = view({ timetable: { ...timetable, timeZone }, stores: [holding([late])], history: null });
      const day = new Intl.DateTimeFormat('en-CA', { timeZone }).format(late.dataAt);
      assert.deepEqual(
        calendar.filter(({ outcome }) => outcome === 'kept').map(({ date }) => date),
        [day],
        timeZone,
      );
    }
  });
});

describe('the outlook', () => {
  it('says of the default plan when each snapshot goes', () => {
    const { snapshots } = view();
    const goes = (name: string) => snapshots.find((one) => one.name.startsWith(name))?.goesAt?.toISOString();
    assert.equal(goes('daily/2026-11-25'), '2026-12-03T12:00:00.000Z');
    assert.equal(goes('weekly/2026-11-22'), '2027-01-03T13:00:00.000Z');
  });

  it('comes true when the plan goes on, whatever is kept and however often', () => {
    const rules = fc.oneof(
      fc.record({
        kind: fc.constant('age' as const),
        amount: fc.integer({ min: 1, max: 9 }),
        unit: fc.constantFrom('d' as const, 'w' as const),
      }),
      fc.record({ kind: fc.constant('count' as const), n: fc.integer({ min: 1, max: 9 }) }),
    );
    const cases = fc.record({
      rule: rules,
      days: fc.integer({ min: 1, max: 40 }),
      tier: fc.constantFrom('daily' as const, 'weekly' as const),
    });
    fc.assert(
      fc.property(cases, ({ rule, days, tier }) => {
        const begin = yearOfRuns(days).filter((one) => one.tier === tier);
        const judged = (all: readonly SnapshotRecord[], at: Date) =>
          judge(all, { tier, rule, now: at, timeZone: 'UTC' });
        let present = judged(begin, now)
          .filter((one) => one.keep)
          .map(({ snapshot }) => snapshot);
        const promised = outlook(present, {
          keep: { ...keep, [tier]: rule },
          retentionMode: 'prune',
          timetable,
          places: () => [],
          now,
        });
        const gone = new Map<string, Date>();
        let at = now;
        for (let run = 0; run < 80; run += 1) {
          const slot = nextSlot(timetable, { of: asTier(tier) ?? 'daily', after: at });
          if (slot === null) break;
          at = slot;
          const verdicts = judged([madeAt(tier, slot), ...present], slot);
          for (const { snapshot, keep: stays } of verdicts) if (!stays) gone.set(`${tier}/${snapshot.id}`, slot);
          present = verdicts.filter((one) => one.keep).map(({ snapshot }) => snapshot);
        }
        for (const { name, goesAt } of promised)
          assert.equal(goesAt?.toISOString(), gone.get(name)?.toISOString(), name);
      }),
      { numRuns: 60 },
    );
  });

  it('promises nothing where retention is off or the bucket does it', () => {
    for (const retentionMode of ['off', 'lifecycle'] as const)
      assert.ok(view({ retentionMode }).snapshots.every(({ goesAt }) => goesAt === null));
  });
});

describe('what a restore would cost', () => {
  it('is the time of the last drill, reckoned up to the size of the newest snapshot', () => {
    const runs = yearOfRuns();
    const [newest] = runs;
    const drilled = runs.find(({ tier, dataAt }) => tier === 'daily' && dataAt.toISOString().startsWith('2026-06-07'));
    assert.ok(newest !== undefined && drilled !== undefined);
    const report = drillAt(new Date('2026-06-07T15:00:00Z'), { snapshot: `daily/${drilled.id}`, durationMs: 100_000 });
    const { restore } = view({
      history: { since: '2025-11-20T00:00:00.000Z', runs: [...runs], failures: [] },
      drills: { reports: [report], isWhole: true },
      stores: [holding(keptOf(runs))],
    });
    assert.equal(restore?.durationMs, Math.round((100_000 * newest.dumpBytes) / drilled.dumpBytes));
    assert.ok((restore?.durationMs ?? 0) > 100_000);
    assert.equal(restore?.databaseBytes, newest.databaseBytes);
  });

  it('is not guessed without a drill', () => {
    const { restore } = view({ drills: null, attempts: { drill: null } });
    assert.deepEqual([restore?.durationMs, restore?.measuredBy], [null, null]);
  });
});

describe('what goes on', () => {
  it('is told with its share, and the progress of an earlier run is not taken for its own', () => {
    const since = '2026-11-25T15:18:00.000Z';
    const running = { command: 'scheduled daily', tier: 'daily', since };
    const pace = { at: '2026-11-25T15:19:57.000Z', step: 'dump', bytes: 2 ** 30, expectedBytes: 4 * 2 ** 30 } as const;
    const told = (at: string) => {
      const { activities } = view({ attempts: { running }, progress: { run: { ...pace, at }, drill: null } });
      const [activity] = activities;
      assert.ok(activity !== undefined);
      return describeActivity(activity, now);
    };
    assert.equal(told(pace.at), 'scheduled daily, begun 2 min ago: Dumping 1.0 GiB of about 4.0 GiB (25 %)');
    assert.equal(told('2026-11-25T15:17:00.000Z'), 'scheduled daily, begun 2 min ago: preparing');
  });
});

describe('destinations', () => {
  it('say since when they cannot be read, what they missed, and what is in them beside snapshots, whatever it is called', () => {
    const failure = { at: now.toISOString(), step: 'store', message: 'disk full', hint: null };
    const { destinations } = view({
      stores: [
        holding(keptOf(yearOfRuns()), {
          error: 'the bucket does not answer',
          readAt: '2026-11-24T12:00:00.000Z',
          apart: { unsigned: 3 },
        }),
        holding([], { name: 'local', description: 'directory /nas', readAt: null }),
      ],
      attempts: { destinationFailures: [{ place: 'directory /nas', failure }] },
    });
    assert.deepEqual(
      destinations.map(({ readAt, error, apart, missed }) => [readAt, error, apart, missed?.message]),
      [
        ['2026-11-24T12:00:00.000Z', 'the bucket does not answer', { unsigned: 3 }, undefined],
        [null, null, {}, 'disk full'],
      ],
    );
  });
});

it('what was put together once is put together anew when a store, or what is remembered, is another', () => {
  const facts = statusFacts();
  const [store] = facts.stores;
  assert.ok(store !== undefined);
  const before = viewStatus(facts);
  const more = madeAt('labelled', new Date(now.getTime() - hourMs));
  const held = viewStatus({ ...facts, stores: [{ ...store, snapshots: [more, ...store.snapshots] }] });
  assert.equal(held.snapshots.length, before.snapshots.length + 1);
  const second = viewStatus({ ...facts, stores: [store, holding([more], { name: 'local' })] });
  assert.deepEqual(second.snapshots.find(({ name }) => name === `labelled/${more.id}`)?.places, ['local']);
  assert.ok(viewStatus({ ...facts, history: null }).history.length < before.history.length);
  assert.deepEqual(viewStatus(facts).snapshots, before.snapshots);
});

it('ten thousand snapshots are looked at in a moment', () => {
  const plan = { ...timetable, schedules: { ...timetable.schedules, hourly: '0 * * * *' } };
  const runs = yearOfRuns(417, plan);
  assert.ok(runs.length > 10_000);
  const facts = statusFacts({ timetable: plan, stores: [holding(runs), holding(runs, { name: 'local' })] });
  viewStatus(facts);
  const startedAt = performance.now();
  const { snapshots } = viewStatus(facts);
  assert.equal(snapshots.length, runs.length);
  // Usually 60 ms; a machine under load is slower, a loop within a loop a hundred times so.
  assert.ok(performance.now() - startedAt < 1_000);
});
