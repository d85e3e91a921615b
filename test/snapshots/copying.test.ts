// Copies of snapshots: of all parts, from a bucket that was moved as well, and without answering what the source did not.

import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeClocks, describeSnapshot } from '../../src/backup/snapshot-base.ts';
import { copyAcross, copyWithin } from '../../src/snapshots/copying.ts';
import { createDestination } from '../../src/snapshots/destination.ts';
import { dumpOf, encodeManifest, type Manifest } from '../../src/snapshots/manifest.ts';
import { createSnapshotId, manifestKey } from '../../src/snapshots/object-keys.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, ObjectStore, RemovableStore } from '../../src/storage/store.ts';
import { aManifest, dumpKey, putSnapshot } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startS3, type SeenRequest } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const now = new Date('2026-01-10T12:00:00.000Z');
const options = { verify: 'full', stallTimeoutMs: 60_000, now: () => now, log: quietLog, signal } as const;
const weekly = {
  id: createSnapshotId(now),
  tier: 'weekly',
  slot: now,
  toolVersion: '0.0.0',
  fingerprints: {},
} as const;

describe('a copy of a snapshot where ETags are compared', () => {
  const byEtag = { ...options, verify: 'etag' } as const;
  const isRead = ({ method, path }: SeenRequest): boolean => method === 'GET' && path.endsWith('.dump');
  const putKnown = async (store: ObjectStore): Promise<Manifest> => {
    const base = await putSnapshot(store, { dataAt: '2026-01-10T09:00:00.000Z' });
    const etag = (await store.head(dumpKey(base), { signal }))?.etag ?? null;
    return { ...base, parts: base.parts.map((part) => ({ ...part, etag })) };
  };

  it('is not made of what was put into its place with the same size', async () => {
    await using s3 = await startS3();
    const repository = createRepository(s3.storeBehindDoor());
    const source = await putKnown(repository.store);
    const whole = await copyWithin(repository, { ...byEtag, ...weekly, source });
    assert.ok(whole.kind === 'stored');
    assert.equal(whole.manifest.verified.method, 'etag');
    assert.ok(!s3.seen.some(isRead), 'the ETag that is known costs no reading');
    await s3.overwrite(dumpKey(source), Buffer.from('garbage'));
    const other = { ...weekly, id: createSnapshotId(now) };
    const refused = await copyWithin(repository, { ...byEtag, ...other, source });
    assert.ok(refused.kind === 'failed', refused.kind === 'stored' ? refused.manifest.verified.method : '');
    assert.equal(refused.error.code, 'verify');
    assert.equal(await repository.store.head(manifestKey('', other), { signal }), null);
  });

  it('is read where the store has an ETag that is no MD5', async () => {
    await using s3 = await startS3();
    using folder = temporaryDirectory();
    s3.rule(({ method }) =>
      method === 'HEAD'
        ? { kind: 'headers', headers: { 'x-amz-server-side-encryption': 'aws:kms' } }
        : { kind: 'pass' },
    );
    const from = createRepository(createLocalStore({ directory: folder.path }));
    const to = createRepository(s3.storeBehindDoor());
    const source = await putSnapshot(from.store, { dataAt: '2026-01-10T09:00:00.000Z' });
    const across = await copyAcross({ from, to }, { ...byEtag, source });
    assert.ok(across.kind === 'stored', across.kind === 'failed' ? across.error.message : '');
    assert.equal(across.manifest.verified.method, 'full');
    const within = await copyWithin(to, { ...byEtag, ...weekly, source: across.manifest });
    assert.ok(within.kind === 'stored', within.kind === 'failed' ? within.error.message : '');
    assert.equal(within.manifest.verified.method, 'full');
    assert.equal(s3.seen.filter(isRead).length, 2);
  });
});

// A NAS that takes no byte and answers nothing.
function hungStore(directory: string): RemovableStore {
  const hang = async (ended: AbortSignal): Promise<never> =>
    new Promise((_resolve, reject) => ended.addEventListener('abort', () => reject(ended.reason as Error)));
  return {
    ...createLocalStore({ directory }),
    put: async (_key, _body, { signal: ended }) => hang(ended),
    copy: async (_from, { signal: ended }) => hang(ended),
  };
}

describe('a copy of a snapshot', () => {
  it('to the store that missed it answers no slot that the original does not, however late it is made', async () => {
    using folder = temporaryDirectory();
    using elsewhere = temporaryDirectory();
    const from = createRepository(createLocalStore({ directory: folder.path }));
    const to = createRepository(createLocalStore({ directory: elsewhere.path }));
    const source = await putSnapshot(from.store, { dataAt: '2026-01-01T00:00:00.000Z' });
    const outcome = await copyAcross({ from, to }, { ...options, source });
    assert.ok(outcome.kind === 'stored');
    assert.deepEqual(outcome.manifest, { ...source, verified: { method: 'full', at: now } });
  });

  it('ends at once with the failure of its source, also when the target hangs, and leaves nothing there', async () => {
    using folder = temporaryDirectory();
    using elsewhere = temporaryDirectory();
    const from = createRepository(createLocalStore({ directory: folder.path }));
    const source = await putSnapshot(from.store, { dataAt: '2026-01-01T00:00:00.000Z' });
    writeFileSync(join(folder.path, dumpKey(source)), 'garbage');
    const target = createLocalStore({ directory: elsewhere.path });
    for (const store of [target, hungStore(elsewhere.path)]) {
      const limit = AbortSignal.timeout(20_000);
      const outcome = await copyAcross(
        { from, to: createRepository(store) },
        { ...options, source, signal: AbortSignal.any([signal, limit]) },
      );
      assert.ok(outcome.kind === 'failed');
      assert.equal(outcome.error.code, 'verify');
      assert.match(outcome.error.message, /is not what its manifest says: its SHA-256 differs/);
      assert.deepEqual(
        readdirSync(elsewhere.path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()),
        [],
      );
    }
  });

  it('is cut off where it is the target that stands still, a bucket as well as a directory', async () => {
    using folder = temporaryDirectory();
    using elsewhere = temporaryDirectory();
    await using s3 = await startS3();
    const from = createRepository(createLocalStore({ directory: folder.path }));
    const source = await putSnapshot(from.store, { dataAt: '2026-01-01T00:00:00.000Z' });
    s3.rule(({ method }) => ({ kind: method === 'PUT' ? 'hang' : 'pass' }));
    const limited = () => ({
      ...options,
      source,
      stallTimeoutMs: 1_000,
      signal: AbortSignal.any([signal, AbortSignal.timeout(20_000)]),
    });
    const hung = createRepository(hungStore(folder.path));
    for (const outcome of [
      await copyAcross({ from, to: createRepository(hungStore(elsewhere.path)) }, limited()),
      await copyAcross({ from, to: createRepository(s3.storeBehindDoor()) }, limited()),
      await copyWithin(hung, { ...limited(), ...weekly }),
    ]) {
      assert.ok(outcome.kind === 'failed');
      assert.equal(outcome.error.code, 'stalled');
      assert.match(outcome.error.message, /could not be (stored|copied) .*: it stood still for 1 s/);
    }
  });

  it('is left to a bucket that says nothing while it copies inside itself', async () => {
    await using s3 = await startS3();
    const store = s3.store();
    const slow: RemovableStore = {
      ...store,
      async copy(from, copying) {
        await sleep(600);
        copying.signal.throwIfAborted();
        return store.copy(from, copying);
      },
    };
    const source = await putSnapshot(store, { dataAt: '2026-01-01T00:00:00.000Z' });
    const outcome = await copyWithin(createRepository(slow), { ...options, ...weekly, source, stallTimeoutMs: 100 });
    assert.ok(outcome.kind === 'stored', outcome.kind === 'failed' ? outcome.error.message : '');
  });

  it('takes parts along of a kind that only a newer version writes', async () => {
    using folder = temporaryDirectory();
    const repository = createRepository(createLocalStore({ directory: folder.path }));
    const { store } = repository;
    const base = await putSnapshot(store, { dataAt: '2026-01-10T09:00:00.000Z' });
    const later = { ...dumpOf(base), kind: 'redis', name: `${base.id}.redis.rdb` };
    await store.putDocument(`daily/${later.name}` as ObjectKey, Buffer.from('content'), { signal });
    const source = { ...base, parts: [...base.parts, later] };
    const outcome = await copyWithin(repository, { ...options, ...weekly, source });
    assert.ok(outcome.kind === 'stored');
    assert.deepEqual(
      outcome.manifest.parts.map(({ name }) => name),
      [`${weekly.id}.dump`, `${weekly.id}.redis.rdb`],
    );
    const key = `weekly/${weekly.id}.redis.rdb` as ObjectKey;
    assert.equal((await buffer(await store.get(key, { signal }))).toString(), 'content');
  });

  it('is made in a bucket whose objects were moved there, and have ETags of their own', async () => {
    await using s3 = await startS3();
    const repository = createRepository(s3.store());
    const base = await putSnapshot(repository.store, { dataAt: '2026-01-10T09:00:00.000Z' });
    const parts = base.parts.map((part) => ({ ...part, partBytes: 5, etag: '00000000000000000000000000000000-2' }));
    const outcome = await copyWithin(repository, { ...options, ...weekly, source: { ...base, parts } });
    assert.ok(outcome.kind === 'stored', outcome.kind === 'failed' ? outcome.error.message : '');
    assert.equal(outcome.manifest.verified.method, 'full');
    assert.equal(dumpOf(outcome.manifest).partBytes, null);
    await s3.overwrite(dumpKey(base), Buffer.from('another'));
    const other = { ...weekly, id: createSnapshotId(now) };
    const refused = await copyWithin(repository, { ...options, ...other, source: { ...base, parts } });
    assert.ok(refused.kind === 'failed', 'the hash tells another object');
    assert.equal(await repository.store.head(manifestKey('', other), { signal }), null);
  });
});

it('a snapshot of a database whose clock is wrong is dated by our clock, and can be read again', () => {
  using folder = temporaryDirectory();
  const { database } = aManifest();
  const destination = createDestination(createRepository(createLocalStore({ directory: folder.path })), {
    tier: 'daily',
    name: 'x.dump',
    partBytes: 8,
    verify: 'full',
  });
  const id = createSnapshotId(now);
  const minuteMs = (count: number): number => count * 60_000;
  const minutes = (count: number): Date => new Date(now.getTime() + minuteMs(count));
  const dated = (dataAt: Date, aheadMs = 0): Manifest['dataAt'] => {
    const meter = { bytes: 1, sha256: '0'.repeat(64) };
    const passed = { found: { rows: {} }, content: meter, object: meter, end: { dataAt } };
    const facts = { ...database, serverMajor: 15, tableCount: 1 };
    const base = describeSnapshot(
      {
        purpose: { kind: 'by hand', tier: 'daily' },
        instance: 'social.example',
        role: null,
        mastodonImage: null,
        toolVersion: '0.0.0',
        compression: { kind: 'none' },
        recipients: [],
      },
      {
        id,
        facts,
        client: { version: '15' },
        source: { oddities: [], mastodon: null },
        passed,
        emptied: [],
        destination,
        etag: null,
        aheadMs,
        now: minutes(10),
      },
    );
    assert.ok(encodeManifest({ ...base, committedAt: minutes(10), verified: { method: 'full', at: minutes(10) } }));
    return base.dataAt;
  };
  assert.deepEqual(dated(minutes(1)), minutes(1));
  assert.deepEqual(dated(minutes(14)), minutes(14), 'clocks that nearly agree are left alone');
  assert.deepEqual(dated(minutes(70)), now, 'never in the future, where nothing counts');
  assert.deepEqual(dated(minutes(70), minuteMs(69)), now);
  assert.deepEqual(dated(minutes(1 - 30 * 1440), minuteMs(-30 * 1440)), now, 'nor in the past, where retention ends');
  assert.deepEqual(dated(minutes(-20)), minutes(-20), 'a standby may be behind, by a clock that is right');
  assert.deepEqual(dated(minutes(1 - 90), minuteMs(-60)), minutes(-29), 'and by one that is not');
  assert.deepEqual([describeClocks(minuteMs(5)), describeClocks(minuteMs(-5))], [[], []]);
  assert.match(describeClocks(minuteMs(-30 * 1440)).join(), /^The database's clock is 30 d behind ours, by which/);
});
