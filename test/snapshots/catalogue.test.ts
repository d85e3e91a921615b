import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { readAll } from '../../src/snapshots/document-reading.ts';
import {
  decodeManifest,
  dumpOf,
  encodeManifest,
  snapshotName,
  type Manifest,
  type Part,
} from '../../src/snapshots/manifest.ts';
import { AppError } from '../../src/errors.ts';
import { chooseSnapshot, type Choice } from '../../src/snapshots/choice.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, RemovableStore } from '../../src/storage/store.ts';
import { aManifest, dumpKey, putSnapshot } from '../support/manifests.ts';
import { startS3 } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const options = { signal };
const now = new Date('2026-02-01T00:00:00Z');

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

  it('is what the documentation shows', () => {
    const page = readFileSync(new URL('../../docs/what-is-stored.md', import.meta.url), 'utf8');
    const example = Buffer.from(/```json\n(.*?)```/s.exec(page)?.[1] ?? '');
    const decoded = decodeManifest(example);
    assert.ok(decoded.kind === 'manifest', JSON.stringify(decoded));
    const names = (value: object): readonly string[] => Object.keys(value).toSorted();
    assert.deepEqual(names(decoded.manifest), names(aManifest()));
    assert.deepEqual(names(decoded.manifest.database), names(aManifest().database));
    assert.deepEqual(names(dumpOf(decoded.manifest)), names({ ...dumpOf(aManifest()), compressor: '' }));
  });

  it('is unreadable, never an exception, when it is not one', () => {
    const good = aManifest();
    const dump = dumpOf(good);
    for (const [content, reason] of [
      ['', /JSON/],
      ['null', /not an object/],
      ['{"format":2}', /format 2 is not known/],
      [JSON.stringify({ ...good, dataAt: 'yesterday' }), /dataAt is not a time/],
      [JSON.stringify({ ...good, parts: [{ ...dump, bytes: -1 }] }), /bytes is not a count/],
      [JSON.stringify({ ...good, tier: 'hour' }), /tier/],
      [
        JSON.stringify({
          ...good,
          database: { ...good.database, locale: { ...good.database.locale, provider: 'libc; drop role x' } },
        }),
        /locale\.provider is not known/,
      ],
      ...[-1, 0.5, 2 ** 53, '1', null, [1]].map(
        (rows) =>
          [
            JSON.stringify({ ...good, database: { ...good.database, rows: { 'public.a': 1, 'public.b': rows } } }),
            /database\.rows\.public\.b is not a count/,
          ] as const,
      ),
      ...[null, 7, [1]].map(
        (rows) => [JSON.stringify({ ...good, database: { ...good.database, rows } }), /rows is not an object/] as const,
      ),
      [JSON.stringify({ ...good, parts: [{ ...dump, content: { bytes: 1, sha256: 'x' } }] }), /sha256/],
    ] as const) {
      const decoded = decodeManifest(Buffer.from(content));
      assert.ok(decoded.kind === 'unreadable');
      assert.match(decoded.reason, reason);
    }
    assert.equal(decodeManifest(Buffer.from([0xff, 0xfe])).kind, 'unreadable');
  });

  it('is unreadable when its instants contradict each other, but for clocks that nearly agree', () => {
    const at = (time: string): Date => new Date(`2026-01-${time}Z`);
    const good = { ...aManifest({ dataAt: at('05T12:00:00') }), committedAt: at('05T13:00:00') };
    const reason = (change: Partial<Manifest>): string => {
      const decoded = decodeManifest(encodeManifest({ ...good, ...change }));
      return decoded.kind === 'unreadable' ? decoded.reason : '';
    };
    assert.match(reason({ dataAt: at('05T13:05:01') }), /has data from after it was committed/);
    assert.match(reason({ slot: at('05T13:05:01') }), /answers a slot that came after it was committed/);
    assert.match(reason({ committedAt: at('07T12:00:01') }), /more than two days from the time in its id/);
    assert.match(reason({ committedAt: at('03T11:59:59'), dataAt: at('01T00:00:00') }), /more than two days/);
    assert.match(reason({ id: 'latest' }), /no id of a snapshot/);
    // The database's clock is not ours, and a copy has data that is older than its id.
    assert.equal(reason({ dataAt: at('05T13:04:59') }), '');
    assert.equal(reason({ slot: at('05T13:04:59') }), '');
    assert.equal(reason({ dataAt: at('01T00:00:00') }), '');
    assert.equal(reason({ committedAt: at('07T12:00:00') }), '');
  });

  it('names its own parts alone, each once, and always one dump', () => {
    const good = aManifest();
    const dump = dumpOf(good);
    const reason = (...parts: readonly Part[]): string => {
      const decoded = decodeManifest(encodeManifest({ ...good, parts }));
      return decoded.kind === 'unreadable' ? decoded.reason : '';
    };
    const named = (name: string, kind = 'dump'): Part => ({ ...dump, kind, name });
    for (const name of [
      '2026-01-01T000000Z-aaaaaa.dump',
      `../daily/${dump.name}`,
      `daily/${dump.name}`,
      `${good.id}.json`,
      `${good.id}.dump.gz`,
      good.id,
      '',
    ])
      assert.match(reason(named(name)), /which is not its own/, name);
    for (const name of ['.json', '.json.sig', '.pin', '.dump.xz', '.redis/x', '.', '.redis.'])
      assert.match(reason(dump, named(`${good.id}${name}`, 'redis')), /which is not its own/, name);
    assert.match(reason(), /does not name one dump/);
    assert.match(reason({ ...dump, content: null }), /does not name one dump/);
    assert.match(reason(dump, named(`${good.id}.dump.xz`)), /does not name one dump/);
    assert.match(reason(dump, dump), /names a part twice/);
    // A kind that only a newer version knows is kept.
    assert.equal(reason(dump, named(`${good.id}.redis.rdb.age`, 'redis')), '');
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
    await store.remove(dumpKey(missing), { signal });
    const shorter = await putSnapshot(store, { dataAt: '2026-01-06T00:00:00.000Z' });
    await store.remove(dumpKey(shorter), { signal });
    await putText(store, { key: dumpKey(shorter), text: 'short' });
    await putText(store, { key: 'daily/2026-01-07T000000Z-aaaaaa.json', text: '{"format":2}' });
    await putText(store, { key: 'daily/2026-01-08T000000Z-bbbbbb.dump.xz', text: 'no manifest' });
    await putText(store, { key: 'daily/2023-12-29.sql.xz', text: 'classic' });
    const elsewhere = aManifest({ dataAt: '2026-01-09T00:00:00.000Z' });
    await putText(store, { key: 'daily/2026-01-09T000000Z-cccccc.json', text: JSON.stringify(elsewhere) });

    const catalogue = await readCatalogue(createRepository(store), options);
    assert.deepEqual(
      catalogue.snapshots.map(({ dataAt }) => dataAt.toISOString().slice(0, 10)),
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
      chooseSnapshot(catalogue, { text, instance, place: 'here', now, encryptedOnly: false })
        .manifest.dataAt.toISOString()
        .slice(0, 10);
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
    const repository = createRepository(store);
    await readCatalogue(repository, options);
    assert.equal((await readCatalogue(repository, options)).snapshots.length, 2);
    assert.equal(reads.length, 2);
    await store.remove(`weekly/${goes.id}.json` as ObjectKey, { signal });
    // A reading of other folders says nothing of this one.
    await readCatalogue(repository, { ...options, folders: ['daily'] });
    assert.equal(repository.manifests.size, 2);
    await readCatalogue(repository, options);
    assert.deepEqual([...repository.manifests.keys()], [`daily/${stays.id}.json`]);
  });

  it('reads a folder that was copied elsewhere, or whose prefix was renamed, like the original', async () => {
    using folder = temporaryDirectory();
    await using s3 = await startS3();
    const original = createLocalStore({ directory: folder.path });
    const manifest = await putSnapshot(original, { dataAt: '2026-01-01T00:00:00.000Z' });
    const under = s3.store();
    for await (const { key } of original.list('', { signal }))
      await under.putDocument(
        `instances/social/${key}` as ObjectKey,
        await readAll(await original.get(key, options)),
        options,
      );
    const copied = await readCatalogue(createRepository(under, { prefix: 'instances/social/' }), options);
    assert.deepEqual([copied.snapshots, copied.unreadable, copied.foreign], [[manifest], [], []]);

    renameSync(path.join(folder.path, 'daily'), path.join(folder.path, 'weekly'));
    const retiered = await readCatalogue(createRepository(original), options);
    assert.deepEqual(retiered.snapshots, [], 'another tier would be another promise');
    assert.match(retiered.unreadable[0]?.reason ?? '', /it says it is another snapshot/);
    mkdirSync(path.join(folder.path, 'moved'));
    renameSync(path.join(folder.path, 'weekly'), path.join(folder.path, 'moved', 'daily'));
    const moved = await readCatalogue(createRepository(original, { prefix: 'moved/' }), options);
    assert.deepEqual(moved.snapshots, [manifest]);
  });

  it('names a newer snapshot that `latest` passed over, with the reason, in the tier that is meant', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    const at = (day: string): string => `2026-01-${day}T00:00:00.000Z`;
    await putSnapshot(store, { dataAt: at('01') });
    const weekly = await putSnapshot(store, { dataAt: at('02'), tier: 'weekly' });
    const damaged = await putSnapshot(store, { dataAt: at('03') });
    await store.remove(dumpKey(damaged), { signal });
    await putText(store, { key: 'daily/2026-01-04T000000Z-aaaaaa.json', text: '{"format":2}' });
    const ahead = await putSnapshot(store, { dataAt: '2027-01-01T00:00:00.000Z' });
    await store.remove(dumpKey(await putSnapshot(store, { dataAt: at('05'), instance: 'other.example' })), { signal });
    const catalogue = await readCatalogue(createRepository(store), options);
    const choose = (text: string): Choice =>
      chooseSnapshot(catalogue, { text, instance: 'social.example', place: 'here', now, encryptedOnly: false });
    const all = [
      { snapshot: snapshotName(ahead), reason: 'it is dated in the future' },
      { snapshot: snapshotName(damaged), reason: 'it is damaged: its object is missing' },
      {
        snapshot: 'daily/2026-01-04T000000Z-aaaaaa',
        reason: 'it cannot be read: format 2 is not known to this version',
      },
    ];
    assert.deepEqual(choose('latest'), { manifest: weekly, passedOver: all, unseen: [], remark: null });
    assert.deepEqual(choose('latest:daily').passedOver, all);
    assert.deepEqual(choose('latest:weekly').passedOver, []);
    // By its name it is meant whatever its date is.
    assert.deepEqual(choose(ahead.id), { manifest: ahead, passedOver: [], unseen: [], remark: null });
    assert.throws(() => choose('daily/2026-01-04T000000Z-aaaaaa'), /cannot be read: format 2/);
    const nothing = { ...catalogue, snapshots: [ahead] };
    assert.throws(
      () => chooseSnapshot(nothing, { text: 'latest', instance: undefined, place: 'here', now, encryptedOnly: false }),
      /no snapshot 'latest' in here; daily\/.* cannot be it: it is dated in the future; nor can 3 others/,
    );
  });

  it('names one that cannot be read also where both were made in the same second', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    const manifest = await putSnapshot(store, { dataAt: '2026-01-04T00:00:00.100Z' });
    await putText(store, { key: 'daily/2026-01-04T000000Z-aaaaaa.json', text: '{"format":2}' });
    await putText(store, { key: 'daily/2026-01-03T235959Z-aaaaaa.json', text: '{"format":2}' });
    const catalogue = await readCatalogue(createRepository(store), options);
    const { passedOver } = chooseSnapshot(catalogue, {
      text: 'latest',
      instance: manifest.instance,
      place: 'here',
      now,
      encryptedOnly: false,
    });
    assert.deepEqual(
      passedOver.map(({ snapshot }) => snapshot),
      ['daily/2026-01-04T000000Z-aaaaaa'],
    );
  });

  it('takes a date for the snapshot nearest to it, in the zone that was set, and a moment for a limit', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    for (const dataAt of ['2026-01-01T12:00', '2026-01-02T11:00', '2026-01-02T22:30', '2026-01-05T12:00'])
      await putSnapshot(store, { dataAt: `${dataAt}:00.000Z` });
    const catalogue = await readCatalogue(createRepository(store), options);
    const choose = (text: string, timeZone = 'UTC', before?: string): string => {
      const { manifest, remark } = chooseSnapshot(catalogue, {
        text,
        instance: undefined,
        place: 'here',
        now: new Date('2026-01-10T00:00:00Z'),
        encryptedOnly: false,
        timeZone,
        before: before === undefined ? undefined : new Date(before),
      });
      if (!text.startsWith('latest')) assert.match(remark ?? '', /the nearest to .*: its data is of 2026-01-0/);
      return manifest.dataAt.toISOString().slice(5, 16);
    };
    assert.deepEqual(
      [choose('2026-01-02'), choose('2026-01-02', 'Europe/Berlin'), choose('2026-01-02', 'Asia/Tokyo')],
      ['01-02T22:30', '01-02T22:30', '01-02T11:00'],
    );
    assert.deepEqual(
      [choose('2026-01-02 11:30'), choose('2026-01-04'), choose('2020-01-01'), choose('2030-01-01')],
      ['01-02T11:00', '01-05T12:00', '01-01T12:00', '01-05T12:00'],
    );
    assert.equal(choose('latest', 'UTC', '2026-01-02T22:30:00Z'), '01-02T11:00');
    assert.equal(choose('latest:daily', 'UTC', '2026-01-02T00:00:00Z'), '01-01T12:00');
    assert.throws(() => choose('latest', 'UTC', '2026-01-01T00:00:00Z'), /with data from before 2026-01-01 00:00 UTC/);
    const [{ id } = { id: '' }] = catalogue.snapshots;
    assert.throws(() => choose(id, 'UTC', '2026-01-03T00:00:00Z'), /is one already/);
    assert.throws(() => choose('yesterday'), /no snapshot 'yesterday'/);
  });

  it('asks which instance when several share the prefix', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    await putSnapshot(store, { dataAt: '2026-01-01T00:00:00.000Z', instance: 'a.example' });
    await putSnapshot(store, { dataAt: '2026-01-02T00:00:00.000Z', instance: 'b.example' });
    const catalogue = await readCatalogue(createRepository(store), options);
    const latest = { text: 'latest', place: 'here', now, encryptedOnly: false };
    assert.throws(() => chooseSnapshot(catalogue, { ...latest, instance: undefined }), /a\.example, b\.example/);
    assert.equal(chooseSnapshot(catalogue, { ...latest, instance: 'a.example' }).manifest.instance, 'a.example');
  });

  it('shows a manifest that the store does not give, and reads it when it does; a store that does not answer is not read', async () => {
    await using s3 = await startS3();
    const plain = s3.store();
    const good = await putSnapshot(plain, { dataAt: '2026-01-01T00:00:00.000Z' });
    const bad = await putSnapshot(plain, { dataAt: '2026-01-02T00:00:00.000Z' });
    const denied = new AppError('store', 'the key may not read it', { reason: 'access-denied' });
    const broken = new AppError('store', 'the connection broke off', { reason: 'unreachable' });
    let refusal: AppError | null = denied;
    let silent = false;
    let reads = 0;
    const store: RemovableStore = {
      ...plain,
      get: async (key, how) => {
        if (!key.endsWith(`${bad.id}.json`) || refusal === null) return plain.get(key, how);
        reads += 1;
        throw refusal;
      },
      head: async (key, how) => {
        if (silent) throw broken;
        if (refusal === denied) throw denied;
        return plain.head(key, how);
      },
      list: (prefix, how) => {
        if (silent && prefix.endsWith('.json')) throw broken;
        return plain.list(prefix, how);
      },
    };
    const repository = createRepository(store);
    const look = async (): Promise<readonly unknown[]> => {
      const { snapshots, unreadable } = await readCatalogue(repository, options);
      return [snapshots.map(({ id }) => id), unreadable.map(({ id, reason }) => [id, reason])];
    };
    assert.deepEqual(await look(), [[good.id], [[bad.id, 'the key may not read it']]]);
    assert.equal(reads, 1, 'what is refused is refused again');
    refusal = broken;
    assert.deepEqual(await look(), [[good.id], [[bad.id, 'the connection broke off']]]);
    assert.equal(reads, 3, 'what broke off is tried again once');
    silent = true;
    await assert.rejects(look(), broken);
    refusal = null;
    assert.deepEqual(await look(), [[bad.id, good.id], []]);
  });

  it('takes no document that is larger than a mebibyte, whatever the listing says', async () => {
    using folder = temporaryDirectory();
    const plain = createLocalStore({ directory: folder.path });
    await putSnapshot(plain);
    let sent = 0;
    const flood = function* (): Generator<Buffer> {
      for (;;) {
        sent += 65_536;
        yield Buffer.alloc(65_536, ' ');
      }
    };
    const repository = createRepository({ ...plain, get: async () => Readable.from(flood()) });
    assert.match((await readCatalogue(repository, options)).unreadable[0]?.reason ?? '', /More than 1048576 bytes/);
    assert.ok(sent < 8 * 1024 * 1024, `${sent} bytes were taken`);
  });

  it('holds no more of all folders together than fits, and a flood in one hides what is in no other', async () => {
    using folder = temporaryDirectory();
    const plain = createLocalStore({ directory: folder.path });
    const good = await putSnapshot(plain);
    const flood = (floods: Readonly<Record<string, number>>): RemovableStore => ({
      ...plain,
      async *list(prefix, how) {
        yield* plain.list(prefix, how);
        for (let at = 0; at < (floods[prefix] ?? 0); at += 1)
          yield { key: `${prefix}${at}${'x'.repeat(1_000)}` as ObjectKey, bytes: 1, modifiedAt: now, etag: null };
      },
    });
    const one = await readCatalogue(createRepository(flood({ 'labelled/': 90_000 })), options);
    assert.deepEqual(
      [one.snapshots.map(({ id }) => id), one.unlisted.map(({ key }) => key)],
      [[good.id], ['labelled/']],
    );
    assert.match(
      one.unlisted[0]?.reason ?? '',
      /^'labelled\/' holds more than can be listed, 128 MiB of names of all folders together, in /,
    );
    const spread = { 'weekly/': 40_000, 'monthly/': 40_000, 'yearly/': 40_000, 'labelled/': 40_000 };
    const all = await readCatalogue(createRepository(flood(spread)), options);
    assert.deepEqual(
      [all.snapshots.map(({ id }) => id), all.unlisted.length, all.foreign.length],
      [[good.id], 3, 40_000],
    );
  });

  it('reads every page of a bucket', async () => {
    await using s3 = await startS3();
    const store = s3.store({ pageSize: 7 });
    for (let day = 1; day <= 20; day += 1) {
      await putSnapshot(store, { dataAt: `2026-01-${String(day).padStart(2, '0')}T00:00:00.000Z` });
    }
    const { snapshots } = await readCatalogue(createRepository(store), options);
    assert.equal(snapshots.length, 20);
  });
});
