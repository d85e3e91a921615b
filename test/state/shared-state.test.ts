// What is remembered, by several processes at once and out of files that were damaged: no update is lost, no lock that was left
// behind or hangs stops anything, and half a record is none.

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { takeLock } from '../../src/state/lock.ts';
import { noAttempts } from '../../src/state/records.ts';
import { openState } from '../../src/state/state-files.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { openApp } from '../support/app.ts';
import { putSnapshot } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const log = quietLog;
const instance = 'a.example';
const now = (): Date => new Date();
const failure = { at: '2026-11-23T12:00:00.000Z', step: 'dump', message: 'no', hint: null };

// A process that has this state open and runs `work`.
function otherProcess(directory: string, work: string): ChildProcess {
  const module = (name: string): string => new URL(`../../src/state/${name}.ts`, import.meta.url).href;
  const script = `
    const { openState } = await import(${JSON.stringify(module('state-files'))});
    const { tryLock } = await import(${JSON.stringify(module('socket-lock'))});
    const log = { debug() {}, info() {}, warn(details, text) { console.error(text); }, error() {} };
    const state = openState({ directory: ${JSON.stringify(directory)}, instance: 'a.example', log, now: () => new Date() });
    ${work}`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function ended(child: ChildProcess): Promise<void> {
  await new Promise((resolve) => child.once('close', resolve));
}

async function holdsTheLock(directory: string): Promise<ChildProcess> {
  mkdirSync(directory, { recursive: true });
  const child = otherProcess(
    directory,
    `const held = await tryLock(${JSON.stringify(path.join(directory, 'state.lock'))}, '');
     console.log('held');
     setInterval(() => held, 1000);`,
  );
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

it('loses no update of several processes that change it at once', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const each = 150;
  const work = (name: string): string => `
    for (let turn = 0; turn < ${each}; turn += 1)
      await state.updateAttempts(({ failureCounts, madeHere }) => ({
        failureCounts: { ...failureCounts, both: (failureCounts.both ?? 0) + 1 },
        madeHere: [...madeHere, '${name}' + turn],
      }));`;
  const others = ['first', 'second'].map(async (name) => ended(otherProcess(folder.path, work(name))));
  const state = openState({ directory: folder.path, instance, log, now });
  // And this process, without waiting for itself.
  await Promise.all(
    Array.from({ length: each }, async () =>
      state.updateAttempts(({ failureCounts }) => ({
        failureCounts: { ...failureCounts, both: (failureCounts['both'] ?? 0) + 1 },
      })),
    ),
  );
  await Promise.all(others);
  const { failureCounts, madeHere } = await state.readAttempts();
  assert.equal(failureCounts['both'], 3 * each);
  assert.equal(new Set(madeHere).size, 2 * each);
  assert.deepEqual(readdirSync(folder.path), ['attempts.json'], 'nothing is left behind');
});

it('is not held up by a lock whose holder was killed', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  using holder = await holdsTheLock(folder.path);
  holder.kill('SIGKILL');
  await ended(holder);
  assert.deepEqual(readdirSync(folder.path), ['state.lock']);
  const startedAt = performance.now();
  await openState({ directory: folder.path, instance, log, now }).updateAttempts(() => ({ warnings: ['written'] }));
  assert.ok(performance.now() - startedAt < 1_000);
  assert.deepEqual(readdirSync(folder.path), ['attempts.json']);
});

it('is written without the lock when its holder hangs', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  using holder = await holdsTheLock(folder.path);
  holder.kill('SIGSTOP');
  const said: string[] = [];
  const state = openState({
    directory: folder.path,
    instance,
    now,
    log: { ...log, warn: (_details, message) => void said.push(message) },
    lockPatienceMs: 300,
  });
  await state.updateAttempts(() => ({ warnings: ['written'] }));
  assert.deepEqual((await state.readAttempts()).warnings, ['written']);
  assert.match(said.join(), /does not give it back/);
  holder.kill('SIGKILL');
  await ended(holder);
});

it('takes a damaged file for none, whatever the damage', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const file = path.join(folder.path, 'attempts.json');
  const whole = { format: 1, writtenAt: failure.at, instance, record: { ...noAttempts, failures: { daily: failure } } };
  writeFileSync(file, JSON.stringify(whole));
  const read = async () => openState({ directory: folder.path, instance, log, now }).readAttempts();
  assert.deepEqual((await read()).failures, { daily: failure });
  const text = JSON.stringify(whole);
  for (const [what, content] of [
    ['empty', ''],
    ['cut off', text.slice(0, -20)],
    ['of another format', JSON.stringify({ ...whole, format: 2 })],
    ['a list', '[]'],
    ['null', 'null'],
    ['zeroes, as after a power cut', '\0'.repeat(512)],
    ['with a text for a list', JSON.stringify({ ...whole, record: { ...whole.record, warnings: 'none' } })],
    ['with a failure that is no record', JSON.stringify({ ...whole, record: { failures: { daily: true } } })],
    [
      'with a moment that is none',
      JSON.stringify({ ...whole, record: { failures: { daily: { ...failure, at: 'now' } } } }),
    ],
    ['without the moment it was written', JSON.stringify({ ...whole, writtenAt: undefined })],
  ] as const) {
    writeFileSync(file, content);
    assert.deepEqual(await read(), noAttempts, what);
  }
  writeFileSync(path.join(folder.path, 'heartbeat.json'), JSON.stringify({ ...whole, record: { at: 'never' } }));
  writeFileSync(path.join(folder.path, 'stores.json'), JSON.stringify({ ...whole, record: { stores: [{}] } }));
  const state = openState({ directory: folder.path, instance, log, now });
  assert.equal(await state.readHeartbeat(), null);
  assert.equal(await state.readStores(), null);
  await state.updateAttempts(() => ({ warnings: ['anew'] }));
  assert.deepEqual((await read()).warnings, ['anew']);
});

it('reads what an older version wrote, with nothing for what it did not know', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const { drilling: _unknown, acceptedServers: _too, ...record } = noAttempts;
  const document = { format: 1, writtenAt: failure.at, instance, record: { ...record, later: true } };
  writeFileSync(path.join(folder.path, 'attempts.json'), JSON.stringify(document));
  assert.deepEqual(await openState({ directory: folder.path, instance, log, now }).readAttempts(), noAttempts);
});

it('changes what it remembers itself when its files are lost', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const state = openState({ directory: folder.path, instance, log, now });
  await state.updateAttempts(() => ({ failures: { daily: failure } }));
  rmSync(folder.path, { recursive: true });
  await state.updateAttempts(() => ({ warnings: ['after the loss'] }));
  const { failures, warnings } = await openState({ directory: folder.path, instance, log, now }).readAttempts();
  assert.deepEqual([failures, warnings], [{ daily: failure }, ['after the loss']]);
});

it('keeps the younger of two readings of a store that overlap', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const start = Date.parse('2026-11-23T12:00:00Z');
  let passedMs = 0;
  await using app = openApp(
    { BACKUP_LOCAL_DIR: folder.path, BACKUP_STATE_DIR: path.join(folder.path, '.state'), LOCAL_DOMAIN: 'a.example' },
    { now: () => new Date(start + (passedMs += 10_000)) },
  );
  const look = async () => app.lookAround({ startedAt: new Date(start), signal: AbortSignal.timeout(60_000) });
  await look();
  const file = path.join(folder.path, '.state', 'stores.json');
  const found = JSON.parse(readFileSync(file, 'utf8')) as {
    record: { stores: { readAt: string; unreadableCount: number }[] };
  };
  const [store] = found.record.stores;
  assert.ok(store !== undefined);
  // Somebody else began to read after we begin, and was done before us.
  store.readAt = new Date(start + passedMs + 15_000).toISOString();
  store.unreadableCount = 1;
  writeFileSync(file, JSON.stringify(found));
  await look();
  const unreadableOf = (): number => {
    const { record } = JSON.parse(readFileSync(file, 'utf8')) as typeof found;
    return record.stores[0]?.unreadableCount ?? -1;
  };
  assert.equal(unreadableOf(), 1);
  await look();
  assert.equal(unreadableOf(), 0, 'what is read later counts');
});

it('a run by hand that goes on is no other container, and another container is one as soon as it has ended', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const start = Date.parse('2026-11-23T12:00:00Z');
  const directory = path.join(folder.path, '.state');
  const settings = { BACKUP_LOCAL_DIR: folder.path, BACKUP_STATE_DIR: directory, LOCAL_DOMAIN: 'social.example' };
  const at = (): Date => new Date(start + 60_000);
  const lookOfNow = async (): Promise<readonly string[]> => {
    await using app = openApp(settings, { now: at });
    return (await app.lookAround({ startedAt: new Date(start), signal: AbortSignal.timeout(60_000) })).troubles;
  };
  const state = openState({ directory, instance: 'social.example', log, now: at });
  const store = createLocalStore({ directory: folder.path });
  const holder = { command: 'run daily', processId: process.pid };
  {
    const signal = AbortSignal.timeout(60_000);
    await using _lock = await takeLock({ directory, name: 'run', holder, wait: false, signal, now: at, log });
    await state.updateAttempts(() => ({
      running: { command: 'run daily', tier: 'daily', since: new Date(start + 20_000).toISOString() },
    }));
    const ours = await putSnapshot(store, { dataAt: new Date(start + 30_000) });
    assert.deepEqual(await lookOfNow(), [], ours.id);
    const before = await putSnapshot(store, { dataAt: new Date(start + 10_000) });
    assert.match((await lookOfNow()).join(), new RegExp(`^Another container .* it made daily/${before.id}$`));
    await state.updateAttempts(() => ({ madeHere: [before.id] }));
    assert.deepEqual(await lookOfNow(), []);
  }
  assert.match((await lookOfNow()).join(), /^Another container backs up 'social\.example'/, 'killed, it made nothing');
});
