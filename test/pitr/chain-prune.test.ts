// `prune` speaks of base backups and log as it does of snapshots: shown first, with the reason, and then done.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { segmentName, formatLsn } from '../../src/pitr/lsn.ts';
import { encodeBase } from '../../src/snapshots/base-document.ts';
import { readChain } from '../../src/snapshots/chain-catalogue.ts';
import { baseDocumentKey, baseKey } from '../../src/snapshots/chain-keys.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { openState } from '../../src/state/state-files.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { baseOf, begin, instance, place, systemIdentifier, walOf } from '../support/chains.ts';
import { clockVariable } from '../support/clock-ahead.ts';
import { runCommand } from '../support/command.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startS3 } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = new AbortController().signal;

interface Shown {
  readonly dryRun: boolean;
  readonly chains: readonly {
    readonly isFollowed: boolean;
    readonly bases: readonly { readonly id: string; readonly keep: boolean }[];
    readonly log: { readonly objects: number; readonly going: number };
    readonly removed: number;
    readonly hold: string | null;
  }[];
}

it('shows what would go of the chain with the reason, removes it when it is told to, and counts it', async () => {
  using folder = temporaryDirectory();
  const directory = path.join(folder.path, 'stored');
  mkdirSync(directory);
  const repository = createRepository(createLocalStore({ directory }));
  const { store } = repository;
  const put = async (key: Parameters<typeof store.putDocument>[0], content: Buffer): Promise<void> =>
    store.putDocument(key, content, { signal });
  // Now: at the end of the third week.
  const hours = 21 * 24;
  const shiftMs = Date.now() - (begin + hours * 3_600_000);
  const ids: string[] = [];
  for (const week of [0, 1, 2]) {
    const base = baseOf(week);
    ids.push(base.id);
    const at = (date: Date): Date => new Date(date.getTime() + shiftMs);
    const moved = { ...base, startedAt: at(base.startedAt), endedAt: at(base.endedAt) };
    await put(baseKey(place, base.tar.name), Buffer.from('x'));
    await put(baseDocumentKey(place, base.id), encodeBase(moved));
  }
  for (let hour = 0; hour < hours; hour += 1) await put(walOf(hour).key, Buffer.from('x'));
  const stateDirectory = path.join(folder.path, 'state');
  const environment = {
    LOCAL_DOMAIN: instance,
    DB_HOST: '127.0.0.1',
    DB_PORT: '1',
    BACKUP_LOCAL_DIR: directory,
    BACKUP_STATE_DIR: stateDirectory,
  };
  const prune = async (...flags: readonly string[]): Promise<Shown['chains'][number] | undefined> => {
    const { status, stdout, stderr } = await runCommand(['prune', '--json', ...flags], environment);
    assert.equal(status, 0, stderr);
    return (JSON.parse(stdout) as Shown).chains[0];
  };
  assert.match((await prune('--dry-run'))?.hold ?? '', /no log is followed from here/);

  const state = openState({ directory: stateDirectory, instance, now: () => new Date(), log: quietLog });
  await state.updatePitr({
    following: {
      at: new Date().toISOString(),
      systemIdentifier,
      timeline: 1,
      followsFrom: '0/100000',
      storedTo: formatLsn(BigInt(hours) * 1024n * 1024n),
      coveredAt: null,
      behindBytes: null,
      slot: null,
      withoutSlot: null,
      problem: null,
    },
  });
  const planned = await prune('--dry-run');
  assert.deepEqual(
    planned?.bases.map(({ id, keep }) => [id, keep]),
    [2, 1, 0].map((week) => [ids[week], week > 0]),
  );
  assert.deepEqual([planned.log, planned.removed, planned.hold], [{ objects: hours, going: 7 * 24 }, 0, null]);
  const { stdout } = await runCommand(['prune', '--dry-run'], environment);
  assert.match(stdout, /remove +base .* no moment that is wanted needs it/);
  assert.match(stdout, /1 base backup and 168 objects of the log would be removed \(.*\); nothing was/);

  const done = await prune();
  assert.equal(done?.removed, 2 + 7 * 24);
  const { bases, wal } = await readChain(repository, { systemIdentifier, signal });
  assert.deepEqual([bases.length, wal.length], [2, 14 * 24]);
  assert.equal(
    wal[0]?.segment,
    segmentName(BigInt(7 * 24 + 1) * 1024n * 1024n, { timeline: 1, segmentBytes: 1024 * 1024 }),
  );
  assert.equal((await prune())?.removed, 0, 'nothing more goes the second time');
});

it('removes nothing while our clock has jumped: every moment would seem to be one that nobody wants', async () => {
  using folder = temporaryDirectory();
  await using s3 = await startS3();
  const repository = createRepository(s3.store());
  const shiftMs = Date.now() - (begin + 8 * 24 * 3_600_000);
  for (const week of [0, 1]) {
    const base = baseOf(week);
    const at = (date: Date): Date => new Date(date.getTime() + shiftMs);
    const moved = { ...base, startedAt: at(base.startedAt), endedAt: at(base.endedAt) };
    await repository.store.putDocument(baseKey(place, base.tar.name), Buffer.from('x'), { signal });
    await repository.store.putDocument(baseDocumentKey(place, base.id), encodeBase(moved), { signal });
  }
  for (let hour = 0; hour < 8 * 24; hour += 4)
    for (const one of [0, 1, 2, 3])
      await repository.store.putDocument(walOf(hour + one).key, Buffer.from('x'), { signal });
  const stateDirectory = path.join(folder.path, 'state');
  const state = openState({ directory: stateDirectory, instance, now: () => new Date(), log: quietLog });
  const record = { at: new Date().toISOString(), systemIdentifier, timeline: 1, followsFrom: '0/100000' };
  const unknown = { coveredAt: null, behindBytes: null, slot: null, withoutSlot: null, problem: null };
  await state.updatePitr({
    following: { ...record, ...unknown, storedTo: formatLsn(BigInt(8 * 24) * 1024n * 1024n) },
  });
  const prune = async (aheadDays: number): Promise<Shown['chains'][number] | undefined> => {
    const { status, stdout, stderr } = await runCommand(['prune', '--json'], {
      ...s3.environment,
      LOCAL_DOMAIN: instance,
      DB_HOST: '127.0.0.1',
      DB_PORT: '1',
      BACKUP_STATE_DIR: stateDirectory,
      [clockVariable]: String(aheadDays * 86_400_000),
    });
    assert.equal(status, 0, stderr);
    return (JSON.parse(stdout) as Shown).chains[0];
  };
  const ahead = await prune(60);
  assert.deepEqual([ahead?.removed, ahead?.bases.every(({ keep }) => keep)], [0, true]);
  assert.match(ahead?.hold ?? '', /our clock and the store's are .* apart/);
  assert.equal((await prune(-60))?.removed, 0);
  const { bases, wal } = await readChain(repository, { systemIdentifier, signal });
  assert.deepEqual([bases.length, wal.length], [2, 8 * 24]);
});
