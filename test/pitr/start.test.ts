// Where the receiver goes on after a restart: nothing that somebody else put into the store may let it pass over log, for what it
// begins behind is never asked of the server again.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { noSigning } from '../../src/config/signing-keys.ts';
import { coverage } from '../../src/pitr/coverage.ts';
import { dropFalseTail } from '../../src/pitr/false-tail.ts';
import { segmentName } from '../../src/pitr/lsn.ts';
import { chooseStart } from '../../src/pitr/start.ts';
import { readChain } from '../../src/snapshots/chain-catalogue.ts';
import { walKey, type StoredForm } from '../../src/snapshots/chain-keys.ts';
import type { Repository } from '../../src/snapshots/repository.ts';
import { place, segmentBytes, systemIdentifier } from '../support/chains.ts';
import { quietLog } from '../support/quiet-log.ts';
import { forge, ours, putWal, storedIn } from '../support/stored-chains.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = new AbortController().signal;
const frame = { timeline: 1, segmentBytes };
const size = BigInt(segmentBytes);
const at = (segment: number, offset = 0): bigint => BigInt(segment) * size + BigInt(offset);
const nameAt = (segment: number): string => segmentName(at(segment), frame);
const plain: StoredForm = { compression: 'none', encrypted: false };
const half = segmentBytes / 2;

/** The fifth segment whole, and the first half of the sixth. */
async function putLog(repository: Repository): Promise<void> {
  const whole = randomBytes(segmentBytes);
  await putWal(repository, { systemIdentifier, segment: nameAt(5), part: null, content: whole });
  const part = { from: 0, to: half };
  await putWal(repository, { systemIdentifier, segment: nameAt(6), part, content: whole.subarray(0, half) });
}

async function lookAt(repository: Repository): ReturnType<typeof dropFalseTail> {
  const { wal } = await readChain(repository, { systemIdentifier, signal });
  return dropFalseTail(wal, { ...frame, repository, identities: [], log: quietLog, signal });
}

describe('what is stored of the log', () => {
  for (const [name, signing] of [
    ['with what looks like signatures', ours],
    ['where nobody signs', noSigning],
  ] as const)
    it(`ends where the newest piece of ours does, whatever is put behind it: ${name}`, async () => {
      using folder = temporaryDirectory();
      const repository = storedIn(folder.path, { signing });
      await putLog(repository);
      const behind = { segment: nameAt(6), part: { from: half, to: segmentBytes } };
      const keys = [
        walKey(place, { ...behind, ...plain }),
        walKey(place, { ...behind, compression: 'zstd', encrypted: false }),
        ...[7, 8, 9, 1_000].map((one) => walKey(place, { segment: nameAt(one), part: null, ...plain })),
      ];
      for (const key of keys) await forge(repository, key);
      const { wal, isVerified, problems } = await lookAt(repository);
      assert.ok(isVerified);
      assert.deepEqual(problems.map(({ object }) => object).toSorted(), keys.toSorted());
      assert.deepEqual(coverage(wal, frame), [{ from: at(5), to: at(6, half) }]);
    });

  it('is what it is where nothing is false, and one object is read of it', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    await putLog(repository);
    let reads = 0;
    const counted = {
      ...repository,
      store: {
        ...repository.store,
        get: async (...args: Parameters<typeof repository.store.get>) => {
          if (!args[0].endsWith('.sig')) reads += 1;
          return repository.store.get(...args);
        },
      },
    };
    const { isVerified, problems } = await lookAt(counted);
    assert.deepEqual([isVerified, problems, reads], [true, [], 1]);
  });

  it('cannot be told where it is encrypted and no key is here', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    await putLog(repository);
    const sealed = walKey(place, { segment: nameAt(7), part: null, compression: 'zstd', encrypted: true });
    await forge(repository, sealed);
    const { wal, isVerified } = await lookAt(repository);
    assert.deepEqual([isVerified, wal.length], [false, 3]);
  });
});

describe('the receiver begins', () => {
  const ranges = [{ from: at(5), to: at(6, half) }];
  const usual = {
    ranges,
    isVerified: true,
    remembered: null,
    confirmed: null,
    flushedTo: at(8),
    segmentBytes,
    gaps: 0,
  };
  const begins = (options: Partial<Parameters<typeof chooseStart>[0]>): readonly bigint[] => {
    const { storedTo, followsFrom } = chooseStart({ ...usual, ...options });
    return [storedTo, followsFrom];
  };
  const remembered = { followsFrom: at(5), storedTo: at(6, 4096) };

  it('behind what was read and is ours, where nothing else is known', () => {
    assert.deepEqual(begins({}), [at(6, half), at(5)]);
    assert.deepEqual(
      begins({ isVerified: false }),
      [at(8), at(8)],
      'what cannot be told is no reason to pass over log',
    );
    assert.deepEqual(begins({ ranges: [] }), [at(8), at(8)]);
  });

  it('no further than it remembers or has told the slot, and no further than what is there', () => {
    assert.deepEqual(begins({ remembered }), [at(6, 4096), at(5)]);
    assert.deepEqual(begins({ confirmed: at(6, 100) }), [at(6, 100), at(5)]);
    assert.deepEqual(begins({ remembered, confirmed: at(6, 8192) }), [at(6, 8192), at(5)], 'what is known last');
    assert.deepEqual(begins({ remembered: { ...remembered, storedTo: at(7, 1) } }), [at(6, half), at(5)]);
  });

  it('where it remembers, else where the slot was told, of what cannot be opened here', () => {
    const forged = [{ from: at(5), to: at(500) }];
    const sealed = { isVerified: false, ranges: forged };
    assert.deepEqual(begins({ ...sealed, remembered }), [at(6, 4096), at(5)]);
    assert.deepEqual(begins({ ...sealed, confirmed: at(6, 100) }), [at(6, 100), at(5)]);
    assert.deepEqual(begins(sealed), [at(8), at(8)]);
  });

  it('at what the server still keeps for us, where it has forgotten more or nothing is stored', () => {
    assert.deepEqual(begins({ ranges: [], confirmed: at(7, 5) }), [at(7), at(7)]);
    assert.deepEqual(begins({ gaps: 1, confirmed: at(7, 5) }), [at(7), at(7)]);
    assert.deepEqual(begins({ gaps: 1 }), [at(8), at(8)]);
    assert.deepEqual(begins({ gaps: 2, confirmed: at(7, 5) }), [at(8), at(8)], 'also that was gone');
  });

  it('anew on a server that was set back, and keeps in mind a hole that it knows of', () => {
    assert.deepEqual(begins({ flushedTo: at(3) }), [at(3), at(3)]);
    assert.ok(chooseStart({ ...usual, flushedTo: at(3) }).isAhead);
    assert.deepEqual(begins({ remembered: { followsFrom: at(6), storedTo: at(6, 4096) } }), [at(6, 4096), at(6)]);
    assert.deepEqual(begins({ remembered: { followsFrom: at(7), storedTo: at(7) } }), [at(6, half), at(5)]);
  });
});
