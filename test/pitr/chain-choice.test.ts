// Which server's past `latest` is of, where a server came after another: what the signed documents say decides it. The times of
// objects are anybody's who may write the store.

import assert from 'node:assert/strict';
import { utimesSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { chooseChain, describeOthers } from '../../src/pitr/chain-choice.ts';
import { noSigning } from '../../src/config/signing-keys.ts';
import type { Repository } from '../../src/snapshots/repository.ts';
import { baseOf, instance, segmentBytes, walOf } from '../support/chains.ts';
import { ours, putBase, putWal, storedIn } from '../support/stored-chains.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = new AbortController().signal;
const former = '7000000000000000001';
const current = '7000000000000000002';

async function putServer(
  repository: Repository,
  { systemIdentifier, week, as = instance }: { systemIdentifier: string; week: number; as?: string },
): Promise<string> {
  await putBase(repository, { ...baseOf(week), systemIdentifier, instance: as });
  const { segment } = walOf(week * 7 * 24);
  return putWal(repository, { systemIdentifier, segment, part: null, content: Buffer.alloc(segmentBytes) });
}

const request = { instance, acceptUnsigned: false, signal };

for (const [name, signing] of [
  ['signed', ours],
  ['without a key', noSigning],
] as const)
  it(`is the past of the server with the newest base, whatever the times of objects say: ${name}`, async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path, { signing });
    const old = await putServer(repository, { systemIdentifier: former, week: 0 });
    const key = await putServer(repository, { systemIdentifier: current, week: 3 });
    const early = new Date('2026-11-24T00:00:00Z');
    utimesSync(path.join(folder.path, key), early, early);
    // An object of ours, put there once more: the same bytes with the same signature.
    const now = new Date();
    utimesSync(path.join(folder.path, old), now, now);
    const chosen = await chooseChain(repository, request);
    assert.equal(chosen.chain.systemIdentifier, current);
    assert.deepEqual(chosen.others, [{ systemIdentifier: former, endedAt: baseOf(0).endedAt }]);
    assert.match(describeOthers(chosen).join(), new RegExp(`another server .* ${former} .* taken was ${current}`));
  });

it('is not the past of a server whose bases nobody trusted has signed, however new they say they are', async () => {
  using folder = temporaryDirectory();
  const repository = storedIn(folder.path);
  await putServer(repository, { systemIdentifier: current, week: 3 });
  const forger = storedIn(folder.path, { signing: noSigning });
  await putServer(forger, { systemIdentifier: '7', week: 100 });
  await putServer(forger, { systemIdentifier: '8', week: 101, as: 'elsewhere.example' });
  const { chain, others } = await chooseChain(repository, { ...request, instance: null });
  assert.deepEqual([chain.systemIdentifier, others], [current, []]);
  const accepting = await chooseChain(repository, { ...request, acceptUnsigned: true });
  assert.equal(accepting.chain.systemIdentifier, '7', 'who takes them for ours is believed');
});

it('says whose the bases are where none of them counts', async () => {
  using folder = temporaryDirectory();
  await putServer(storedIn(folder.path, { signing: noSigning }), { systemIdentifier: former, week: 0 });
  await assert.rejects(chooseChain(storedIn(folder.path), request), /is not signed/);
  await assert.rejects(
    chooseChain(storedIn(folder.path), { ...request, instance: 'other.social' }),
    /no base backup and no log/,
  );
});
