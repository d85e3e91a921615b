// What is remembered is believed only when it is ours: several instances of a host share the place that is used when no
// state directory can be, and anybody may put a file there.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, it } from 'node:test';
import { findHolder } from '../../src/state/lock.ts';
import { noAttempts, type AttemptsRecord } from '../../src/state/records.ts';
import { openState } from '../../src/state/state-files.ts';
import { runCommand, runProcess } from '../support/command.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const broken: AttemptsRecord = {
  ...noAttempts,
  failures: { daily: { at: '2026-11-23T12:00:00.000Z', step: 'dump', message: 'it broke', hint: null } },
};
const now = (): Date => new Date();
const usualTmp = process.env['TMPDIR'];
let folder: ReturnType<typeof temporaryDirectory>;
let unusable: string;
let shared: string;
beforeEach(() => {
  folder = temporaryDirectory({ on: 'disk' });
  process.env['TMPDIR'] = folder.path;
  unusable = path.join(folder.path, 'a-file');
  writeFileSync(unusable, 'in the way');
  shared = path.join(folder.path, 'mastodon-backup');
});
afterEach(() => {
  if (usualTmp === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = usualTmp;
  folder[Symbol.dispose]();
});

it('two instances without a state directory of their own keep what they remember apart', async () => {
  const one = openState({ directory: unusable, instance: 'one.example', log: quietLog, now });
  const other = openState({ directory: unusable, instance: 'other.example', log: quietLog, now });
  await one.updateAttempts(() => broken);
  assert.deepEqual(await other.readAttempts(), noAttempts);
  await other.updateAttempts(() => ({ madeHere: ['an-id'] }));
  assert.deepEqual(await one.readAttempts(), broken, 'nor does the one overwrite the other');
});

it('what an instance left in the shared place without its state directory does not show where it has another one', async () => {
  const trial = openState({ directory: unusable, instance: 'one.example', log: quietLog, now });
  await trial.updateAttempts(() => broken);
  const other = openState({ directory: path.join(folder.path, 'state'), instance: 'one.example', log: quietLog, now });
  assert.deepEqual(await other.readAttempts(), noAttempts);
  assert.deepEqual(await trial.readAttempts(), broken);
});

it('what is damaged while a daemon runs is what it last wrote again, with its next sign of life', async () => {
  const directory = path.join(folder.path, 'state');
  const daemon = openState({ directory, instance: 'one.example', log: quietLog, now });
  await daemon.updateAttempts(() => broken);
  const file = path.join(directory, 'attempts.json');
  const another = openState({ directory, instance: 'one.example', log: quietLog, now });
  const at = now().toISOString();
  for (const damage of [null, '', '{"format":1,"writ', '[]']) {
    if (damage === null) rmSync(directory, { recursive: true });
    else writeFileSync(file, damage);
    assert.deepEqual(await another.readAttempts(), noAttempts);
    assert.deepEqual(await daemon.readAttempts(), broken, 'who wrote it need not wait for that');
    await daemon.writeHeartbeat({ at, startedAt: at, processId: 1, troubles: [] });
    assert.deepEqual(await another.readAttempts(), broken, damage ?? 'gone');
  }
  // What another process has written since stays.
  await another.updateAttempts(() => ({ madeHere: ['an-id'] }));
  await daemon.writeHeartbeat({ at, startedAt: at, processId: 1, troubles: [] });
  assert.deepEqual((await daemon.readAttempts()).madeHere, ['an-id']);
});

it("one instance's failure does not show in another's health", async () => {
  const environment = (domain: string): Readonly<Record<string, string>> => ({
    LOCAL_DOMAIN: domain,
    TMPDIR: folder.path,
    BACKUP_STATE_DIR: unusable,
    BACKUP_LOCAL_DIR: folder.path,
  });
  await openState({ directory: unusable, instance: 'one.example', log: quietLog, now }).updateAttempts(() => broken);
  const own = await runCommand(['health', '--json'], environment('one.example'));
  assert.match(own.stdout, /it broke/);
  const health = await runCommand(['health', '--json'], environment('other.example'));
  assert.doesNotMatch(health.stdout, /it broke/);
});

it('a state directory that another instance used is not believed', async () => {
  const directory = path.join(folder.path, 'state');
  await openState({ directory, instance: 'one.example', log: quietLog, now }).updateAttempts(() => broken);
  const other = openState({ directory, instance: 'other.example', log: quietLog, now });
  assert.deepEqual(await other.readAttempts(), noAttempts);
});

it('what another user put into the shared place is not believed', { skip: process.getuid?.() !== 0 }, async () => {
  const state = openState({ directory: unusable, instance: 'one.example', log: quietLog, now });
  const another = openState({ directory: unusable, instance: 'one.example', log: quietLog, now });
  await state.updateAttempts(() => broken);
  assert.deepEqual(await another.readAttempts(), broken);
  for (const name of readdirSync(shared)) chownSync(path.join(shared, name), 65534, 65534);
  assert.deepEqual(await another.readAttempts(), noAttempts);
});

it('a shared place that belongs to another user is not used', { skip: process.getuid?.() !== 0 }, async () => {
  const state = openState({ directory: unusable, instance: 'one.example', log: quietLog, now });
  mkdirSync(shared);
  chownSync(shared, 65534, 65534);
  await state.updateAttempts(() => broken);
  assert.deepEqual(readdirSync(shared), []);
});

it('a shared place that is a link is not used', async () => {
  const elsewhere = path.join(folder.path, 'elsewhere');
  mkdirSync(elsewhere);
  symlinkSync(elsewhere, shared);
  await openState({ directory: unusable, instance: 'one.example', log: quietLog, now }).updateAttempts(() => broken);
  assert.deepEqual(readdirSync(elsewhere), []);
});

it('what somebody else keeps in the shared place is not opened: a pipe that is never written to, a lock that is never given back', async () => {
  const own = openState({ directory: unusable, instance: 'one.example', now, log: quietLog });
  await own.updateAttempts(() => broken);
  for (const name of readdirSync(shared).filter((one) => one.endsWith('.json'))) {
    rmSync(path.join(shared, name));
    execFileSync('mkfifo', [path.join(shared, name)]);
  }
  const holder = createServer((socket) => {
    socket.end(JSON.stringify({ command: 'run daily', processId: 1, since: '2026-11-23T12:00:00.000Z' }));
  });
  await new Promise<void>((resolve) => holder.listen(path.join(shared, 'run.lock'), resolve));
  try {
    const fresh = openState({ directory: unusable, instance: 'one.example', now, log: quietLog });
    assert.deepEqual(await fresh.readAttempts(), noAttempts, 'no pipe is waited for, also where the place is ours');
    assert.notEqual(await findHolder({ directory: unusable, name: 'run' }), null);
    chownSync(shared, 65_534, 65_534);
    assert.deepEqual(await fresh.readAttempts(), noAttempts);
    assert.equal(await findHolder({ directory: unusable, name: 'run' }), null);
  } finally {
    holder.close();
  }
});

it('a file that is larger than all that is ever remembered is as good as none', async () => {
  const directory = path.join(folder.path, 'state');
  const state = openState({ directory, instance: 'one.example', now, log: quietLog });
  await state.updateAttempts(() => broken);
  truncateSync(path.join(directory, 'attempts.json'), 2 ** 32);
  const fresh = openState({ directory, instance: 'one.example', now, log: quietLog });
  assert.deepEqual(await fresh.readAttempts(), noAttempts);
});

it(
  'what this user may not read of it is named by all who tell how it stands',
  { skip: process.getuid?.() !== 0 },
  async () => {
    const uid = 65_534;
    const directory = path.join(folder.path, 'state');
    const state = openState({ directory, instance: 'one.example', now, log: quietLog });
    await state.updateAttempts(() => broken);
    await state.updateStores(() => ({ instance: 'one.example', stores: [] }));
    for (const place of [folder.path, directory]) chmodSync(place, 0o755);
    const environment = { LOCAL_DOMAIN: 'one.example', BACKUP_STATE_DIR: directory, BACKUP_LOCAL_DIR: folder.path };
    const say = async (...args: readonly string[]): Promise<string> => {
      const { stdout, stderr } = await runProcess(args, environment, { uid });
      return `${stdout}${stderr}`.replaceAll(/\s+/g, ' ');
    };
    const said =
      /'stores\.json' and 1 other file of '.*' cannot be read: permission denied \(owner 0:0, mode 0600\), and we are 65534.*chown -R 65534 '/;
    assert.match(await say('health'), said);
    assert.match(await say('health', '--json'), said);
    assert.match(await say('status'), said);
    assert.match(await say('doctor'), said);
    chmodSync(directory, 0o700);
    assert.match(await say('health'), /cannot be read: permission denied \(owner 0:0, mode 0700\), and we are 65534/);
    chownSync(directory, uid, uid);
    for (const name of readdirSync(directory)) chownSync(path.join(directory, name), uid, uid);
    assert.doesNotMatch(await say('health'), /cannot be read/);
  },
);

it(
  'what root writes into the state directory of another user is theirs',
  { skip: process.getuid?.() !== 0 },
  async () => {
    const directory = path.join(folder.path, 'state');
    mkdirSync(directory, { mode: 0o700 });
    chownSync(directory, 65_534, 65_533);
    await openState({ directory, instance: 'one.example', now, log: quietLog }).updateAttempts(() => broken);
    const { uid, gid, mode } = statSync(path.join(directory, 'attempts.json'));
    assert.deepEqual([uid, gid, mode & 0o777], [65_534, 65_533, 0o600]);
  },
);
