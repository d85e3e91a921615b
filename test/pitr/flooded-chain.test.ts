// A flood below `pitr/` of what nobody signed: it is held up to a limit, whatever it is, and said; ours beside it counts as ever.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { noSigning } from '../../src/config/signing-keys.ts';
import { encodeBase } from '../../src/snapshots/base-document.ts';
import { listChains, readChain } from '../../src/snapshots/chain-catalogue.ts';
import { baseDocumentKey, baseKey } from '../../src/snapshots/chain-keys.ts';
import { createSnapshotId } from '../../src/snapshots/object-keys.ts';
import { createRepository, type Repository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, StoredObject } from '../../src/storage/store.ts';
import { baseOf, place, systemIdentifier } from '../support/chains.ts';
import { ours, putBase, storedIn } from '../support/stored-chains.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = new AbortController().signal;
const mib = 1024 * 1024;

for (const [name, signing] of [
  ['where only what is signed counts', ours],
  ['where nobody is asked', noSigning],
] as const)
  it(`of base documents is held up to a limit: ${name}`, async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path, { signing });
    const base = baseOf(0);
    await putBase(repository, base);
    const floods = 40;
    const pad = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`k${at}`, at]));
    let bytes = 0;
    for (let at = 0; at < floods; at += 1) {
      const id = createSnapshotId(new Date(Date.UTC(2027, 0, 1, at)));
      const document = { ...base, id, tar: { ...base.tar, name: `${id}.tar.zst` }, pad };
      const content = encodeBase(document);
      bytes = content.length;
      writeFileSync(path.join(folder.path, baseDocumentKey(place, id)), content);
      writeFileSync(path.join(folder.path, baseKey(place, document.tar.name)), 'x');
    }
    const { bases, unsigned, unreadable } = await readChain(repository, { systemIdentifier, signal });
    assert.ok(bases.some(({ id }) => id === base.id));
    const held = bases.length - 1 + unsigned.length;
    assert.equal(held + unreadable.length, floods);
    assert.ok(held > 0 && held * bytes <= 8 * mib, `${held} of ${bytes} bytes are held`);
    for (const { reason } of unreadable) assert.match(reason, /nobody trusted has signed it, and there is too much/);
  });

function flooded(keyAt: (at: number) => string): Repository {
  async function* list(): AsyncGenerator<StoredObject> {
    for (let at = 0; ; at += 1) {
      assert.ok(at < 3_000_000, 'all of it was listed');
      yield { key: keyAt(at) as ObjectKey, bytes: 0, modifiedAt: new Date(0), etag: null };
    }
  }
  const store = { ...createLocalStore({ directory: '/nowhere' }), list };
  return createRepository(store);
}

it('of objects, and of servers, is said with what to do', async () => {
  const objects = flooded((at) => `pitr/${systemIdentifier}/${at}`);
  const hint = /move away what is not from this program/;
  await assert.rejects(readChain(objects, { systemIdentifier, signal }), { message: /more than 500000 objects/, hint });
  await assert.rejects(listChains(objects, { signal }), { message: /more than 2000000 objects/, hint });
  const servers = flooded((at) => `pitr/${at}/wal/00000001/000000010000000000000001.zst`);
  await assert.rejects(listChains(servers, { signal }), { message: /log of more than 64 servers/, hint });
});
