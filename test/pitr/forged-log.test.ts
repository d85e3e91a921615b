// What somebody puts beside our log who may write the store and has no key: none of it keeps a moment of ours from being had, and
// none of it keeps ours from being stored.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import type { Client } from 'pg';
import { noSigning } from '../../src/config/signing-keys.ts';
import { chooseChain } from '../../src/pitr/chain-choice.ts';
import { checkChain } from '../../src/pitr/chain-check.ts';
import { readHistories } from '../../src/pitr/histories.ts';
import { formatLsn, parseLsn } from '../../src/pitr/lsn.ts';
import { encodingsOf, storePiece } from '../../src/pitr/piece-storing.ts';
import { planOrThrow } from '../../src/pitr/replay.ts';
import { storeHistory } from '../../src/pitr/timeline.ts';
import { readSegment } from '../../src/pitr/wal-staging.ts';
import { historyKey, walKey, type StoredForm } from '../../src/snapshots/chain-keys.ts';
import { signatureKey } from '../../src/snapshots/origin.ts';
import type { Repository } from '../../src/snapshots/repository.ts';
import { assertWalSigned } from '../../src/snapshots/wal-signature.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { baseOf, instance, place, segmentBytes, systemIdentifier, walOf } from '../support/chains.ts';
import { runCommand } from '../support/command.ts';
import { plainForm } from '../support/log-follower.ts';
import { quietLog } from '../support/quiet-log.ts';
import { forge, ours, putBase, putHistory, putWal, storedIn } from '../support/stored-chains.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = new AbortController().signal;
const plain: StoredForm = { compression: 'none', encrypted: false };
const zstd: StoredForm = { compression: 'zstd', encrypted: false };
const contents = [0, 1, 2].map(() => randomBytes(segmentBytes));
const nameOf = (hour: number): string => walOf(hour).segment;
const history = `1\t${formatLsn(BigInt(4 * segmentBytes))}\tno recovery target specified\n`;

/** A base, the two segments that begin with it, and the first half of a third. */
async function putChain(repository: Repository): Promise<void> {
  await putBase(repository, baseOf(0));
  for (const [hour, content] of contents.entries()) {
    const part = hour === 2 ? { from: 0, to: segmentBytes / 2 } : null;
    const piece = part === null ? content : content.subarray(0, part.to);
    await putWal(repository, { systemIdentifier, segment: nameOf(hour), part, content: piece });
  }
}

const reachesTo = BigInt(3 * segmentBytes + segmentBytes / 2);

async function plan(
  repository: Repository,
  { acceptUnsigned = false }: { readonly acceptUnsigned?: boolean } = {},
): ReturnType<typeof planOrThrow> {
  const { chain } = await chooseChain(repository, { instance, acceptUnsigned, signal });
  const as = acceptUnsigned ? { ...repository, signing: { ...repository.signing, trusted: [] } } : repository;
  return planOrThrow({ chain, moment: { kind: 'latest' }, repository: as, identities: [], log: quietLog, signal });
}

async function read(repository: Repository): Promise<readonly Buffer[]> {
  const { segments } = await plan(repository);
  const options = { repository, identities: [], segmentBytes, log: quietLog, signal };
  return Promise.all(segments.map(async (one) => readSegment(one, options)));
}

describe('a moment', () => {
  it('is put together of ours where a forged object of its segment lies beside it', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    await putChain(repository);
    const zeros = Buffer.alloc(segmentBytes);
    await forge(repository, walKey(place, { segment: nameOf(0), part: null, ...plain }), { content: zeros });
    await forge(repository, walKey(place, { segment: nameOf(1), part: null, ...plain }));
    const part = { from: 0, to: segmentBytes / 4 };
    await forge(repository, walKey(place, { segment: nameOf(2), part, ...plain }));
    const [first, second, third] = await read(repository);
    assert.ok(first?.equals(contents[0] ?? zeros) && second?.equals(contents[1] ?? zeros));
    assert.ok(third?.subarray(0, segmentBytes / 2).equals((contents[2] ?? zeros).subarray(0, segmentBytes / 2)));
  });

  it('is refused where an object of ours was altered and there is nothing else in its place', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    await putChain(repository);
    const key = walKey(place, { segment: nameOf(1), part: null, ...zstd });
    rmSync(path.join(folder.path, key));
    writeFileSync(path.join(folder.path, key), zstdCompressSync(Buffer.alloc(segmentBytes)));
    await assert.rejects(read(repository), /has a signature that is not its own/);
  });

  it('is the newest of ours where forged log lies behind it, and what was passed over is named', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    await putChain(repository);
    // The rest of our last segment, one that follows it, and one behind a hole.
    const keys = [2, 3, 700].map((hour) => walKey(place, { segment: nameOf(hour), part: null, ...plain }));
    for (const key of keys) await forge(repository, key);
    const { reaches, hole, passedOver } = await plan(repository);
    assert.deepEqual([reaches, hole], [reachesTo, null]);
    assert.deepEqual(passedOver.map(({ object }) => object).toSorted(), keys.toSorted());
    assert.equal((await read(repository)).length, 3);
  });

  it('is refused behind a hole that is one', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    await putChain(repository);
    await putWal(repository, { systemIdentifier, segment: nameOf(9), part: null, content: contents[0] ?? Buffer.of() });
    const { hole, passedOver } = await plan(repository);
    assert.deepEqual([hole, passedOver], [{ from: reachesTo, to: BigInt(10 * segmentBytes) }, []]);
  });
});

describe('a history of a timeline that is garbage', () => {
  it('counts for nothing and refuses no moment, whoever is asked who signed it', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    await putChain(repository);
    await putHistory(repository, { systemIdentifier, timeline: 2, text: history });
    const key = historyKey(place, { timeline: 9, ...plain });
    await forge(repository, key, { content: Buffer.from('garbage\n') });
    const other = historyKey(place, { timeline: 2, ...plain });
    await forge(repository, other, { content: Buffer.from(history.replace('1\t', '3\t')) });
    for (const acceptUnsigned of [false, true]) assert.equal((await plan(repository, { acceptUnsigned })).hole, null);
    const { chain } = await chooseChain(repository, { instance, acceptUnsigned: false, signal });
    const options = { chain, repository, identities: [], log: quietLog, signal };
    const { histories, problems } = await readHistories(options);
    assert.deepEqual(
      histories.map(({ history: { timeline }, lineage }) => [timeline, lineage[0]?.end]),
      [[2, parseLsn(formatLsn(BigInt(4 * segmentBytes)))]],
    );
    assert.deepEqual(problems.map(({ object }) => object).toSorted(), [other, key].toSorted());
    const checked = await checkChain({ ...options, threads: 1, storedTo: null, onProgress: () => undefined });
    for (const one of problems) assert.ok(checked.problems.some(({ object }) => object === one.object));
  });

  it('keeps `pitr status` from nothing', async () => {
    using folder = temporaryDirectory();
    const directory = path.join(folder.path, 'stored');
    const repository = storedIn(directory, { signing: noSigning });
    await putChain(repository);
    await forge(repository, historyKey(place, { timeline: 9, ...plain }), { content: Buffer.from('garbage\n') });
    const { status, stdout, stderr } = await runCommand(['pitr', 'status', '--json'], {
      LOCAL_DOMAIN: instance,
      BACKUP_LOCAL_DIR: directory,
      BACKUP_STATE_DIR: path.join(folder.path, 'state'),
    });
    assert.equal(status, 0, stderr);
    const [chain] = (JSON.parse(stdout) as { chains: { restorableFrom: string | null; gaps: string[] }[] }).chains;
    assert.deepEqual([chain?.restorableFrom, chain?.gaps], [baseOf(0).endedAt.toISOString(), []]);
  });
});

describe('log of ours', () => {
  const content = contents[0] ?? Buffer.of();
  const keyOf = (form: StoredForm): ObjectKey => walKey(place, { segment: nameOf(0), part: null, ...form });
  const store = async (repository: Repository): Promise<ObjectKey> =>
    storePiece(repository, { content, encodings: encodingsOf(content, plainForm), keyOf, log: quietLog, signal });

  it('is stored in another form where something forged is in its place, or beside it', async () => {
    for (const isWhole of [true, false]) {
      using folder = temporaryDirectory();
      const repository = storedIn(folder.path);
      if (isWhole) await forge(repository, keyOf(zstd));
      else await repository.store.putDocument(signatureKey(keyOf(zstd)), Buffer.from('x'), { signal });
      assert.equal(await store(repository), keyOf(plain));
      assert.equal(await store(repository), keyOf(plain), 'and is found there again');
      await assertWalSigned(repository, { key: keyOf(plain), content, signal });
    }
  });

  it('is not stored over what is ours, and not beside it: other log of the same name is said', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    await putWal(repository, { systemIdentifier, segment: nameOf(0), part: null, content: Buffer.alloc(segmentBytes) });
    await assert.rejects(store(repository), { reason: 'exists' });
    const silent = storedIn(path.join(folder.path, 'silent'), { signing: noSigning });
    await forge(silent, keyOf(zstd));
    await assert.rejects(store(silent), { reason: 'exists' }, 'who signs nothing cannot tell');
  });

  it('is there already where the same was compressed otherwise', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    const key = await putWal(repository, { systemIdentifier, segment: nameOf(0), part: null, content });
    const pieces = encodingsOf(content, { ...plainForm, compression: { kind: 'zstd', level: 9, threads: 1 } });
    assert.equal(await storePiece(repository, { content, encodings: pieces, keyOf, log: quietLog, signal }), key);
  });
});

describe('the history of a new timeline', () => {
  const client = { query: async () => ({ rows: [{ content: history }] }) } as unknown as Client;
  const usual = historyKey(place, { timeline: 2, ...zstd });
  const store = async (repository: Repository): ReturnType<typeof storeHistory> =>
    storeHistory(client, { repository, systemIdentifier, timeline: 2, form: plainForm, log: quietLog, signal });
  const stored = async (repository: Repository): Promise<readonly string[]> => {
    const { chain } = await chooseChain(repository, { instance, acceptUnsigned: false, signal });
    const { histories } = await readHistories({ chain, repository, identities: [], log: quietLog, signal });
    return histories.map(({ content }) => content.toString());
  };

  it('is stored although garbage was put in its place beforehand', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    await putChain(repository);
    await forge(repository, usual, { content: Buffer.from('garbage\n') });
    const beginsAt = BigInt(4 * segmentBytes);
    assert.deepEqual(await store(repository), { beginsAt, problem: null });
    assert.deepEqual(await store(repository), { beginsAt, problem: null });
    assert.deepEqual(await stored(repository), [history]);
  });

  it('is said not to be stored where every form of it is taken, and the log is followed all the same', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    await putChain(repository);
    for (const key of [usual, historyKey(place, { timeline: 2, ...plain })]) await forge(repository, key);
    const { problem } = await store(repository);
    assert.match(problem ?? '', /The history of timeline 2 is not stored: .* remove it and its signature by hand/);
    assert.deepEqual(await stored(repository), []);
  });

  it('is stored once where nothing else is', async () => {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path, { signing: ours });
    await putChain(repository);
    for (let time = 0; time < 2; time += 1) assert.equal((await store(repository)).problem, null);
    assert.deepEqual(await stored(repository), [history]);
    assert.equal(await repository.store.head(historyKey(place, { timeline: 2, ...plain }), { signal }), null);
  });
});
