// The tar of extra files: what stock tar reads is what we read, and what a stranger made of it leads nowhere else.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { packExtraFiles } from '../../src/backup/extra-files.ts';
import { enclose, storeEnclosure } from '../../src/backup/enclosure.ts';
import { createOneRunKey } from '../../src/codec/age.ts';
import { fileHeader, padding, tarEnd } from '../../src/codec/tar.ts';
import { writeExtraFiles } from '../../src/restore/extra-files.ts';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { copyParts } from '../../src/snapshots/copying.ts';
import { unpackExtra, verifyExtra } from '../../src/snapshots/extra-part.ts';
import { encodeManifest, partOf, type Manifest } from '../../src/snapshots/manifest.ts';
import { createSnapshotId, manifestKey } from '../../src/snapshots/object-keys.ts';
import type { StoredPart } from '../../src/snapshots/part-reader.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { aManifest, dumpKey } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const reading = { signal, log: quietLog, stallTimeoutMs: 60_000 };
const part = { kind: 'extra', name: 'x.extra.tar.age', bytes: 1, sha256: '', compression: 'none' } as const;

function stored(): StoredPart {
  using folder = temporaryDirectory();
  const repository = createRepository(createLocalStore({ directory: folder.path }));
  return {
    repository,
    manifest: aManifest(),
    part: { ...part, encryption: 'age', partBytes: null, etag: null, content: null },
  };
}

function tarOf(name: string): Buffer {
  const content = Buffer.from('content');
  return Buffer.concat([
    fileHeader(name, { bytes: content.length }),
    content,
    Buffer.alloc(padding(content.length)),
    tarEnd,
  ]);
}

describe('extra files in a tar', () => {
  it('are those that stock tar finds in it, whatever they are called and however large', async () => {
    using folder = temporaryDirectory();
    const deep = path.join(folder.path, 'd'.repeat(50), 'e'.repeat(50));
    mkdirSync(deep, { recursive: true });
    const files = new Map([
      [path.join(folder.path, 'empty'), 0],
      [path.join(folder.path, 'größe und mehr.yml'), 511],
      [path.join(folder.path, 'block'), 512],
      [path.join(deep, 'f'.repeat(99)), 513],
      [path.join(folder.path, 'most'), 1024 * 1024],
    ]);
    for (const [file, bytes] of files) writeFileSync(file, Buffer.alloc(bytes, 'x'));
    const { tar, names, leftOut } = await packExtraFiles([folder.path], signal);
    assert.deepEqual([names.length, leftOut], [files.size, []]);
    using back = temporaryDirectory();
    writeFileSync(path.join(back.path, 'all.tar'), tar);
    const said = execFileSync('tar', ['-xf', 'all.tar'], { cwd: back.path, stdio: ['ignore', 'pipe', 'pipe'] });
    assert.equal(said.toString(), '');
    using ours = temporaryDirectory();
    await writeExtraFiles(ours.path, { files: unpackExtra(stored(), tar), signal });
    for (const file of files.keys())
      for (const place of [back, ours])
        assert.ok(readFileSync(path.join(place.path, file)).equals(readFileSync(file)), file);
  });

  it('never leave the directory, and are nothing but files', () => {
    for (const name of ['../x', '/etc/x', 'a/../../x', 'a//b', './x', 'a\u0007b'])
      assert.throws(() => unpackExtra(stored(), tarOf(name)), { code: 'verify' }, name);
    using folder = temporaryDirectory();
    symlinkSync('/etc', path.join(folder.path, 'link'));
    const linked = execFileSync('tar', ['-cf', '-', 'link'], { cwd: folder.path });
    assert.throws(() => unpackExtra(stored(), linked), /'link' in it is no file/);
    const twice = Buffer.concat([tarOf('x').subarray(0, 1024), tarOf('x')]);
    assert.throws(() => unpackExtra(stored(), twice), /'x' is in it twice/);
    assert.throws(() => unpackExtra(stored(), tarOf('x').subarray(0, 700)), /ends inside x/);
  });

  it('that cannot all be written are not written at all', async () => {
    using folder = temporaryDirectory();
    const files = [
      { name: 'a', content: Buffer.from('a') },
      { name: 'a/b', content: Buffer.from('b') },
    ];
    await assert.rejects(writeExtraFiles(path.join(folder.path, 'new'), { files, signal }), { code: 'restore' });
    await assert.rejects(writeExtraFiles(folder.path, { files, signal }), { code: 'restore' });
    assert.deepEqual(readdirSync(folder.path), []);
  });

  it('are copied and verified like every part, and said to be missing when they are', async () => {
    using folder = temporaryDirectory();
    const repository = createRepository(createLocalStore({ directory: folder.path }));
    const owner = await createOneRunKey([]);
    const enclosure = await enclose(tarOf('compose.yml'), {
      kind: 'extra',
      recipients: [owner.recipient],
      oneRunKey: await createOneRunKey([]),
    });
    const base = aManifest();
    const extra = await storeEnclosure({ repository, manifest: base }, { ...reading, enclosure });
    const manifest: Manifest = { ...base, parts: [...base.parts, extra] };
    const { store } = repository;
    await store.putDocument(dumpKey(manifest), Buffer.from('content'), { signal });
    await store.putDocument(manifestKey('', manifest), encodeManifest(manifest), { signal });
    const id = createSnapshotId(manifest.committedAt);
    const { parts } = await copyParts(
      { from: repository, to: { repository, tier: 'weekly', id } },
      { ...reading, source: manifest, destination: { etagMeter: null, partBytes: 1024 * 1024 } },
    );
    const copy = { ...manifest, id, tier: 'weekly', parts } as const;
    assert.equal(partOf(copy, 'extra')?.name, `${id}.extra.tar.age`);
    assert.equal(
      await verifyExtra(repository, { ...reading, manifest: copy, identities: [owner.identity] }),
      'decrypted',
    );
    assert.equal(await verifyExtra(repository, { ...reading, manifest: copy, identities: [] }), 'hashed');
    assert.deepEqual((await readCatalogue(repository, { signal })).withoutExtra, []);
    await createLocalStore({ directory: folder.path }).remove(`daily/${extra.name}` as ObjectKey, { signal });
    const { withoutExtra } = await readCatalogue(repository, { signal });
    assert.deepEqual(
      withoutExtra.map((one) => one.id),
      [manifest.id],
    );
    await assert.rejects(verifyExtra(repository, { ...reading, manifest, identities: [] }), { code: 'verify' });
  });
});
