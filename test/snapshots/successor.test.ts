// What `latest` may mean after a Mastodon was set up anew, upgraded, or tidied up.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { objectToEmptied, remarkOnSuccessor } from '../../src/snapshots/successor.ts';
import { aManifest } from '../support/manifests.ts';

const dayMs = 86_400_000;
const start = Date.parse('2026-01-01T00:00:00Z');
const full = {
  'public.accounts': 5_000,
  'public.users': 30,
  'public.statuses': 90_000,
  'public.schema_migrations': 450,
};
const empty = { 'public.accounts': 2, 'public.users': 1, 'public.statuses': 0, 'public.schema_migrations': 450 };

function snapshot(
  day: number,
  rows: Readonly<Record<string, number>>,
  systemIdentifier = '7000000000000000000',
): Manifest {
  const manifest = aManifest({ dataAt: new Date(start + day * dayMs) });
  return { ...manifest, database: { ...manifest.database, rows, systemIdentifier } };
}

it('a Mastodon that was set up anew, on the same server or another, is none to choose silently', () => {
  const former = snapshot(0, full);
  for (const server of ['7000000000000000000', '7111111111111111111']) {
    const reason = objectToEmptied(snapshot(1, empty, server), { older: [former] });
    assert.match(reason ?? '', new RegExp(`^it has 3 rows.*daily/${former.id} of 2026-01-01\\S+ has 95030`));
  }
});

it('nor are the snapshots that follow it, for 30 days', () => {
  const [former, first] = [snapshot(0, full), snapshot(1, empty)];
  assert.notEqual(objectToEmptied(snapshot(2, empty), { older: [first, former] }), null);
  assert.notEqual(objectToEmptied(snapshot(30, empty), { older: [first, former] }), null);
  const settled = snapshot(31, empty);
  assert.equal(objectToEmptied(settled, { older: [first, former] }), null);
  assert.match(remarkOnSuccessor(settled, { older: [first, former] }) ?? '', /it has 3 rows, daily\/.* has 95030/);
});

it('one person alone may be whoever set it up anew', () => {
  const former = snapshot(0, { ...full, 'public.users': 1 });
  assert.notEqual(objectToEmptied(snapshot(1, empty), { older: [former] }), null);
});

it('an upgrade to another server with the same rows is the latest, and is said', () => {
  const [former, upgraded] = [snapshot(0, full), snapshot(1, full, '7111111111111111111')];
  assert.equal(objectToEmptied(upgraded, { older: [former] }), null);
  assert.match(remarkOnSuccessor(upgraded, { older: [former] }) ?? '', /another database server than daily\//);
});

it('half of the rows on another server is too little for an upgrade', () => {
  const half = { 'public.accounts': 2_000, 'public.users': 12, 'public.statuses': 30_000 };
  assert.equal(objectToEmptied(snapshot(1, half), { older: [snapshot(0, full)] }), null);
  assert.notEqual(objectToEmptied(snapshot(1, half, '7111111111111111111'), { older: [snapshot(0, full)] }), null);
});

it('who tidies up the posts and accounts of others keeps the people, and the latest', () => {
  const tidied = { 'public.accounts': 60, 'public.users': 28, 'public.statuses': 900 };
  assert.equal(objectToEmptied(snapshot(1, tidied), { older: [snapshot(0, full)] }), null);
});

it('tables in a schema of their own count alike, and a database of next to nothing has no successor to fear', () => {
  const own = Object.fromEntries(Object.entries(full).map(([table, rows]) => [table.replace('public', 'masto'), rows]));
  assert.notEqual(objectToEmptied(snapshot(1, empty), { older: [snapshot(0, own)] }), null);
  assert.equal(objectToEmptied(snapshot(1, {}), { older: [snapshot(0, empty)] }), null);
  assert.equal(remarkOnSuccessor(snapshot(1, full), { older: [snapshot(0, empty)] }), null);
});

it('what grows, or stays as it is, is never objected to', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.nat(1_000_000)),
      fc.nat(1_000_000),
      fc.boolean(),
      (rows, more, elsewhere) => {
        const grown = Object.fromEntries(Object.entries(rows).map(([table, count]) => [table, count + more]));
        const server = elsewhere ? '7111111111111111111' : '7000000000000000000';
        assert.equal(objectToEmptied(snapshot(1, grown, server), { older: [snapshot(0, rows)] }), null);
      },
    ),
  );
});
