// A destination that hangs is no reason to wait once the source has failed.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { storeBranch } from '../../src/snapshots/destination.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, RemovableStore } from '../../src/storage/store.ts';
import { createFanOut } from '../../src/stream/fan-out.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

it('ends at once with a source that fails, although it takes no byte and answers nothing', async () => {
  using folder = temporaryDirectory();
  const hung: RemovableStore = {
    ...createLocalStore({ directory: folder.path }),
    put: async (_key, _body, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
  };
  const { stream, branches } = createFanOut(1);
  stream.on('error', () => undefined);
  const [branch] = branches;
  assert.ok(branch);
  const stored = storeBranch(
    { repository: createRepository(hung), key: 'daily/x.dump' as ObjectKey, partBytes: 8 },
    {
      branch,
      sourceEnded: () => stream.writableFinished,
      retained: true,
      stallTimeoutMs: 60_000,
      signal: AbortSignal.timeout(10_000),
    },
  );
  stream.write(Buffer.alloc(16));
  await sleep(10);
  stream.destroy(new Error('the dump died'));
  await assert.rejects(stored, /the dump died/);
});
