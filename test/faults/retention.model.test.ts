// Random histories of backups, retention and sweeps, each of which may be cut off between any two calls of the store, among
// documents that somebody else put there, and under clocks that jump: the catalogue, the deletion law and the policy are the real
// ones, over a real directory, and a model says what must be there.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { createEnvironment } from '../../src/config/environment.ts';
import { readSettings } from '../../src/config/settings.ts';
import { before } from '../../src/retention/policy.ts';
import { planPrune } from '../../src/retention/prune.ts';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { removePin, removeSnapshot, sweep } from '../../src/snapshots/deletion-law.ts';
import { encodeManifest, snapshotName, type Manifest } from '../../src/snapshots/manifest.ts';
import { createSnapshotId, manifestKey } from '../../src/snapshots/object-keys.ts';
import { putPin } from '../../src/snapshots/pins.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, RemovableStore, StoredObject } from '../../src/storage/store.ts';
import { aManifest, dumpKey } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const timeoutMs = 12 * hourMs;
const instance = 'social.example';
const signal = AbortSignal.timeout(1_800_000);
const tiers = ['daily', 'weekly'] as const;
const keep = (() => {
  const { settings } = readSettings(createEnvironment({ BACKUP_LOCAL_DIR: '/backups' }, { uid: 0 }));
  assert.ok(settings !== null);
  return settings.retention.keep;
})();

type Deed =
  | { readonly kind: 'back up'; readonly tier: (typeof tiers)[number] }
  | { readonly kind: 'prune'; readonly occasion: 'automatic' | 'by-hand' }
  | { readonly kind: 'sweep' }
  | { readonly kind: 'pin' | 'unpin'; readonly which: number }
  | { readonly kind: 'garbage' | 'impostor' | 'classic' | 'neighbour'; readonly tier: (typeof tiers)[number] }
  | { readonly kind: 'wrong clock'; readonly skewMs: number };

interface Step {
  readonly deed: Deed;
  /** How much later it happens. */
  readonly hours: number;
  /** Cut off before this call that changes the store, or right after it; null: not at all. */
  readonly crash: { readonly call: number; readonly isAfter: boolean } | null;
}

class Crash extends Error {}

/** A directory whose objects are as old as the model says, and which is cut off where it says. */
class World {
  now = Date.parse('2026-03-01T12:00:00Z');
  skewMs = 0;
  calls = 0;
  crash: Step['crash'] = null;
  readonly modified = new Map<string, number>();
  /** Snapshots whose manifest was written, and objects that nobody may remove. */
  readonly made = new Map<string, Manifest>();
  readonly untouchable = new Map<string, Buffer>();
  /** Snapshots that retention has begun to remove. */
  readonly mayGo = new Set<string>();
  readonly store: RemovableStore;
  readonly #real: RemovableStore;

  constructor(directory: string) {
    const real = createLocalStore({ directory });
    this.#real = real;
    const { modified } = this;
    this.store = Object.assign(Object.create(real) as RemovableStore, {
      now: async () => new Date(this.now),
      async *list(prefix: string, options: { readonly signal: AbortSignal }): AsyncGenerator<StoredObject> {
        for await (const found of real.list(prefix, options))
          yield { ...found, modifiedAt: new Date(modified.get(found.key) ?? 0) };
      },
      putDocument: async (key: ObjectKey, content: Buffer, options: { readonly signal: AbortSignal }) => {
        await this.changing(async () => {
          await real.putDocument(key, content, options);
          modified.set(key, this.now);
        });
      },
      remove: async (key: ObjectKey, options: { readonly signal: AbortSignal }) => {
        await this.changing(async () => {
          assert.ok(!this.untouchable.has(key), `'${key}' is not ours to remove`);
          await real.remove(key, options);
        });
      },
    });
  }

  async changing(work: () => Promise<void>): Promise<void> {
    this.calls += 1;
    const strikes = this.crash?.call === this.calls;
    if (strikes && this.crash?.isAfter === false) throw new Crash();
    await work();
    if (strikes) throw new Crash();
  }

  /** Past the crash and the model's own count. */
  async place(key: ObjectKey, content: Buffer): Promise<void> {
    await this.#real.putDocument(key, content, { signal });
    this.modified.set(key, this.now);
    this.untouchable.set(key, content);
  }

  ourTime(): Date {
    return new Date(this.now + this.skewMs);
  }
}

async function live(world: World, { deed, hours, crash }: Step): Promise<void> {
  world.now += hours * hourMs;
  Object.assign(world, { calls: 0, crash });
  // Another process after each crash: nothing is remembered.
  const repository = createRepository(world.store);
  try {
    switch (deed.kind) {
      case 'back up': {
        const manifest = aManifest({ tier: deed.tier, dataAt: world.ourTime(), instance });
        await world.store.putDocument(dumpKey(manifest), Buffer.from('content'), { signal });
        // From here on it may be there, and when it is, it counts.
        world.made.set(snapshotName(manifest), manifest);
        await world.store.putDocument(manifestKey('', manifest), encodeManifest(manifest), { signal });
        return;
      }
      case 'prune': {
        const catalogue = await readCatalogue(repository, { signal });
        const plan = planPrune(catalogue, {
          instance,
          keep,
          timeZone: 'UTC',
          now: world.ourTime(),
          storeNow: new Date(world.now),
          systemIdentifier: aManifest().database.systemIdentifier,
          acceptedServers: [],
          occasion: deed.occasion,
        });
        assert.ok(plan.remove.length === 0 || Math.abs(world.skewMs) <= 5 * 60_000, 'removed while the clocks differ');
        const pinned = new Set(catalogue.pinned.map(snapshotName));
        assert.ok(!plan.remove.some((one) => pinned.has(snapshotName(one))), 'what is pinned would be removed');
        checkPlan(catalogue.snapshots, { remove: plan.remove, occasion: deed.occasion });
        for (const manifest of plan.remove) {
          // Its manifest goes first: as soon as that is tried, it may be gone.
          world.mayGo.add(snapshotName(manifest));
          await removeSnapshot(repository, { manifest, instance, now: new Date(), log: quietLog, signal });
        }
        return;
      }
      case 'sweep': {
        const catalogue = await readCatalogue(repository, { signal });
        await sweep(repository, { catalogue, now: world.ourTime(), timeoutMs, log: quietLog, signal });
        return;
      }
      case 'pin':
      case 'unpin': {
        const all = [...world.made.values()];
        const snapshot = all[deed.which % Math.max(1, all.length)];
        if (snapshot === undefined) return;
        if (deed.kind === 'pin') await putPin(repository, { snapshot, now: world.ourTime(), signal });
        else await removePin(repository, { snapshot, log: quietLog, signal });
        return;
      }
      case 'wrong clock':
        world.skewMs = deed.skewMs;
        return;
      case 'garbage':
      case 'impostor':
      case 'classic':
      case 'neighbour':
        await placeForeign(world, deed);
        return;
      default:
        deed satisfies never;
    }
  } catch (error) {
    // Each thing that is removed is a thing of its own: the sweep tells of a failure and goes on.
    if (!(error instanceof Crash)) throw error;
  }
}

async function placeForeign(world: World, { kind, tier }: Extract<Deed, { readonly tier: unknown }>): Promise<void> {
  const id = createSnapshotId(new Date(world.now));
  if (kind === 'garbage') {
    await world.place(`${tier}/${id}.dump.xz` as ObjectKey, Buffer.from('garbage'));
    await world.place(`${tier}/${id}.json` as ObjectKey, Buffer.from('{"format":1,'));
  } else if (kind === 'impostor') {
    // It says that it is one that was there long before.
    const other = aManifest({ tier, dataAt: new Date(world.now - 40 * dayMs), instance });
    await world.place(`${tier}/${id}.json` as ObjectKey, encodeManifest(other));
  } else if (kind === 'classic') {
    await world.place(`${tier}/${id.slice(0, 10)}-${id.slice(-6)}.sql.xz` as ObjectKey, Buffer.from('classic'));
  } else {
    const manifest = aManifest({ tier, dataAt: new Date(world.now - 300 * dayMs), instance: 'other.example' });
    await world.place(dumpKey(manifest), Buffer.from('content'));
    await world.place(manifestKey('', manifest), encodeManifest(manifest));
  }
}

// What may go is older than its age before the newest, and the three newest stay.
function checkPlan(
  snapshots: readonly Manifest[],
  { remove, occasion }: { readonly remove: readonly Manifest[]; readonly occasion: string },
): void {
  for (const tier of tiers) {
    const own = snapshots.filter((one) => one.tier === tier && one.instance === instance);
    const gone = remove.filter((one) => one.tier === tier);
    const rule = keep[tier];
    const newest = own[0];
    if (newest === undefined || rule.kind !== 'age') continue;
    for (const one of gone) {
      assert.ok(one.dataAt < before(newest.dataAt, rule), `${snapshotName(one)} is young enough to stay`);
      assert.ok(!own.slice(0, 3).some(({ id }) => id === one.id), `${snapshotName(one)} is one of the newest three`);
    }
    if (occasion === 'automatic' && own.length >= 4)
      assert.ok(gone.length * 2 < own.length, `${gone.length} of ${own.length} at once`);
  }
}

/** Checks what must be there; answers what is pinned. */
async function check(world: World): Promise<ReadonlySet<string>> {
  const catalogue = await readCatalogue(createRepository(world.store), { signal });
  assert.deepEqual(catalogue.damaged, [], 'a crash has left a manifest without its object');
  const own = catalogue.snapshots.filter((one) => one.instance === instance);
  // What was cut off before its manifest was written was never there.
  const keys = new Set<string>();
  for await (const { key } of world.store.list('', { signal })) keys.add(key);
  for (const [name, manifest] of world.made) if (!keys.has(manifestKey('', manifest))) world.made.delete(name);
  // A crash before the manifest's removal leaves the snapshot whole: it is there, and may go another time.
  for (const one of own) world.made.set(snapshotName(one), one);
  assert.deepEqual(own.map(snapshotName).toSorted(), [...world.made.keys()].toSorted());
  for (const [key] of world.untouchable) assert.ok(keys.has(key), `'${key}' is gone`);
  return new Set([...keys].filter((key) => key.endsWith('.pin')).map((key) => key.slice(0, -'.pin'.length)));
}

const step: fc.Arbitrary<Step> = fc.record({
  hours: fc.oneof(fc.constant(24), fc.integer({ min: 0, max: 96 })),
  crash: fc.option(fc.record({ call: fc.integer({ min: 1, max: 5 }), isAfter: fc.boolean() }), { freq: 3 }),
  deed: fc.oneof(
    { weight: 10, arbitrary: fc.record({ kind: fc.constant('back up' as const), tier: fc.constantFrom(...tiers) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('prune' as const),
        occasion: fc.constantFrom('automatic' as const, 'by-hand' as const),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('sweep' as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom('pin' as const, 'pin' as const, 'unpin' as const),
        which: fc.nat({ max: 1_000 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom('garbage' as const, 'impostor' as const, 'classic' as const, 'neighbour' as const),
        tier: fc.constantFrom(...tiers),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('wrong clock' as const),
        skewMs: fc.constantFrom(0, 0, 0, 60_000, -60_000, hourMs, -hourMs, 30 * dayMs, -30 * dayMs),
      }),
    },
  ),
});

it('keeps what was promised through crashes between any two calls, strangers and jumping clocks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
      using directory = temporaryDirectory();
      const world = new World(directory.path);
      let pinned: ReadonlySet<string> = new Set();
      for (const one of steps) {
        const known = new Set(world.made.keys());
        await live(world, one);
        const after = await check(world);
        if (one.deed.kind !== 'unpin') {
          for (const name of pinned) assert.ok(after.has(name), `the pin of ${name} is gone`);
          for (const name of pinned)
            assert.ok(!known.has(name) || world.made.has(name), `${name} was pinned and is gone`);
        }
        pinned = after;
        for (const name of known) assert.ok(world.made.has(name) || world.mayGo.has(name), `${name} is gone`);
      }
      // Days later, and with the right time, only what is somebody's is left.
      world.skewMs = 0;
      await live(world, { deed: { kind: 'sweep' }, hours: 24 * 45, crash: null });
      const catalogue = await readCatalogue(createRepository(world.store), { signal });
      const known = new Set([...world.untouchable.keys()].map((key) => key.split('.')[0]));
      const left = catalogue.orphans.filter(({ folder, id }) => !known.has(`${folder}/${id}`));
      assert.deepEqual(left, []);
      await check(world);
    }),
    { numRuns: Number(process.env['MODEL_RUNS'] ?? 15) },
  );
});
