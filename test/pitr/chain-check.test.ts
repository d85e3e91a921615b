// `pitr verify` tells of everything that a restore would stumble over, by the name of the object, while there is time to do something.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import type { PitrVerification } from '../../src/app/pitr-verify-verb.ts';
import { openState } from '../../src/state/state-files.ts';
import { runCommand } from '../support/command.ts';
import { flip, rewrite } from '../support/damaged-object.ts';
import { followLog } from '../support/log-follower.ts';
import { takeBase } from '../support/pitr-replay.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const stack = new DisposableStack();
let stored: string;
let storedTo: string;

before(async () => {
  stored = path.join(stack.use(temporaryDirectory()).path, 'stored');
  await using server = await startStockServer(15, { segmentMegabytes: 1 });
  await using follower = followLog(server.outside(), { directory: stored, server });
  await server.query('create table counters (counter int primary key)');
  await follower.isFollowing();
  await takeBase(server.outside(), { repository: follower.repository });
  for (let counter = 1; counter <= 5; counter += 1) {
    await server.query(`insert into counters values (${counter})`);
    if (counter < 5) await server.query('select pg_switch_wal()');
  }
  await follower.caughtUp();
  const [row] = await server.query('select pg_current_wal_flush_lsn()::text as lsn');
  storedTo = String(row?.['lsn']);
});
after(() => stack.dispose());

interface Copy extends Disposable {
  readonly directory: string;
  /** Whole segments behind the base, the oldest first. */
  readonly wholes: readonly string[];
  readonly parts: readonly string[];
  readonly tar: string;
  readonly environment: Readonly<Record<string, string>>;
}

function copyOfStore(): Copy {
  const folder = temporaryDirectory();
  const directory = path.join(folder.path, 'stored');
  cpSync(stored, directory, { recursive: true });
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).toSorted();
  const document = files.find((file) => file.endsWith('.json')) ?? '';
  const { startSegment } = JSON.parse(readFileSync(path.join(directory, document), 'utf8')) as { startSegment: string };
  const pick = (pattern: RegExp): readonly string[] =>
    files
      .filter((file) => pattern.test(file) && path.basename(file).slice(0, 24) > startSegment)
      .map((file) => path.join(directory, file));
  const state = path.join(folder.path, 'state');
  mkdirSync(state);
  return {
    directory,
    wholes: pick(/\/[0-9A-F]{24}\.zst$/),
    parts: pick(/\.part\.[^/]*\.zst$/),
    tar: path.join(directory, files.find((file) => /\.tar\./.test(file)) ?? ''),
    environment: { LOCAL_DOMAIN: 'example.social', BACKUP_LOCAL_DIR: directory, BACKUP_STATE_DIR: state },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

async function verify({
  environment,
}: Copy): Promise<{ readonly status: number; readonly found: PitrVerification['chains'][number] }> {
  const { status, stdout, stderr } = await runCommand(['pitr', 'verify', '--json'], environment);
  assert.ok(stdout !== '', stderr);
  const [found] = (JSON.parse(stdout) as PitrVerification).chains;
  assert.ok(found !== undefined);
  return { status: status ?? -1, found };
}

const names = (file: string): string => path.basename(file);

describe('pitr verify', () => {
  it('reads everything back, and has nothing to say of what is as it should be', async () => {
    using copy = copyOfStore();
    const { status, found } = await verify(copy);
    assert.deepEqual([status, found.problems, found.gaps, found.notes], [0, [], [], []]);
    assert.ok(found.decoded && found.bases.length === 1 && found.segments >= 5 && copy.wholes.length >= 3);
    const { stdout } = await runCommand(['pitr', 'verify'], copy.environment);
    assert.match(stdout, /nothing is damaged, and nothing is missing/);
  });

  it('names a segment in which a bit is another', async () => {
    using copy = copyOfStore();
    const file = copy.wholes[1] ?? '';
    flip(file);
    const { status, found } = await verify(copy);
    assert.equal(status, 13);
    assert.deepEqual(
      found.problems.map(({ object }) => names(object)),
      [names(file)],
    );
    assert.match(found.problems[0]?.problem ?? '', /is damaged/);
    assert.deepEqual(found.gaps, []);
  });

  it('names what is missing: a segment between others, and the newest where it is remembered', async () => {
    using copy = copyOfStore();
    const [, second = ''] = copy.wholes;
    rmSync(second);
    const { status, found } = await verify(copy);
    assert.equal(status, 13);
    assert.equal(found.gaps.length, 1);
    assert.match(found.gaps[0] ?? '', new RegExp(`is missing in the store: of segment ${names(second).slice(0, 24)}`));

    using other = copyOfStore();
    for (const file of other.parts) rmSync(file);
    assert.equal((await verify(other)).status, 0, 'nobody remembers that there was more');
    const directory = other.environment['BACKUP_STATE_DIR'] ?? '';
    const state = openState({ directory, instance: 'example.social', now: () => new Date(), log: quietLog });
    await state.updatePitr({
      following: {
        at: new Date().toISOString(),
        systemIdentifier: found.systemIdentifier,
        timeline: 1,
        followsFrom: '0/1000000',
        storedTo,
        coveredAt: null,
        behindBytes: null,
        slot: null,
        withoutSlot: null,
        problem: null,
      },
    });
    assert.match((await verify(other)).found.gaps.join(), /is missing in the store: of segment/);
  });

  it('names a segment that is another one of the same server', async () => {
    using copy = copyOfStore();
    const [first = '', second = '', third = ''] = copy.wholes;
    for (const [to, from] of [
      [second, third],
      [third, first],
    ] as const) {
      rmSync(to);
      cpSync(path.join(stored, path.relative(copy.directory, from)), to);
    }
    const { status, found } = await verify(copy);
    assert.equal(status, 13);
    assert.deepEqual(
      found.problems.map(({ object }) => names(object)),
      [names(second), names(third)],
    );
    for (const { problem } of found.problems) assert.match(problem, /is of another place/);
  });

  it('names a segment of another server, and one of another timeline', async () => {
    using copy = copyOfStore();
    const [first = '', second = '', third = ''] = copy.wholes;
    rewrite(first, (content) => void content.writeBigUInt64LE(7n, 24));
    rewrite(second, (content) => void content.writeUInt32LE(2, 4));
    const { status, found } = await verify(copy);
    assert.equal(status, 13);
    assert.deepEqual(
      found.problems.map(({ object }) => names(object)),
      [names(first), names(second)],
    );
    assert.match(found.problems[0]?.problem ?? '', /is of another server/);
    assert.match(found.problems[1]?.problem ?? '', /of timeline 2, in a segment of 1/);
    assert.ok(third !== '');
  });

  it('names a record that does not follow the one before it, and a part that says something else', async () => {
    using copy = copyOfStore();
    const [first = ''] = copy.wholes;
    const at = 40;
    rewrite(first, (content) => void content.writeBigUInt64LE(content.readBigUInt64LE(at + 8) ^ 8n, at + 8));
    const whole = copy.wholes[1] ?? '';
    const part = path.join(path.dirname(whole), `${names(whole).slice(0, 24)}.part.00000000-00002000.zst`);
    writeFileSync(part, zstdCompressSync(Buffer.alloc(0x2000, 1)));
    const { status, found } = await verify(copy);
    assert.equal(status, 13);
    assert.deepEqual(
      found.problems.map(({ object }) => names(object)),
      [names(first), names(part)],
    );
  });

  it('names a base whose tar is another or missing, and what is not ours apart', async () => {
    using copy = copyOfStore();
    flip(copy.tar);
    writeFileSync(path.join(path.dirname(copy.tar), 'notes.txt'), 'x');
    const { status, found } = await verify(copy);
    assert.equal(status, 13);
    assert.match(found.problems[0]?.problem ?? '', /SHA-256/);
    assert.match(found.notes.join(), /notes\.txt' is not of this program/);
    rmSync(copy.tar);
    assert.match((await verify(copy)).found.problems[0]?.problem ?? '', /its tar is missing/);
  });

  it('is told of nothing that is stored with the status of its own', async () => {
    using copy = copyOfStore();
    const { status, stderr } = await runCommand(['pitr', 'verify', '--instance', 'other.social'], copy.environment);
    assert.equal(status, 4);
    assert.match(stderr, /Nothing is stored of the log of 'other.social'/);
  });
});
