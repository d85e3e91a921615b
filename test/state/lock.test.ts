import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findHolder, takeLock } from '../../src/state/lock.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const base = {
  name: 'run',
  holder: { command: 'run weekly', processId: 42 },
  now: () => new Date('2026-11-23T12:00:00Z'),
  wait: false,
  signal: AbortSignal.timeout(300_000),
  log: quietLog,
} as const;

// As holders leave them that are killed: sockets that nobody listens on.
function leaveStaleLocks(files: readonly string[]): void {
  const script = `let open = 0;
    for (const path of ${JSON.stringify(files)})
      require('node:net').createServer().listen({ path, readableAll: true, writableAll: true }, () => {
        open += 1;
        if (open === ${files.length}) process.kill(process.pid, 'SIGKILL');
      });`;
  spawnSync(process.execPath, ['-e', script]);
}

it('is held by one run at a time, and says by whom and since when', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const options = { ...base, directory: folder.path };
  {
    await using _lock = await takeLock(options);
    await assert.rejects(takeLock(options), {
      code: 'locked',
      message: /'run weekly' since 2026-11-23T12:00:00\.000Z \(process 42\)/,
    });
  }
  await using _again = await takeLock(options);
});

it('is waited for with --wait', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const options = { ...base, directory: folder.path };
  const first = await takeLock(options);
  const order: string[] = [];
  const second = takeLock({ ...options, wait: true }).then((lock) => {
    order.push('second has it');
    return lock;
  });
  await sleep(100);
  order.push('first gives it back');
  await first[Symbol.asyncDispose]();
  await using _second = await second;
  assert.deepEqual(order, ['first gives it back', 'second has it']);
});

it('of a holder that was killed is taken over', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const lock = new URL('../../src/state/lock.ts', import.meta.url).href;
  const script = `
    const { takeLock } = await import(${JSON.stringify(lock)});
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const held = await takeLock({ name: 'run', directory: ${JSON.stringify(folder.path)}, holder: { command: 'x', processId: 1 }, now: () => new Date(), wait: false, signal: new AbortController().signal, log });
    console.log('held');
    setInterval(() => held, 1000);`;
  using child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const options = { ...base, directory: folder.path };
  await assert.rejects(takeLock(options), { code: 'locked' });
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  {
    await using _lock = await takeLock(options);
  }
  assert.deepEqual(readdirSync(folder.path), [], 'nothing is left behind');
});

it('is taken by exactly one of many that find it stale at once', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const options = { ...base, directory: folder.path };
  const stale = await takeLock(options);
  const attempts = await Promise.allSettled(Array.from({ length: 20 }, async () => takeLock(options)));
  assert.equal(attempts.filter(({ status }) => status === 'fulfilled').length, 0);
  await stale[Symbol.asyncDispose]();
  const again = await Promise.allSettled(Array.from({ length: 20 }, async () => takeLock(options)));
  const winners = again.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
  assert.equal(winners.length, 1);
  for (const winner of winners) await winner[Symbol.asyncDispose]();
});

it('of a holder that was killed is taken by exactly one of many that find it', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const directories = Array.from({ length: 30 }, (_, round) => path.join(folder.path, String(round)));
  for (const directory of directories) mkdirSync(directory);
  leaveStaleLocks(directories.map((directory) => path.join(directory, 'run.lock')));
  for (const directory of directories) {
    const options = { ...base, directory };
    assert.deepEqual(readdirSync(directory), ['run.lock']);
    const attempts = await Promise.allSettled(
      Array.from({ length: 24 }, async () => {
        await sleep(Math.random() * 12);
        return takeLock(options);
      }),
    );
    const winners = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
    assert.equal(winners.length, 1, directory);
    await winners[0]?.[Symbol.asyncDispose]();
    assert.deepEqual(readdirSync(directory), []);
  }
});

it('of a drill is another one than that of a run', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const options = { ...base, directory: folder.path };
  const holder = { ...base.holder, command: 'drill' };
  const since = '2026-11-23T12:00:00.000Z';
  await using _run = await takeLock(options);
  assert.equal(await findHolder({ directory: folder.path, name: 'drill' }), null);
  await using _drill = await takeLock({ ...options, name: 'drill', holder });
  assert.deepEqual(await findHolder({ directory: folder.path, name: 'drill' }), { ...holder, since });
  assert.deepEqual(await findHolder({ directory: folder.path, name: 'run' }), { ...base.holder, since });
  await assert.rejects(takeLock({ ...options, name: 'drill' }), {
    code: 'locked',
    message: /Another drill holds the lock: 'drill' since/,
  });
});

it("takes nobody else's with it when it is given back after its directory was lost", async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const options = { ...base, directory: path.join(folder.path, 'state') };
  const first = await takeLock(options);
  rmSync(options.directory, { recursive: true });
  await using _second = await takeLock(options);
  await first[Symbol.asyncDispose]();
  await assert.rejects(takeLock(options), { code: 'locked' });
});

it('of another user that cannot be taken away is named, with the command that does it', async (context) => {
  if (process.getuid?.() !== 0) {
    context.skip('only root can leave the lock of another user');
    return;
  }
  using folder = temporaryDirectory({ on: 'disk' });
  chmodSync(folder.path, 0o1777);
  leaveStaleLocks([path.join(folder.path, 'run.lock')]);
  const lock = new URL('../../src/state/lock.ts', import.meta.url).href;
  const script = `
    const { takeLock } = await import(${JSON.stringify(lock)});
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    process.setuid(65534);
    await takeLock({ name: 'run', directory: ${JSON.stringify(folder.path)}, holder: { command: 'x', processId: 1 }, now: () => new Date(), wait: true, signal: AbortSignal.timeout(5000), log })
      .catch((error) => console.log(error.message + '. ' + error.hint));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.match(stdout, /left behind cannot be taken away: .*Remove it as the user it belongs to: .* rm '.*run\.lock'/);
});

it('falls back to the temporary directory when the state directory cannot be used, and still excludes', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const file = path.join(folder.path, 'a-file');
  writeFileSync(file, '');
  const options = { ...base, directory: path.join(file, 'state') };
  await using _lock = await takeLock(options);
  await assert.rejects(takeLock(options), { code: 'locked' });
});
