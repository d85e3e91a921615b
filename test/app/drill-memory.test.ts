// The drills that a new container reads back from where they are stored: what somebody put among them hides none of ours.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { recallDrills } from '../../src/app/drill-memory.ts';
import { encodeDrill, type DrillDocument } from '../../src/drill/drill-record.ts';
import { buildDrillKey, createSnapshotId } from '../../src/snapshots/object-keys.ts';
import { createRepository, type Repository } from '../../src/snapshots/repository.ts';
import { openState } from '../../src/state/state-files.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, StoredObject } from '../../src/storage/store.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const now = new Date('2026-11-23T12:00:00.000Z');

function drillOf(at: Date): DrillDocument {
  return {
    format: 1,
    id: createSnapshotId(at),
    instance: 'social.example',
    tool: { version: '0.0.0' },
    snapshot: 'daily/2026-11-22T120000Z-4f1c2a',
    dataAt: at.toISOString(),
    startedAt: at.toISOString(),
    endedAt: at.toISOString(),
    status: 'passed',
    durationMs: 1_000,
    serverVersion: '15.1',
    checks: [],
  };
}

function contextOf(repository: Repository, state: ReturnType<typeof openState>): Parameters<typeof recallDrills>[0] {
  return {
    state: () => state,
    storeToRead: async () => repository,
    load: () => ({ instance: 'social.example' }),
    now: () => now,
    log: quietLog,
  } as unknown as Parameters<typeof recallDrills>[0];
}

it('ours are found beside bombs, garbage and what is dated in the future', async () => {
  using folder = temporaryDirectory();
  const repository = createRepository(createLocalStore({ directory: folder.path }));
  mkdirSync(path.join(folder.path, 'drills'));
  const put = (id: string, content: string | Buffer): void =>
    writeFileSync(path.join(folder.path, buildDrillKey({ prefix: '', id })), content);
  const ours = drillOf(new Date('2026-11-22T15:00:00.000Z'));
  put(ours.id, encodeDrill(ours));
  for (let year = 2027; year < 2127; year += 1) {
    const future = drillOf(new Date(Date.UTC(year, 0, 1)));
    put(future.id, encodeDrill(future));
  }
  const later = (seconds: number): DrillDocument => drillOf(new Date(now.getTime() - 60_000 + seconds * 1_000));
  for (const [at, wrong] of [[null], { length: 1 }, 'none', null].entries()) {
    const document = later(at);
    put(document.id, JSON.stringify({ ...document, checks: wrong }));
  }
  put(later(9).id, JSON.stringify({ ...later(9), endedAt: '2090-01-01T00:00:00.000Z' }));
  const large = later(10);
  put(large.id, `${encodeDrill(large).toString()}${' '.repeat(2 * 1024 * 1024)}`);
  put(later(11).id, `{"format":1,"later":${'['.repeat(400_000)}${']'.repeat(400_000)}}`);
  put(later(12).id, Buffer.alloc(100, 0xff));
  for (let second = 13; second < 53; second += 1) put(later(second).id, '{}');

  const state = openState({
    directory: path.join(folder.path, 'state'),
    instance: 'social.example',
    now: () => now,
    log: quietLog,
  });
  const found = await recallDrills(contextOf(repository, state), AbortSignal.timeout(60_000));
  assert.deepEqual(
    found.map(({ id }) => id),
    [ours.id],
  );
});

it('a flood of them is said, and not held', async () => {
  using folder = temporaryDirectory();
  const real = createLocalStore({ directory: folder.path });
  async function* list(): AsyncGenerator<StoredObject> {
    for (let at = 0; ; at += 1) {
      assert.ok(at < 400_000, 'all of it was listed');
      yield { key: `drills/${at}.json` as ObjectKey, bytes: 0, modifiedAt: new Date(0), etag: null };
    }
  }
  const state = openState({ directory: folder.path, instance: 'social.example', now: () => now, log: quietLog });
  await assert.rejects(
    recallDrills(contextOf(createRepository({ ...real, list }), state), AbortSignal.timeout(60_000)),
    /'drills\/' holds more than 250000 objects/,
  );
});
