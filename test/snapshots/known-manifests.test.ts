// What a process has written itself is no proof of what is there a moment later: who may write the place may have put as many other
// bytes there.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { createSigningKey, parsePrivateKey } from '../../src/config/ssh-keys.ts';
import { toSigningSettings } from '../../src/config/signing-keys.ts';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { commit, createDestination } from '../../src/snapshots/destination.ts';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { manifestKey } from '../../src/snapshots/object-keys.ts';
import { signatureKey } from '../../src/snapshots/origin.ts';
import { createRepository, type Repository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { readObject } from '../support/forgeries.ts';
import { aManifest, dumpKey } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startS3 } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const signing = toSigningSettings({ key: parsePrivateKey(createSigningKey('ours').file), others: [] });

async function make(repository: Repository): Promise<Manifest> {
  const now = new Date();
  const manifest = aManifest({ dataAt: now });
  await repository.store.putDocument(dumpKey(manifest), Buffer.from('content'), { signal });
  const name = manifest.parts[0]?.name ?? '';
  const destination = createDestination(repository, { tier: 'daily', name, partBytes: 8_000_000, verify: 'full' });
  return commit(destination, { manifest, method: 'full', now: () => now, signal, log: quietLog });
}

const counted = async (repository: Repository): Promise<readonly number[]> => {
  const { snapshots, unsigned, unreadable } = await readCatalogue(repository, { signal });
  return [snapshots.length, unsigned.length, unreadable.length];
};

it('a manifest that was overwritten before it was listed does not count, in a directory', async () => {
  using folder = temporaryDirectory();
  const repository = createRepository(createLocalStore({ directory: folder.path }), { signing });
  await make(repository);
  const manifest = await make(repository);
  for (const key of [manifestKey('', manifest), signatureKey(manifestKey('', manifest))]) {
    const file = path.join(folder.path, key);
    writeFileSync(file, Buffer.alloc(readFileSync(file).length, 0x20));
  }
  assert.deepEqual(await counted(repository), [1, 0, 1]);
  assert.deepEqual(await counted(repository), [1, 0, 1]);
});

it('a manifest that was overwritten before it was listed does not count, in a bucket; one that was not is read once more', async () => {
  await using s3 = await startS3();
  const repository = createRepository(s3.storeBehindDoor(), { signing });
  const good = await make(repository);
  const manifest = await make(repository);
  const key = signatureKey(manifestKey('', manifest));
  await s3.overwrite(key, Buffer.alloc((await readObject(s3.store(), key)).length, 0x20));
  s3.seen.length = 0;
  assert.deepEqual(await counted(repository), [1, 1, 0]);
  assert.deepEqual(await counted(repository), [1, 1, 0]);
  const reads = s3.seen.filter((one) => one.method === 'GET' && one.path.endsWith(manifestKey('', good)));
  assert.equal(reads.length, 1);
});
