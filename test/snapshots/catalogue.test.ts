import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCatalogue, selectSnapshot, type ManifestCache } from '../../src/snapshots/catalogue.ts';
import { decodeManifest, encodeManifest } from '../../src/snapshots/manifest.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, RemovableStore } from '../../src/storage/store.ts';
import { temporaryDirectory } from '../support/command.ts';
import { aManifest, putSnapshot } from '../support/manifests.ts';
import { startS3 } from '../support/s3-server.ts';

const signal = AbortSignal.timeout(900_000);
const options = { prefix: '', signal };

async function putText(
  store: RemovableStore,
  { key, text }: { readonly key: string; readonly text: string },
): Promise<void> {
  await store.putDocument(key as ObjectKey, Buffer.from(text), { signal });
}

describe('a manifest', () => {
  it('comes back as it was written, with fields of a newer version kept', () => {
    const manifest = { ...aManifest(), invented: { later: true } };
    assert.deepEqual(decodeManifest(encodeManifest(manifest)), { kind: 'manifest', manifest });
  });

  it('is unreadable, never an exception, when it is not one', () => {
    const good = aManifest();
    for (const [content, reason] of [
      ['', /JSON/],
      ['null', /not an object/],
      ['{"format":2}', /format 2 is not known/],
      [JSON.stringify({ ...good, dataAt: 'yesterday' }), /dataAt is not a time/],
      [JSON.stringify({ ...good, object: { ...good.object, bytes: -1 } }), /bytes is not a count/],
      [JSON.stringify({ ...good, tier: 'hour' }), /tier/],
      [
        JSON.stringify({
          ...good,
          database: { ...good.database, locale: { ctype: 'C', provider: 'libc; drop role x', name: null } },
        }),
        /locale provider is not known/,
      ],
      [JSON.stringify({ ...good, dump: { bytes: 1, sha256: 'x' } }), /sha256/],
    ] as const) {
      const decoded = decodeManifest(Buffer.from(content));
      assert.ok(decoded.kind === 'unreadable');
      assert.match(decoded.reason, reason);
    }
    assert.equal(decodeManifest(Buffer.from([0xff, 0xfe])).kind, 'unreadable');
  });
});

describe('a catalogue', () => {
  it('shows snapshots newest first, and apart from them what is not one', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    await putSnapshot(store, { dataAt: '2026-01-01T00:00:00.000Z' });
    await putSnapshot(store, { dataAt: '2026-01-03T00:00:00.000Z', tier: 'weekly' });
    await putSnapshot(store, { dataAt: '2026-01-02T00:00:00.000Z' });
    const missing = await putSnapshot(store, { dataAt: '2026-01-05T00:00:00.000Z' });
    await store.remove(missing.object.key as ObjectKey, { signal });
    const shorter = await putSnapshot(store, { dataAt: '2026-01-06T00:00:00.000Z' });
    await store.remove(shorter.object.key as ObjectKey, { signal });
    await putText(store, { key: shorter.object.key, text: 'short' });
    await putText(store, { key: 'daily/2026-01-07T000000Z-aaaaaa.json', text: '{"format":2}' });
    await putText(store, { key: 'daily/2026-01-08T000000Z-bbbbbb.dump.xz', text: 'no manifest' });
    await putText(store, { key: 'daily/2023-12-29.sql.xz', text: 'classic' });
    const elsewhere = aManifest({ dataAt: '2026-01-09T00:00:00.000Z' });
    await putText(store, { key: 'daily/2026-01-09T000000Z-cccccc.json', text: JSON.stringify(elsewhere) });

    const catalogue = await readCatalogue(store, options);
    assert.deepEqual(
      catalogue.snapshots.map(({ dataAt }) => dataAt.slice(0, 10)),
      ['2026-01-03', '2026-01-02', '2026-01-01'],
    );
    assert.deepEqual(
      catalogue.damaged.map(({ reason }) => reason),
      ['its object has 5 bytes instead of 7', 'its object is missing'],
    );
    assert.deepEqual(
      catalogue.unreadable.map(({ reason }) => reason),
      ['format 2 is not known to this version', 'it says it is another snapshot'],
    );
    assert.deepEqual(
      catalogue.foreign.map(({ key }) => key),
      ['daily/2023-12-29.sql.xz'],
    );

    const select = (text: string, instance?: string): string =>
      selectSnapshot(catalogue, { text, instance, place: 'here' }).dataAt.slice(0, 10);
    assert.equal(select('latest'), '2026-01-03');
    assert.equal(select('latest:daily'), '2026-01-02');
    const oldest = catalogue.snapshots.at(-1)?.id ?? '';
    assert.equal(select(oldest), '2026-01-01');
    assert.equal(select(`daily/${oldest}`), '2026-01-01');
    assert.throws(() => select(`weekly/${oldest}`), { code: 'no-snapshot' });
    assert.throws(() => select('latest:monthly'), { code: 'no-snapshot' });
    assert.throws(() => select(missing.id), /damaged: its object is missing/);
  });

  it('reads a manifest once, and forgets it when it is gone', async () => {
    using folder = temporaryDirectory();
    const plain = createLocalStore({ directory: folder.path });
    const reads: string[] = [];
    const store: RemovableStore = {
      ...plain,
      get: async (key, how) => {
        reads.push(key);
        return plain.get(key, how);
      },
    };
    const stays = await putSnapshot(store, { dataAt: '2026-01-01T00:00:00.000Z' });
    const goes = await putSnapshot(store, { dataAt: '2026-01-02T00:00:00.000Z', tier: 'weekly' });
    const cache: ManifestCache = new Map();
    await readCatalogue(store, { ...options, cache });
    assert.equal((await readCatalogue(store, { ...options, cache })).snapshots.length, 2);
    assert.equal(reads.length, 2);
    await store.remove(`weekly/${goes.id}.json` as ObjectKey, { signal });
    // A reading of other folders says nothing of this one.
    await readCatalogue(store, { ...options, cache, folders: ['daily'] });
    assert.equal(cache.size, 2);
    await readCatalogue(store, { ...options, cache });
    assert.deepEqual([...cache.keys()], [`daily/${stays.id}.json`]);
  });

  it('asks which instance when several share the prefix', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    await putSnapshot(store, { dataAt: '2026-01-01T00:00:00.000Z', instance: 'a.example' });
    await putSnapshot(store, { dataAt: '2026-01-02T00:00:00.000Z', instance: 'b.example' });
    const catalogue = await readCatalogue(store, options);
    const latest = { text: 'latest', place: 'here' };
    assert.throws(() => selectSnapshot(catalogue, { ...latest, instance: undefined }), /a\.example, b\.example/);
    assert.equal(selectSnapshot(catalogue, { ...latest, instance: 'a.example' }).instance, 'a.example');
  });

  it('reads every page of a bucket', async () => {
    await using s3 = await startS3();
    const store = s3.store({ pageSize: 7 });
    for (let day = 1; day <= 20; day += 1) {
      await putSnapshot(store, { dataAt: `2026-01-${String(day).padStart(2, '0')}T00:00:00.000Z` });
    }
    const { snapshots } = await readCatalogue(store, options);
    assert.equal(snapshots.length, 20);
  });
});
