// Directories that are no plain disk, with real mounts: what rclone and mergerfs give, a disk that is too small, one that nobody may
// write. `npm run test:mounts`; what this machine cannot mount is skipped, with the reason.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { Finding } from '../../src/doctor/finding.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { findHolder, takeLock } from '../../src/state/lock.ts';
import { testObjectStore } from '../contract/object-store.ts';
import { databaseEnvironment, runProcess } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { mountOne, type Kind, type Mounted } from './mounting.ts';

/** The mount, or the test is skipped. */
function mounted(kind: Kind, context: TestContext): Mounted | undefined {
  const found = mountOne(kind);
  if (typeof found !== 'string') return found;
  context.skip(found);
  return undefined;
}

const shared = ['rclone', 'rclone with a cache', 'mergerfs'] as const;
// Through FUSE it takes minutes for a thousand files, and no names but such as ours.
const all = [...shared, 'vfat'] as const;
for (const kind of shared) {
  const probe = mountOne(kind);
  if (typeof probe === 'string') {
    it(`a directory on ${kind} keeps the contract of stores`, (context) => context.skip(probe));
    continue;
  }
  probe[Symbol.dispose]();
  testObjectStore(kind, {
    open: async () => {
      const place = mountOne(kind);
      if (typeof place === 'string') throw new Error(place);
      return {
        store: createLocalStore({ directory: place.path }),
        [Symbol.asyncDispose]: async () => place[Symbol.dispose](),
      };
    },
  });
}

describe('a backup', () => {
  let server: PostgresServer;
  const scratch = temporaryDirectory();
  let environment: Readonly<Record<string, string>>;
  before(async () => {
    server = await startPostgres({ major: 15 });
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
    environment = {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
      BACKUP_COMPRESSION: 'none',
    };
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  for (const kind of all) {
    it(`is stored on ${kind}, read back, verified and restored, with the state beside it`, async (context) => {
      using place = mounted(kind, context);
      if (place === undefined) return;
      const state = path.join(place.path, 'state');
      const settings = { ...environment, BACKUP_LOCAL_DIR: place.path, BACKUP_STATE_DIR: state, TMPDIR: scratch.path };
      const output = path.join(scratch.path, `${kind.replaceAll(' ', '-')}.dump`);
      for (const [args, says] of [
        [['run'], /stored in directory/],
        [['run', 'weekly'], /stored in directory/],
        [['verify'], /./],
        [['prune'], /0 removed/],
        [['restore', 'latest', '--output', output], /./],
        [['health'], /./],
      ] as const) {
        const { status, stdout, stderr } = await runProcess(args, settings);
        assert.equal(status, 0, `${args.join(' ')}: ${stdout}${stderr}`);
        assert.match(stdout, says);
        assert.doesNotMatch(stderr, /cannot be used|could not be written/, args.join(' '));
      }
      assert.ok(readFileSync(output).subarray(0, 5).equals(Buffer.from('PGDMP')));
      assert.ok(readdirSync(state).includes('stores.json'));
    });
  }

  it('that does not fit is refused before it begins, and told with what was free then', async (context) => {
    using place = mounted('a small disk', context);
    if (place === undefined) return;
    const settings = { ...environment, BACKUP_LOCAL_DIR: place.path };
    const first = await runProcess(['run'], settings);
    assert.equal(first.status, 0, first.stderr);
    const ballast = path.join(place.path, 'ballast');
    // All but some KiB.
    const { freeBytes = 0 } =
      (await createLocalStore({ directory: place.path }).space({ signal: context.signal })) ?? {};
    writeFileSync(ballast, Buffer.alloc(freeBytes - 64 * 1024));
    const before_ = readdirSync(place.path, { recursive: true });
    const doctor = await runProcess(['doctor'], settings);
    assert.equal(doctor.status, 5);
    assert.match(
      doctor.stdout,
      /local space: the next backup takes about .*, and 6\d\.?\d* KiB of 8\.?0* MiB are free/i,
    );
    const second = await runProcess(['run'], settings);
    assert.equal(second.status, 12, second.stderr);
    assert.match(second.stderr, /There is no room in the directory .*6\d\.?\d* KiB of 8/);
    assert.deepEqual(readdirSync(place.path, { recursive: true }), before_);
  });

  it('whose disk fills on its way is told with what was free when it was full', async (context) => {
    using place = mounted('a small disk', context);
    if (place === undefined) return;
    writeFileSync(path.join(place.path, 'ballast'), Buffer.alloc(7.9 * 1024 * 1024));
    const { status, stderr } = await runProcess(['run'], {
      ...environment,
      BACKUP_LOCAL_DIR: place.path,
      BACKUP_STATE_DIR: path.join(scratch.path, 'full'),
    });
    assert.equal(status, 12, stderr);
    assert.match(stderr, /no space is left \(0 B of 8/);
    assert.deepEqual(
      readdirSync(place.path, { recursive: true }).filter((name) => /partial|dump/.test(String(name))),
      [],
    );
  });

  it('has a doctor who says what a scratch directory is too small for, and that none can be written', async (context) => {
    using small = mounted('a small disk', context);
    using closed = mounted('a read-only mount', context);
    if (small === undefined || closed === undefined) return;
    const settings = {
      ...environment,
      BACKUP_LOCAL_DIR: path.join(scratch.path, 'nas'),
      BACKUP_STATE_DIR: closed.path,
      BACKUP_SCRATCH_DIR: small.path,
    };
    const { stdout } = await runProcess(['doctor', '--json'], settings);
    const of = (check: string) => (JSON.parse(stdout) as Finding[]).find((one) => one.check === check);
    assert.equal(of('drill')?.status, 'warning', stdout);
    assert.match(of('drill')?.detail ?? '', /^no drill can run here: .* predicted; of 8\.0 MiB in the scratch volume/);
    assert.match(of('drill')?.remedy ?? '', /larger volume at BACKUP_SCRATCH_DIR/);
    assert.match(of('state directory')?.detail ?? '', /the file system is read-only: what is remembered goes to /);
    assert.match(of('state directory')?.remedy ?? '', /^Mount a volume at BACKUP_STATE_DIR that can be written/);
  });

  it('on a read-only mount is told how that is mended', async (context) => {
    using place = mounted('a read-only mount', context);
    if (place === undefined) return;
    const { status, stderr } = await runProcess(['run'], { ...environment, BACKUP_LOCAL_DIR: place.path });
    assert.equal(status, 12, stderr);
    assert.match(stderr, /the file system is read-only.*remount,rw/s);
    assert.doesNotMatch(stderr, /chown|chmod/);
  });
});

it('the lock of a state directory without sockets excludes, and says by whom it is held', async (context) => {
  using place = mounted('rclone', context);
  if (place === undefined) return;
  const directory = path.join(place.path, 'state');
  mkdirSync(directory);
  const holder = { command: 'run weekly', processId: 42, since: '2026-11-23T12:00:00.000Z' };
  const { signal } = context;
  const take = async () =>
    takeLock({ directory, name: 'run', holder, wait: false, signal, now: () => new Date(holder.since), log: quietLog });
  {
    await using _lock = await take();
    await assert.rejects(take(), { code: 'locked', message: /'run weekly' since/ });
    assert.deepEqual(await findHolder({ directory, name: 'run' }), holder);
  }
  assert.equal(await findHolder({ directory, name: 'run' }), null);
  await using _again = await take();
  assert.deepEqual(readdirSync(directory), [], 'nothing is left of what was tried there');
});
