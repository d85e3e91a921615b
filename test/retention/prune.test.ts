// What holds retention back, as a pure function: the plan of an automatic prune, at its boundary.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { parseKeepRule } from '../../src/config/keep-rule.ts';
import { planPrune } from '../../src/retention/prune.ts';
import { folders } from '../../src/schedule/tier.ts';
import type { Catalogue } from '../../src/snapshots/catalogue.ts';
import { snapshotName, type Manifest } from '../../src/snapshots/manifest.ts';
import { aManifest } from '../support/manifests.ts';

const now = new Date('2026-11-23T18:00:00Z');
const hourMs = 3_600_000;

type Options = Parameters<typeof planPrune>[1];

function plan(
  kept: number | string,
  count: number,
  { more = [], ...options }: Partial<Options> & { readonly more?: readonly Manifest[] } = {},
) {
  const catalogue = {
    snapshots: [
      ...Array.from({ length: count }, (_, index) =>
        aManifest({ tier: 'hourly', dataAt: new Date(now.getTime() - (index + 1) * hourMs) }),
      ),
      ...more,
    ],
    damaged: [],
    unreadable: [],
    unsigned: [],
    withoutSecrets: [],
    withoutExtra: [],
    orphans: [],
    foreign: [],
    pinned: [],
    unlisted: [],
  } as Partial<Catalogue> as Catalogue;
  const rule = parseKeepRule(String(kept));
  return planPrune(catalogue, {
    instance: 'social.example',
    keep: Object.fromEntries(folders.map((tier) => [tier, rule])) as never,
    timeZone: 'UTC',
    now,
    storeNow: null,
    systemIdentifier: '7000000000000000000',
    acceptedServers: [],
    occasion: 'automatic',
    ...options,
  });
}

it('waits for a person before exactly half of a tier goes, and not before less goes', () => {
  const half = plan(4, 8);
  assert.deepEqual(half.remove, []);
  assert.match(
    half.holds.map(({ reason }) => reason).join(),
    /^4 of 8 hourly snapshots would go at once, half or more$/,
  );
  const less = plan(5, 8);
  assert.deepEqual([less.remove.length, less.holds.length], [3, 0]);
  const small = plan(1, 3);
  assert.deepEqual([small.remove.length, small.holds.length], [2, 0], 'a tier of three is not guarded');
});

it('never removes what the run has made that asks, whatever a wrong clock has dated it', () => {
  const made = aManifest({ tier: 'hourly', dataAt: new Date(now.getTime() - 720 * hourMs) });
  assert.deepEqual(plan('1d', 8, { more: [made] }).remove, [made]);
  const { remove, verdicts } = plan('1d', 8, { more: [made], made: new Set([snapshotName(made)]) });
  assert.deepEqual(remove, []);
  assert.match(verdicts.find(({ snapshot }) => snapshot === made)?.reason ?? '', /^made just now; /);
});

it('removes nothing of a directory where our clock is not the database’s, and asks the store where it has one', () => {
  const days = 24 * hourMs;
  const ahead = { more: [aManifest({ tier: 'hourly', dataAt: new Date(now.getTime() + 6 * days) })] };
  const later = new Date(now.getTime() + 6 * days);
  assert.ok(plan('6d', 8, { ...ahead, now: later, occasion: 'by-hand' }).remove.length > 0);
  const held = plan('6d', 8, { ...ahead, now: later, occasion: 'by-hand', databaseNow: now });
  assert.deepEqual(held.remove, []);
  assert.match(held.holds.map(({ reason }) => reason).join(), /^our clock is 6 d ahead of the database's$/);
  const sided = plan('6d', 8, { ...ahead, now: later, occasion: 'by-hand', databaseNow: now, storeNow: later });
  assert.deepEqual(sided.holds, [], 'two of three agree');
});
