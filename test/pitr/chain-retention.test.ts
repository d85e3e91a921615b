// What stays and what goes of base backups and log: nothing that a moment which is wanted needs, and never what is not ours.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { it } from 'node:test';
import { planChain, planEndedChain } from '../../src/pitr/chain-retention.ts';
import { readChain, type Chain } from '../../src/snapshots/chain-catalogue.ts';
import { parseChainKey } from '../../src/snapshots/chain-keys.ts';
import { removeEndedChain, removeOldChain, sweepChain } from '../../src/snapshots/chain-law.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { baseOf, begin, dayMs, instance, place, systemIdentifier, walOf } from '../support/chains.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = new AbortController().signal;
const lineages = [[{ timeline: 1, end: null }]];

function chainOf(weeks: number, hours: number, change: Partial<Chain> = {}): Chain {
  return {
    systemIdentifier,
    bases: Array.from({ length: weeks }, (_, week) => baseOf(weeks - 1 - week)),
    damaged: [],
    unreadable: [],
    unsigned: [],
    signatures: [],
    wal: Array.from({ length: hours }, (_, hour) => walOf(hour)),
    unsignedWal: [],
    walSignatures: [],
    histories: [],
    unsignedHistories: [],
    orphans: [],
    foreign: [],
    bytes: 0,
    ...change,
  };
}

const at = (days: number): Date => new Date(begin + days * dayMs);
const plan = (chain: Chain, since: Date) => planChain(chain, { place, instance, since, lineages });

it('in a week and more every moment that is wanted can be had, and nothing else is kept', () => {
  for (let day = 1; day < 40; day += 0.5) {
    const chain = chainOf(Math.floor(day / 7) + 1, Math.floor(day * 24) + 1);
    const { keep, remove, hold } = plan(chain, at(day - 7));
    assert.equal(hold, null);
    const gone = new Set<string>(remove);
    const oldest = keep.at(-1);
    assert.ok(
      oldest !== undefined && (oldest.endedAt <= at(day - 7) || keep.length === chain.bases.length),
      `day ${day}`,
    );
    const left = chain.wal.filter(({ key }) => !gone.has(key));
    assert.equal(left[0]?.segment, keep.length === chain.bases.length ? chain.wal[0]?.segment : oldest.startSegment);
    assert.equal(left.length, chain.wal.length - chain.wal.indexOf(left[0]!), 'no hole');
    assert.ok(keep.length <= 3, `${keep.length} bases are kept`);
  }
});

it('the newest base that leads somewhere stays, however old it is, and one that leads nowhere does not count', () => {
  const idle = chainOf(1, 10);
  assert.deepEqual(plan(idle, at(300)).remove, []);
  const holed = chainOf(3, 15 * 24);
  const newest = holed.bases[0]?.startSegment;
  const without = { ...holed, wal: holed.wal.filter(({ segment }) => segment !== newest) };
  const { keep } = plan(without, at(14.5));
  assert.deepEqual(
    keep.map(({ id }) => id),
    [holed.bases[0]?.id, holed.bases[1]?.id],
  );
});

it('signatures of the log go with the log, and no sooner', () => {
  const chain = chainOf(3, 15 * 24);
  const walSignatures = chain.wal.map(
    ({ key, segment }) =>
      ({ kind: 'wal-signature', key: `${key}.sig` as ObjectKey, of: key, segment, systemIdentifier }) as const,
  );
  const history = {
    kind: 'wal-signature',
    key: `pitr/${systemIdentifier}/wal/00000002/00000002.history.zst.sig` as ObjectKey,
    of: `pitr/${systemIdentifier}/wal/00000002/00000002.history.zst` as ObjectKey,
    segment: null,
    systemIdentifier,
  } as const;
  const { remove } = plan({ ...chain, walSignatures: [...walSignatures, history] }, at(14.5));
  const gone = new Set<string>(remove);
  assert.ok(gone.size > 7 * 24);
  for (const { key } of chain.wal) assert.equal(gone.has(`${key}.sig`), gone.has(key), key);
  assert.ok(!gone.has(history.key));
  for (const { key } of [...walSignatures, history]) {
    const parsed = parseChainKey(key, { prefix: '' });
    assert.ok(parsed?.kind === 'wal-signature' && `${parsed.of}.sig` === key);
  }
});

it('nothing goes beside what cannot be read, or what is of another instance', () => {
  const chain = chainOf(4, 28 * 24);
  const since = at(20);
  assert.ok(plan(chain, since).remove.length > 0);
  const unreadable = plan({ ...chain, unreadable: [{ id: 'x', reason: 'a newer format' }] }, since);
  assert.deepEqual([unreadable.remove, /cannot be read/.test(unreadable.hold ?? '')], [[], true]);
  const foreign = { ...chain, bases: [...chain.bases.slice(0, 3), { ...baseOf(0), instance: 'other.social' }] };
  assert.deepEqual(plan(foreign, since).remove, []);
});

it('the chain of a server that is no more goes as a whole when nobody wants a moment of it, and not before', () => {
  const chain = chainOf(2, 8 * 24);
  const ended = (since: Date, change: Partial<Chain> = {}) =>
    planEndedChain({ ...chain, ...change }, { place, instance, since }).length;
  assert.equal(ended(at(8.5)), 2 * 2 + 8 * 24);
  assert.equal(ended(at(7.5)), 0, 'log of after that');
  assert.equal(ended(at(8.5), { bases: [] }), 0, 'nobody says whose it is');
  assert.equal(ended(at(8.5), { unreadable: [{ id: 'x', reason: 'y' }] }), 0);
});

it('the law removes nothing that a kept base needs, whatever it is asked', async () => {
  using folder = temporaryDirectory();
  const directory = `${folder.path}/store`;
  mkdirSync(directory);
  const repository = createRepository(createLocalStore({ directory }));
  const { store } = repository;
  const wal = Array.from({ length: 6 }, (_, hour) => walOf(hour));
  for (const { key } of wal) await store.putDocument(key, Buffer.from('x'), { signal });
  const keep = [{ id: 'kept', startSegment: wal[3]?.segment ?? '' }];
  const options = { systemIdentifier, keep, log: quietLog, signal };
  const keys = wal.map(({ key }) => key);
  await assert.rejects(removeOldChain(repository, { ...options, remove: keys }), /needed by a base that stays/);
  await assert.rejects(removeOldChain(repository, { ...options, keep: [], remove: keys.slice(0, 1) }), /no base stays/);
  const foreign = keys[0]?.replace(systemIdentifier, '8') as ObjectKey;
  await assert.rejects(removeOldChain(repository, { ...options, remove: [foreign] }), /not of this chain/);
  const ended = { systemIdentifier, followed: systemIdentifier, remove: keys, log: quietLog, signal };
  await assert.rejects(removeEndedChain(repository, ended), /is followed/);
  const needed = `${keys[3] ?? ''}.sig` as ObjectKey;
  await assert.rejects(removeOldChain(repository, { ...options, remove: [needed] }), /a base that stays needs/);
  assert.equal((await readChain(repository, { systemIdentifier, signal })).wal.length, 6, 'nothing went');
  assert.deepEqual(await removeOldChain(repository, { ...options, remove: keys.slice(0, 3) }), keys.slice(0, 3));
  assert.equal((await readChain(repository, { systemIdentifier, signal })).wal.length, 3);
});

it('the sweep takes an old tar without a document, and no young one', async () => {
  using folder = temporaryDirectory();
  const directory = `${folder.path}/store`;
  mkdirSync(directory);
  const repository = createRepository(createLocalStore({ directory }));
  const { id } = baseOf(0);
  const key = `pitr/${systemIdentifier}/base/${id}.tar.zst` as ObjectKey;
  await repository.store.putDocument(key, Buffer.from('x'), { signal });
  const { orphans } = await readChain(repository, { systemIdentifier, signal });
  const sweep = async (before: Date) =>
    sweepChain(repository, { systemIdentifier, orphans, before, log: quietLog, signal });
  assert.deepEqual(await sweep(new Date(Date.now() - dayMs)), []);
  assert.deepEqual(await sweep(new Date(Date.now() + dayMs)), [key]);
});
