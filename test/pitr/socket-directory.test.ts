// A throw-away server whose path is too long for a socket has one elsewhere, which nobody would clear: it goes with the server, also
// with one that never came up.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, it } from 'node:test';
import { findServers, type ServerPrograms } from '../../src/database/server-programs.ts';
import { startScratchServer } from '../../src/drill/scratch-server.ts';
import { createReplayHome, startReplay } from '../../src/pitr/replay-server.ts';
import { createRemains } from '../../src/stream/remains.ts';
import { reachableBinaries } from '../support/postgres-server.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = new AbortController().signal;
const { TMPDIR: usual } = process.env;
let folder: ReturnType<typeof temporaryDirectory>;
let elsewhere: string;
let means: Parameters<typeof startScratchServer>[0] & Parameters<typeof createReplayHome>[0];

beforeEach(async () => {
  folder = temporaryDirectory();
  elsewhere = path.join(folder.path, 'tmp');
  const scratchDirectory = path.join(folder.path, 'x'.repeat(100));
  for (const directory of [elsewhere, scratchDirectory]) mkdirSync(directory);
  chmodSync(folder.path, 0o711);
  chmodSync(elsewhere, 0o711);
  process.env['TMPDIR'] = elsewhere;
  const [programs] = await findServers({ directory: path.join(reachableBinaries(15), 'bin'), path: '', signal });
  assert.ok(programs);
  means = {
    programs,
    purpose: 'drill',
    use: 'drill',
    scratchDirectory,
    scratchOwner: '0123ab',
    uid: process.getuid?.() ?? 0,
    niceness: 0,
    remains: createRemains(),
    log: quietLog,
    signal,
  };
});
afterEach(() => {
  if (usual === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = usual;
  folder[Symbol.dispose]();
});

function assertNothingIsLeft(): void {
  assert.deepEqual(readdirSync(elsewhere), []);
  assert.deepEqual(readdirSync(means.scratchDirectory), []);
  assert.deepEqual(means.remains.list(), []);
}

it('of a drill goes with its server', async () => {
  {
    await using _server = await startScratchServer(means);
    assert.match(readdirSync(elsewhere).join(), /^drill-\w+$/);
  }
  assertNothingIsLeft();
});

it('of a drill goes where no process can be started any more', async () => {
  const { directory } = means.programs;
  let asked = 0;
  // The second program that is started is the server.
  const programs: ServerPrograms = {
    ...means.programs,
    get directory() {
      asked += 1;
      return asked === 1 ? directory : '\0';
    },
  };
  await assert.rejects(startScratchServer({ ...means, programs }), /could not be started in .*null bytes/);
  assertNothingIsLeft();
});

it('of a replay goes where its server is not even started', async () => {
  {
    await using home = await createReplayHome(means);
    assert.equal(means.remains.list().length, 1);
    rmSync(home.data, { recursive: true });
    const how = { superuser: 'postgres', moment: { kind: 'latest' }, timeline: 1, reaches: 0n } as const;
    await assert.rejects(startReplay(home, { ...means, ...how }), /The base could not be replayed: ENOENT/);
  }
  assertNothingIsLeft();
});
