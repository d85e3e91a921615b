// A disk that fills while a moment is brought back, at each of its steps: it is called full, nothing is called damaged, and nothing
// of it is left behind.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, statfsSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { findServers } from '../../src/database/server-programs.ts';
import { layOutDataDirectory } from '../../src/pitr/data-directory.ts';
import { replay, type ReplayOptions } from '../../src/pitr/replay.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { createRemains } from '../../src/stream/remains.ts';
import { followLog } from '../support/log-follower.ts';
import { storedChain, takeBase } from '../support/pitr-replay.ts';
import { reachableBinaries } from '../support/postgres-server.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const major = 15;
const mib = 1024 * 1024;
const roomy = 300 * mib;
const signal = new AbortController().signal;
const stack = new DisposableStack();
let small: string;
let isMounted = false;
let options: Omit<ReplayOptions, 'onProgress'>;

before(async () => {
  const folder = stack.use(temporaryDirectory());
  chmodSync(folder.path, 0o711);
  small = path.join(folder.path, 'small');
  mkdirSync(small);
  isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${roomy},mode=755`, 'tmpfs', small]).status === 0;
  if (isMounted) stack.defer(() => void spawnSync('umount', ['-l', small]));
  const directory = path.join(folder.path, 'stored');
  await using server = await startStockServer(major);
  await using follower = followLog(server.outside(), { directory, server });
  await follower.isFollowing();
  await takeBase(server.outside(), { repository: follower.repository });
  for (let segment = 0; segment < 2; segment += 1) {
    await server.query(`create table t${segment} (id int)`);
    await server.query('select pg_switch_wal()');
  }
  await follower.caughtUp();
  const repository = createRepository(createLocalStore({ directory }));
  options = {
    repository,
    chain: await storedChain(repository),
    moment: { kind: 'latest' },
    identities: [],
    threads: 1,
    servers: await findServers({ directory: path.join(reachableBinaries(major), 'bin'), path: '', signal }),
    scratchDirectory: small,
    scratchOwner: '0123ab',
    use: 'restore',
    uid: process.getuid?.() ?? 0,
    niceness: 0,
    remains: createRemains(),
    log: quietLog,
    signal,
  };
});
after(() => stack.dispose());
afterEach(() => {
  if (isMounted) resize(() => roomy);
});

/** Gives the disk another size, which the system refuses where more is on it: it is asked for again, for somebody may be writing. */
function resize(bytes: () => number): void {
  for (let attempt = 1; ; attempt += 1) {
    const { status, stderr } = spawnSync('mount', ['-o', `remount,size=${bytes()}`, small], { encoding: 'utf8' });
    if (status === 0) return;
    assert.ok(attempt < 10, stderr);
  }
}

/** Leaves so many bytes once `isTime` says so: the disk becomes smaller, for to fill it takes longer than all the rest. */
function filling(isTime: (bytes: number, expectedBytes: number) => boolean, leftBytes: number): ReplayOptions {
  let isFilled = false;
  return {
    ...options,
    onProgress(bytes, expectedBytes) {
      if (isFilled || !isTime(bytes, expectedBytes)) return;
      isFilled = true;
      resize(() => {
        const { blocks, bavail, bsize } = statfsSync(small);
        return (blocks - bavail) * bsize + leftBytes;
      });
    },
  };
}

const steps = [
  { step: 'the log is staged', isTime: () => true, leftBytes: mib },
  {
    step: 'the base is unpacked',
    isTime: (bytes: number) => bytes >= options.chain.wal.length * 16 * mib || bytes % (16 * mib) !== 0,
    leftBytes: mib,
  },
  { step: 'the server replays', isTime: (bytes: number, expected: number) => bytes >= expected, leftBytes: 24 * mib },
] as const;

describe('a disk that fills while a moment is brought back', () => {
  for (const { step, isTime, leftBytes } of steps) {
    it(`is called full when ${step}`, async (test) => {
      if (!isMounted) return test.skip('tmpfs cannot be mounted here');
      await assert.rejects(replay(filling(isTime, leftBytes)), (error: Error & { reason?: string }) => {
        assert.match(error.message, /The disk of '.*' was full/);
        assert.equal(error.reason, 'no-space');
        return true;
      });
      assert.deepEqual(readdirSync(small), [], 'nothing is left behind');
    });
  }

  it('is called full of a data directory, and leaves no half of one', async (test) => {
    if (!isMounted) return test.skip('tmpfs cannot be mounted here');
    const directory = path.join(small, 'data');
    const { onProgress } = filling((bytes) => bytes > 16 * mib, mib);
    await assert.rejects(layOutDataDirectory({ ...options, onProgress, directory }), /The disk of '.*' was full/);
    assert.deepEqual(readdirSync(directory), []);
  });
});
