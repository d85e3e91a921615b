// A base backup into a NAS that takes no byte and answers nothing: it is cut off as a run is, and not only when its whole time is over.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { RemovableStore } from '../../src/storage/store.ts';
import { unlessAborted } from '../../src/stream/abortable.ts';
import { takeBase } from '../support/pitr-replay.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

it('a base backup into a store that stands still is cut off, and its session on the server with it', async () => {
  await using server = await startStockServer(15);
  using folder = temporaryDirectory();
  const hung: RemovableStore = {
    ...createLocalStore({ directory: folder.path }),
    put: async (_key, _body, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
  };
  const base = takeBase(server.outside(), { repository: createRepository(hung), stallTimeoutMs: 1_000 });
  await assert.rejects(unlessAborted(base, { signal: AbortSignal.timeout(30_000) }), {
    code: 'stalled',
    message: /base\/.* could not be stored in directory .*: it stood still for 1 s/,
  });
  const senders = "select from pg_stat_activity where backend_type = 'walsender'";
  await until('the end of its session', { seconds: 5, look: async () => (await server.query(senders)).length === 0 });
});
