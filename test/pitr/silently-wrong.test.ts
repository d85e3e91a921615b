// What PostgreSQL itself replays without a word although it is not what was asked for: each is refused before anything runs.

import assert from 'node:assert/strict';
import { chmodSync, cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { Log } from '../../src/log.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { followLog } from '../support/log-follower.ts';
import { askReplayed, bringBack, storedChain, takeBase } from '../support/pitr-replay.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const major = 17;
const stack = new DisposableStack();
let stored: string;
let scratch: string;
/** One moment after each of the segments. */
const moments: string[] = [];
let baseEndedAt: Date;

before(async () => {
  const folder = stack.use(temporaryDirectory());
  chmodSync(folder.path, 0o711);
  stored = path.join(folder.path, 'stored');
  scratch = path.join(folder.path, 'scratch');
  await using server = await startStockServer(major, { segmentMegabytes: 1 });
  await using follower = followLog(server.outside(), { directory: stored, server });
  await server.query('create table counters (counter int primary key)');
  await follower.isFollowing();
  baseEndedAt = (await takeBase(server.outside(), { repository: follower.repository })).endedAt;
  for (let counter = 1; counter <= 5; counter += 1) {
    await server.query(`insert into counters values (${counter})`);
    await sleep(50);
    const [row] = await server.query(
      "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') as now",
    );
    moments.push(`${String(row?.['now'])}Z`);
    await sleep(50);
    if (counter < 5) await server.query('select pg_switch_wal()');
  }
  await follower.caughtUp();
});
after(() => stack.dispose());

/** A copy of what is stored, and its whole segments and parts behind the base, the oldest first. */
function copyOfStore(): Disposable & { readonly directory: string; readonly wal: readonly string[] } {
  const folder = temporaryDirectory();
  cpSync(stored, folder.path, { recursive: true });
  const files = readdirSync(folder.path, { recursive: true, encoding: 'utf8' });
  const document = files.find((file) => file.endsWith('.json')) ?? '';
  const { startSegment } = JSON.parse(readFileSync(path.join(folder.path, document), 'utf8')) as {
    startSegment: string;
  };
  const wal = files
    .filter(
      (file) => file.includes('/wal/') && path.basename(file).slice(0, 24) > startSegment && file.endsWith('.zst'),
    )
    .toSorted()
    .map((file) => path.join(folder.path, file));
  return { directory: folder.path, wal, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

async function restored(directory: string, at: string, log: Log = quietLog): Promise<number> {
  const repository = createRepository(createLocalStore({ directory }));
  await using back = await bringBack(repository, { at, major, directory: scratch, log });
  const [row] = await askReplayed(back, 'select coalesce(max(counter), 0)::int as last from public.counters');
  return Number(row?.['last']);
}

describe('a restore that would be wrong without a word', () => {
  it('is refused where a segment is lost, and a moment before the hole can still be had', async () => {
    using copy = copyOfStore();
    rmSync(copy.wal[2] ?? '');
    await assert.rejects(restored(copy.directory, 'latest'), /is missing in the store/);
    await assert.rejects(restored(copy.directory, moments[3] ?? ''), /is missing in the store/);
    assert.equal(await restored(copy.directory, moments[0] ?? ''), 1);
  });

  it('is refused where a bit is another', async () => {
    using copy = copyOfStore();
    const file = copy.wal[1] ?? '';
    const bytes = readFileSync(file);
    const at = Math.floor(bytes.length / 2);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
    writeFileSync(file, bytes);
    await assert.rejects(restored(copy.directory, moments[3] ?? ''), /damaged/);
  });

  it('is refused where a segment is another one of the same server', async () => {
    using copy = copyOfStore();
    const [, second = '', third = ''] = copy.wal;
    rmSync(second);
    cpSync(third, second);
    await assert.rejects(restored(copy.directory, moments[3] ?? ''), /is of another place/);
  });

  it('is refused where a segment is of another server, or of a timeline that the server was not on', async () => {
    for (const [change, says] of [
      [(content: Buffer) => void content.writeBigUInt64LE(7n, 24), /is of another server/],
      [(content: Buffer) => void content.writeUInt32LE(2, 4), /of timeline 2, in a segment of 1/],
    ] as const) {
      using copy = copyOfStore();
      const file = copy.wal[1] ?? '';
      const content = zstdDecompressSync(readFileSync(file));
      change(content);
      rmSync(file);
      writeFileSync(file, zstdCompressSync(content));
      await assert.rejects(restored(copy.directory, moments[3] ?? ''), says);
    }
  });

  it('is refused where the server stops early all the same', async () => {
    using copy = copyOfStore();
    // Between our reading and its replaying.
    const info = (_details: object, message: string): void => {
      if (!message.startsWith('The log is read')) return;
      const staged = readdirSync(scratch, { recursive: true, encoding: 'utf8' }).filter((file) =>
        /pitr-wal\/[0-9A-F]{24}$/.test(file),
      );
      rmSync(path.join(scratch, staged.toSorted().at(-1) ?? ''));
    };
    await assert.rejects(restored(copy.directory, 'latest', { ...quietLog, info }), /The replay stopped at/);
  });

  it('is refused where the only server at hand is of another major version', async () => {
    const repository = createRepository(createLocalStore({ directory: stored }));
    await assert.rejects(
      bringBack(repository, { at: 'latest', major: 18, directory: scratch }),
      /The base is of PostgreSQL 17, and only a server of that version can replay it; here is .*18/,
    );
  });

  it('cannot begin with a base whose log is not stored: there is no such base', async () => {
    using folder = temporaryDirectory();
    await using server = await startStockServer(major, { segmentMegabytes: 1 });
    const repository = createRepository(createLocalStore({ directory: folder.path }));
    await assert.rejects(
      takeBase(server.outside(), { repository, walWaitMs: 0 }),
      /which the base needs, is not stored/,
    );
    assert.deepEqual((await storedChain(repository)).bases, []);
  });

  it('is refused for a moment before the end of the oldest base', async () => {
    const early = new Date(baseEndedAt.getTime() - 1).toISOString();
    await assert.rejects(restored(stored, early), /first moment that can be had/);
  });

  it('is refused for a moment after the last transaction, with the newest that can be had', async () => {
    await assert.rejects(restored(stored, moments.at(-1) ?? ''), /after the last transaction that is stored/);
    assert.equal(await restored(stored, 'latest'), 5);
  });

  it('is refused where the document of the base names a tar that is another', async () => {
    using copy = copyOfStore();
    const tar =
      readdirSync(copy.directory, { recursive: true, encoding: 'utf8' }).find((file) => /\.tar\./.test(file)) ?? '';
    const file = path.join(copy.directory, tar);
    const bytes = readFileSync(file);
    // The same tar of the same size, in other bytes: what fills it up is passed over by every decoder (RFC 8878, 3.1.2).
    const packed = zstdCompressSync(zstdDecompressSync(bytes), {
      params: {
        [constants.ZSTD_c_compressionLevel]: 9,
        [constants.ZSTD_c_enableLongDistanceMatching]: 1,
        [constants.ZSTD_c_windowLog]: 27,
      },
    });
    const filling = Buffer.alloc(bytes.length - packed.length);
    filling.writeUInt32LE(0x184d2a50, 0);
    filling.writeUInt32LE(filling.length - 8, 4);
    writeFileSync(`${file}.new`, Buffer.concat([filling, packed]));
    renameSync(`${file}.new`, file);
    await assert.rejects(restored(copy.directory, moments[1] ?? ''), /its SHA-256 differs/);
  });
});
