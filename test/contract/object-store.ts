// What every store must do, run against each of them: the interface's promises, one by one.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { Readable } from 'node:stream';
import { createEtagMeter } from '../../src/snapshots/etag.ts';
import type { ObjectKey, ObjectStore, RemovableStore } from '../../src/storage/store.ts';

const partBytes = 5 * 1024 * 1024;
const signal = AbortSignal.timeout(1_800_000);

function expectedEtag(content: Buffer): string {
  const meter = createEtagMeter(partBytes);
  meter.push(content);
  return meter.etag();
}

/** A store, for one test. */
interface Place extends AsyncDisposable {
  readonly store: RemovableStore;
  /** Has an object of one byte there that the store did not put; left out: it is asked to. */
  readonly lay?: (key: ObjectKey) => Promise<unknown>;
}

/** Declares the suite; `open` gives a store and takes it away again. Keys are below a folder of the suite's own. */
export function testObjectStore(name: string, { open }: { readonly open: () => Promise<Place> }): void {
  const key = (text: string): ObjectKey => `contract/${text}` as ObjectKey;
  const chunks = (content: Buffer): Readable =>
    Readable.from(
      Array.from({ length: Math.ceil(content.length / 100_000) }, (_, at) =>
        content.subarray(at * 100_000, (at + 1) * 100_000),
      ),
    );
  const put = async (store: ObjectStore, { name: keyName, body }: { readonly name: string; readonly body: Readable }) =>
    store.put(key(keyName), body, { signal, partBytes });
  const keys = async (store: ObjectStore, prefix = 'contract/'): Promise<string[]> => {
    const found: string[] = [];
    for await (const object of store.list(prefix, { signal })) found.push(object.key);
    return found;
  };
  const unfinished = async (store: ObjectStore): Promise<number> => {
    let count = 0;
    for await (const _upload of store.listUnfinished('contract/', { signal })) count += 1;
    return count;
  };

  describe(`the ${name} store`, () => {
    it('gives back what it was given, at every boundary of a part', async () => {
      await using place = await open();
      const { store } = place;
      for (const bytes of [0, 1, partBytes - 1, partBytes, partBytes + 1, 2 * partBytes, 2 * partBytes + 12_345]) {
        const content = randomBytes(bytes);
        let progress = 0;
        const receipt = await store.put(key(`size-${bytes}`), chunks(content), {
          signal,
          partBytes,
          onProgress: (sent) => {
            assert.ok(sent >= progress);
            progress = sent;
          },
        });
        assert.equal(receipt.bytes, bytes);
        assert.equal(progress, bytes);
        const head = await store.head(key(`size-${bytes}`), { signal });
        assert.equal(head?.bytes, bytes);
        assert.equal(head?.etag, receipt.etag);
        if (receipt.etag !== null) assert.equal(receipt.etag, expectedEtag(content), `ETag of ${bytes} bytes`);
        assert.ok((await buffer(await store.get(key(`size-${bytes}`), { signal }))).equals(content));
      }
      assert.equal(await unfinished(store), 0);
    });

    it('copies an object of one part and of several, with the ETag of its source', async () => {
      await using place = await open();
      const { store } = place;
      for (const bytes of [0, 10, partBytes, 2 * partBytes + 12_345]) {
        const content = randomBytes(bytes);
        // Ceph's gateway decodes the source of a copied part twice, so a '%' is asked of copies in one request alone.
        const from = key(`source ${bytes} ü+${bytes > partBytes ? '' : '%'}`);
        const { etag } = await store.put(from, chunks(content), { signal, partBytes });
        const source = { bytes, etag, partBytes };
        let progress = 0;
        const receipt = await store.copy(from, {
          to: key(`copy-${bytes}`),
          source,
          signal,
          onProgress: (copied) => {
            progress = copied;
          },
        });
        assert.deepEqual(receipt, { bytes, etag });
        assert.equal(progress, bytes);
        assert.ok((await buffer(await store.get(key(`copy-${bytes}`), { signal }))).equals(content));
        await store.remove(from, { signal });
        assert.ok((await buffer(await store.get(key(`copy-${bytes}`), { signal }))).equals(content));
      }
      assert.equal(await unfinished(store), 0);
    });

    it('copies nothing that is not there, and nothing over another object', async () => {
      await using place = await open();
      const { store } = place;
      const source = { bytes: 5, etag: null, partBytes: null };
      await assert.rejects(store.copy(key('missing'), { to: key('copy'), source, signal }), { code: 'store' });
      assert.deepEqual(await keys(store), []);
      await put(store, { name: 'one', body: chunks(Buffer.from('first')) });
      await put(store, { name: 'two', body: chunks(Buffer.from('other')) });
      await assert.rejects(store.copy(key('one'), { to: key('two'), source, signal }), { message: /exists already/ });
      assert.equal((await buffer(await store.get(key('two'), { signal }))).toString(), 'other');
    });

    it('never overwrites', async () => {
      await using place = await open();
      const { store } = place;
      await put(store, { name: 'once', body: chunks(Buffer.from('first')) });
      await assert.rejects(put(store, { name: 'once', body: chunks(Buffer.from('second')) }), {
        code: 'store',
        message: /exists already/,
      });
      assert.equal((await buffer(await store.get(key('once'), { signal }))).toString(), 'first');
    });

    it('has nothing of a body that fails, in its first part or in a later one', async () => {
      await using place = await open();
      const { store } = place;
      for (const bytes of [10, partBytes + 1_000_000]) {
        const body = Readable.from(
          (async function* () {
            for (let sent = 0; sent < bytes; sent += 100_000) yield randomBytes(Math.min(100_000, bytes - sent));
            throw new Error('the producer failed');
          })(),
        );
        await assert.rejects(put(store, { name: `failed-${bytes}`, body }), /the producer failed/);
        assert.equal(await store.head(key(`failed-${bytes}`), { signal }), null);
      }
      assert.deepEqual(await keys(store), []);
      assert.equal(await unfinished(store), 0);
    });

    it('has nothing of a body that was destroyed without a reason', async () => {
      await using place = await open();
      const { store } = place;
      const body = new Readable({ read: () => undefined });
      body.push(Buffer.from('half'));
      setTimeout(() => body.destroy(), 50);
      await assert.rejects(put(store, { name: 'destroyed', body }));
      assert.deepEqual(await keys(store), []);
    });

    it('stops at once with the reason of the signal', async () => {
      await using place = await open();
      const { store } = place;
      const stop = new AbortController();
      const body = new Readable({ read: () => undefined });
      body.push(randomBytes(partBytes + 1_000_000));
      const reason = new Error('enough');
      setTimeout(() => stop.abort(reason), 200);
      const started = performance.now();
      await assert.rejects(store.put(key('aborted'), body, { signal: stop.signal, partBytes }), reason);
      assert.ok(performance.now() - started < 5_000);
      assert.deepEqual(await keys(store), []);
      assert.equal(await unfinished(store), 0);
    });

    it('takes nobody else down who stops it while it opens what it is to read', async () => {
      await using place = await open();
      const { store } = place;
      await put(store, { name: 'opened.bin', body: chunks(randomBytes(50_000)) });
      const turn = async (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));
      for (let turns = 0; turns < 40; turns += 1) {
        const stop = new AbortController();
        const opening = store.get(key('opened.bin'), { signal: stop.signal });
        for (let at = 0; at < turns; at += 1) await turn();
        // Between the last turn and whoever will read: nobody listens to the stream yet.
        stop.abort(new Error('told to stop'));
        const opened = await opening.catch(() => null);
        for (let at = 0; at < 5; at += 1) await turn();
        if (opened !== null) await assert.rejects(buffer(opened), /told to stop|aborted|premature/i);
      }
    });

    it('says null of an object that is not there, and fails to read it', async () => {
      await using place = await open();
      const { store } = place;
      assert.equal(await store.head(key('missing'), { signal }), null);
      await assert.rejects(async () => buffer(await store.get(key('missing'), { signal })), { code: 'store' });
    });

    it('keeps a document, takes it once more, and refuses another under its key', async () => {
      await using place = await open();
      const { store } = place;
      await store.putDocument(key('document.json'), Buffer.from('{}'), { signal });
      await store.putDocument(key('document.json'), Buffer.from('{}'), { signal });
      await assert.rejects(store.putDocument(key('document.json'), Buffer.from('{"other":1}'), { signal }), {
        code: 'store',
        message: /exists already/,
      });
      assert.equal((await buffer(await store.get(key('document.json'), { signal }))).toString(), '{}');
    });

    it('lists by prefix in order, and nothing else', async () => {
      await using place = await open();
      const { store } = place;
      for (const text of ['b/2', 'a/1', 'b/1', 'bb', 'b-'])
        await store.putDocument(key(text), Buffer.from(text), { signal });
      assert.deepEqual(await keys(store, 'contract/b/'), ['contract/b/1', 'contract/b/2']);
      assert.deepEqual(await keys(store), [
        'contract/a/1',
        'contract/b-',
        'contract/b/1',
        'contract/b/2',
        'contract/bb',
      ]);
      assert.deepEqual(await keys(store, 'nothing/'), []);
    });

    it('removes what it is told to, and does not mind when it is gone', async () => {
      await using place = await open();
      const { store } = place;
      await store.putDocument(key('gone'), Buffer.from('x'), { signal });
      await store.remove(key('gone'), { signal });
      await store.remove(key('gone'), { signal });
      assert.deepEqual(await keys(store), []);
    });

    it('says of what it holds an ETag, or that it compares none', async () => {
      await using place = await open();
      const { store } = place;
      const content = randomBytes(1_000);
      const { etag } = await put(store, { name: 'etag', body: chunks(content) });
      const head = await store.head(key('etag'), { signal });
      assert.equal(head?.etag, etag);
      assert.equal(etag, store.comparesEtags ? expectedEtag(content) : null);
    });

    it('puts an object in parts of the size it is told, or has no parts at all', async () => {
      await using place = await open();
      const { store } = place;
      const content = randomBytes(partBytes + 1);
      const one = await store.put(key('one'), chunks(content), { signal, partBytes: 2 * partBytes });
      const two = await store.put(key('two'), chunks(content), { signal, partBytes });
      assert.equal(one.etag?.includes('-') ?? false, false);
      assert.equal(two.etag?.endsWith('-2') ?? false, store.hasParts);
    });

    it('has a clock like ours, or none', async () => {
      await using place = await open();
      const { store } = place;
      const theirs = await store.now({ signal });
      if (!store.hasClock) return assert.equal(theirs, null);
      assert.ok(theirs !== null && Math.abs(theirs.getTime() - Date.now()) < 60_000, String(theirs));
    });

    it('takes rules beside those of others, or says that it knows none', async () => {
      await using place = await open();
      const { store } = place;
      const rule = { id: 'ours-a', prefix: 'contract/', expireDays: 9, abortIncompleteDays: 2 };
      const replace = async (rules: readonly (typeof rule)[], idPrefix: string): Promise<void> =>
        store.replaceLifecycleRules(rules, { idPrefix, signal });
      if (!store.hasRules) {
        assert.deepEqual(await store.lifecycleRules({ signal }), []);
        await assert.rejects(replace([rule], 'ours-'), { code: 'usage' });
        return;
      }
      await replace([{ ...rule, id: 'theirs' }], 'theirs');
      await replace([rule], 'ours-');
      await replace([{ ...rule, id: 'ours-b', expireDays: 10 }], 'ours-');
      const rules = (await store.lifecycleRules({ signal })) ?? [];
      const found = rules.map(({ id, expireDays }) => ({ id, expireDays }));
      assert.deepEqual(
        found.toSorted((a, b) => String(a.id).localeCompare(String(b.id))),
        [
          { id: 'ours-b', expireDays: 10 },
          { id: 'theirs', expireDays: 9 },
        ],
      );
    });

    it('says why: what is not there, and what is there already', async () => {
      await using place = await open();
      const { store } = place;
      const source = { bytes: 1, etag: null, partBytes: null };
      await put(store, { name: 'there', body: chunks(Buffer.from('x')) });
      await assert.rejects(async () => buffer(await store.get(key('missing'), { signal })), { reason: 'not-found' });
      await assert.rejects(store.copy(key('missing'), { to: key('new'), source, signal }), { reason: 'not-found' });
      await assert.rejects(put(store, { name: 'there', body: chunks(Buffer.from('y')) }), { reason: 'exists' });
      await assert.rejects(store.copy(key('there'), { to: key('there'), source, signal }), { reason: 'exists' });
      await assert.rejects(store.putDocument(key('there'), Buffer.from('y'), { signal }), { reason: 'exists' });
    });

    it('lists more than 1,000 objects', async () => {
      await using place = await open();
      const { store, lay = async (one) => store.putDocument(one, Buffer.from('x'), { signal }) } = place;
      // Three pages of a bucket.
      const names = Array.from({ length: 2_100 }, (_, index) => `many/${String(index).padStart(5, '0')}`);
      for (let at = 0; at < names.length; at += 100)
        await Promise.all(names.slice(at, at + 100).map(async (text) => lay(key(text))));
      assert.deepEqual(
        await keys(store),
        names.map((text) => `contract/${text}`),
      );
    });
  });
}
