// Three years of the default plan in a world where the daemon is killed, runs fail and clocks are wrong: the real loop, the
// real decisions, the real retention; only the clock, the dump and the stores are of this file.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { createEnvironment } from '../../src/config/environment.ts';
import { readSettings } from '../../src/config/settings.ts';
import { runScheduleLoop, type ScheduleLoopOptions } from '../../src/daemon/schedule-loop.ts';
import type { DaemonClock } from '../../src/daemon/clock.ts';
import { AppError } from '../../src/errors.ts';
import { standings } from '../../src/health/deadlines.ts';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { isAnswered, withoutFuture } from '../../src/schedule/due.ts';
import { chooseSource } from '../../src/schedule/reuse.ts';
import { scheduledTiers } from '../../src/schedule/timetable.ts';
import { folders } from '../../src/schedule/tier.ts';
import type { RunReport } from '../../src/app/run-verb.ts';
import { toRecord } from '../../src/app/holdings.ts';
import { before } from '../../src/retention/policy.ts';
import { unlessAborted } from '../../src/stream/abortable.ts';
import { planPrune } from '../../src/retention/prune.ts';
import { aManifest } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const settings = (() => {
  const read = readSettings(createEnvironment({ BACKUP_LOCAL_DIR: '/backups' }, { uid: 0 }));
  assert.ok(read.settings !== null);
  return read.settings;
})();
const timetable = { schedules: settings.schedules, timeZone: 'Europe/Berlin' };

interface World {
  now: number;
  /** Everything ever committed, and what is still there. */
  readonly made: Manifest[];
  stored: readonly Manifest[];
  running: boolean;
  /** Runs since the last start, by tier and whether the slot was before the start. */
  catchUps: Map<string, number>;
  dumps: number;
  copies: number;
}

interface Fate {
  /** How likely a run fails. */
  readonly failureRate: number;
  /** Hours the daemon lives, and hours it is down after that, over and over. */
  readonly lives: readonly { readonly upHours: number; readonly downHours: number }[];
  readonly random: () => number;
}

async function live(fate: Fate, { years, start }: { readonly years: number; readonly start: Date }): Promise<World> {
  const world: World = {
    now: start.getTime(),
    made: [],
    stored: [],
    running: false,
    catchUps: new Map(),
    dumps: 0,
    copies: 0,
  };
  const end = start.getTime() + years * 365 * dayMs;
  for (let life = 0; world.now < end; life += 1) {
    const { upHours, downHours } = fate.lives[life % fate.lives.length] ?? { upHours: 1, downHours: 1 };
    await liveOnce(world, fate, Math.min(end, world.now + upHours * hourMs));
    world.now += downHours * hourMs;
  }
  return world;
}

async function liveOnce(world: World, fate: Fate, diesAt: number): Promise<void> {
  const bornAt = world.now;
  world.catchUps = new Map();
  const life = new AbortController();
  const pass = (until: number): void => {
    world.now = Math.max(world.now, Math.min(until, diesAt));
    if (world.now >= diesAt) life.abort();
  };
  const clock: DaemonClock = {
    now: () => new Date(world.now),
    random: fate.random,
    waitUntil: async (until) => pass(until.getTime()),
  };
  const app: ScheduleLoopOptions['app'] = {
    log: quietLog,
    timetable: () => timetable,
    tidyScratch: async () => undefined,
    waitForDatabase: async () => undefined,
    mend: async () => false,
    placesChanged: async (signal) =>
      unlessAborted(new Promise<never>(() => undefined), { signal }).catch(() => undefined),
    lookAround: async () => ({ snapshots: world.stored, error: null, troubles: [] }),
    async runScheduled({ tier, slot }) {
      assert.equal(world.running, false, 'two runs at once');
      world.running = true;
      try {
        if (slot !== null && isAnswered(slot, { tier, snapshots: withoutFuture(world.stored, clock.now()) }))
          return null;
        const startedAt = clock.now();
        const source = chooseSource(world.stored, {
          tier,
          now: startedAt,
          reuseWithinMs: settings.reuseWithinMs,
          encrypted: false,
        });
        pass(world.now + (source === undefined ? 5 + fate.random() * 40 : 1) * minuteMs);
        if (life.signal.aborted) throw new AppError('interrupted', 'The world ended');
        if (fate.random() < fate.failureRate) throw new AppError('store', 'The bucket is down');
        const dataAt = source?.dataAt ?? startedAt;
        const manifest: Manifest = {
          ...aManifest({ tier, dataAt, slot }),
          committedAt: clock.now(),
          copiedFrom: source === undefined ? null : `${source.tier}/${source.id}`,
        };
        if (source === undefined) world.dumps += 1;
        else world.copies += 1;
        if (slot !== null && slot.getTime() < bornAt) {
          const count = (world.catchUps.get(tier) ?? 0) + 1;
          world.catchUps.set(tier, count);
          assert.equal(count, 1, `a second catch-up of ${tier}`);
        }
        world.made.push(manifest);
        world.stored = prune([manifest, ...world.stored], clock.now());
        checkPromise(world);
        return { outcomes: [{ kind: 'stored' }] } as unknown as RunReport;
      } finally {
        world.running = false;
      }
    },
  };
  const startedAt = clock.now();
  const report = async (): Promise<void> => undefined;
  const onIdle = (): void => undefined;
  const options = { app, clock, startedAt, yieldPauseMs: 5 * minuteMs, report, onIdle, signal: life.signal };
  // Whatever is under way when the world ends is cut off.
  await runScheduleLoop(options).catch((error: unknown) => {
    if (!life.signal.aborted) throw error;
  });
}

function prune(snapshots: readonly Manifest[], now: Date): readonly Manifest[] {
  const { remove } = planPrune(
    {
      snapshots,
      damaged: [],
      unreadable: [],
      unsigned: [],
      withoutSecrets: [],
      signedByOthers: [],
      withoutExtra: [],
      foreign: [],
      orphans: [],
      pinned: [],
      unlisted: [],
    },
    {
      instance: 'social.example',
      keep: settings.retention.keep,
      timeZone: timetable.timeZone,
      now,
      storeNow: now,
      systemIdentifier: snapshots[0]?.database.systemIdentifier ?? null,
      acceptedServers: [],
      occasion: 'automatic',
    },
  );
  return snapshots.filter((snapshot) => !remove.includes(snapshot));
}

// Whatever was made and is within its age of the tier's newest is there, and never fewer than three.
function checkPromise(world: World): void {
  for (const tier of folders) {
    const made = world.made.filter((snapshot) => snapshot.tier === tier);
    const stored = world.stored.filter((snapshot) => snapshot.tier === tier);
    assert.ok(stored.length >= Math.min(3, made.length), `${tier}: ${stored.length} are left`);
    const newest = made
      .map(({ dataAt }) => dataAt.getTime())
      .toSorted((a, b) => a - b)
      .at(-1);
    const rule = settings.retention.keep[tier];
    if (newest === undefined || rule.kind !== 'age') continue;
    const cutoff = before(new Date(newest), rule);
    for (const snapshot of made)
      if (snapshot.dataAt >= cutoff)
        assert.ok(stored.includes(snapshot), `${tier} of ${snapshot.dataAt.toISOString()} is gone`);
  }
}

function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

it('keeps what the policy promises through three years of failures and downtime', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        seed: fc.integer({ min: 1, max: 2 ** 31 }),
        failureRate: fc.double({ min: 0, max: 0.4, noNaN: true }),
        lives: fc.array(
          fc.record({ upHours: fc.integer({ min: 1, max: 3_000 }), downHours: fc.integer({ min: 0, max: 400 }) }),
          { minLength: 1, maxLength: 12 },
        ),
      }),
      async ({ seed, failureRate, lives }) => {
        const world = await live(
          { failureRate, lives, random: seeded(seed) },
          { years: 3, start: new Date('2026-11-23T09:17:00Z') },
        );
        assert.ok(world.made.length > 0);
      },
    ),
    { numRuns: 4 },
  );
});

it('makes one dump and two copies on a Sunday that is the first of a month, and restarts add no run', async () => {
  const start = new Date('2026-10-20T09:00:00Z');
  const world = await live(
    { failureRate: 0, lives: [{ upHours: 24 * 12, downHours: 0 }], random: seeded(1) },
    { years: 12 / 365, start },
  );
  const { dumps, copies } = world;
  // 2026-11-01 is a Sunday; restarted every ten minutes through that day.
  for (let restart = 0; restart < 6 * 24; restart += 1)
    await liveOnce(world, { failureRate: 0, lives: [], random: seeded(restart) }, world.now + 10 * minuteMs);
  assert.equal(new Date(world.now).toISOString().slice(0, 10), '2026-11-02');
  assert.equal(world.dumps - dumps, 1);
  assert.equal(world.copies - copies, 2);
  const snapshots = world.stored.map(toRecord);
  const [daily, weekly, monthly] = ['daily', 'weekly', 'monthly'].map((tier) =>
    world.stored.find((one) => one.tier === tier),
  );
  assert.equal(weekly?.copiedFrom, `daily/${daily?.id}`);
  assert.match(monthly?.copiedFrom ?? '', /^(daily|weekly)\//);
  assert.deepEqual(monthly?.dataAt, daily?.dataAt);
  for (const standing of standings(timetable, {
    snapshots,
    graceMs: settings.healthGraceMs,
    timeoutMs: settings.timeoutMs,
    now: new Date(world.now),
  })) {
    assert.equal(standing.late, false, standing.tier);
    const deadline = standing.deadlineAt ?? new Date(0);
    const at = (moment: number) =>
      standings(timetable, {
        snapshots,
        graceMs: settings.healthGraceMs,
        timeoutMs: settings.timeoutMs,
        now: new Date(moment),
      }).find(({ tier }) => tier === standing.tier);
    assert.equal(at(deadline.getTime() - 1)?.late, false, `${standing.tier} just before its deadline`);
    assert.equal(at(deadline.getTime())?.late, true, `${standing.tier} at its deadline`);
  }
});

it('leaves at least three a tier after an outage of ten days and a clock a year ahead', async () => {
  const world = await live(
    { failureRate: 0, lives: [{ upHours: 24 * 300, downHours: 0 }], random: seeded(7) },
    { years: 300 / 365, start: new Date('2026-01-05T09:00:00Z') },
  );
  const count = (tier: string): number => world.stored.filter((one) => one.tier === tier).length;
  world.now += 10 * dayMs;
  await liveOnce(world, { failureRate: 0, lives: [], random: seeded(8) }, world.now + 2 * dayMs);
  for (const tier of scheduledTiers(timetable)) assert.ok(count(tier) >= 3, tier);
  const right = world.now;
  world.now += 365 * dayMs;
  await liveOnce(world, { failureRate: 0, lives: [], random: seeded(9) }, world.now + 3 * dayMs);
  for (const tier of scheduledTiers(timetable)) assert.ok(count(tier) >= 3, tier);
  // The clock is set right again: the next slots are answered, not taken for answered by snapshots of next year.
  world.now = right + 3 * dayMs;
  const made = world.made.length;
  await liveOnce(world, { failureRate: 0, lives: [], random: seeded(10) }, world.now + dayMs);
  assert.ok(world.made.length > made, 'nothing was backed up after the clock was set right');
  for (const tier of scheduledTiers(timetable)) assert.ok(count(tier) >= 3, tier);
});
