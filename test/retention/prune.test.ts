// What holds retention back, as a pure function: the plan of an automatic prune, at its boundary.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { parseKeepRule } from '../../src/config/keep-rule.ts';
import { planPrune } from '../../src/retention/prune.ts';
import { folders } from '../../src/schedule/tier.ts';
import type { Catalogue } from '../../src/snapshots/catalogue.ts';
import { aManifest } from '../support/manifests.ts';

const now = new Date('2026-11-23T18:00:00Z');
const hourMs = 3_600_000;

function plan(kept: number, count: number) {
  const catalogue = {
    snapshots: Array.from({ length: count }, (_, index) =>
      aManifest({ tier: 'hourly', dataAt: new Date(now.getTime() - (index + 1) * hourMs) }),
    ),
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
