// Retention carried out in real stores: what goes, what holds it back, and what is never touched. What the policy decides is
// tested beside it; here it is about deleting by mistake, which a backup tool must not do.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { renderPrune } from '../../src/cli/retention-commands.ts';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { encodeManifest, snapshotName, type Manifest } from '../../src/snapshots/manifest.ts';
import { belongsToPlace } from '../../src/snapshots/place-script.ts';
import { removeSnapshot } from '../../src/snapshots/deletion-law.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, RemovableStore } from '../../src/storage/store.ts';
import { fixtureClient } from '../faults/support.ts';
import { openApp } from '../support/app.ts';
import { databaseEnvironment, runCommand, startCommand } from '../support/command.ts';
import { aManifest, dumpKey, putSnapshot, type SnapshotOverrides } from '../support/manifests.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { until } from '../support/until.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const dayMs = 86_400_000;
const never = '0 0 29 2 *';
const byHand = { dryRun: false, acceptNewServer: false, signal } as const;

let server: PostgresServer;
let systemIdentifier: string;
const scratch = temporaryDirectory();
before(async () => {
  server = await startPostgres({ major: 15 });
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
  const rows = await server.query('select system_identifier::text as id from pg_control_system()');
  systemIdentifier = String(rows[0]?.['id']);
});
after(async () => {
  await server[Symbol.asyncDispose]();
  scratch[Symbol.dispose]();
});

/** An empty store, the settings that name it, and what it holds. */
interface Stage extends AsyncDisposable {
  readonly store: RemovableStore;
  readonly environment: Readonly<Record<string, string>>;
  keys(): Promise<readonly string[]>;
}

let states = 0;
function common(): Readonly<Record<string, string>> {
  states += 1;
  return {
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    LOCAL_DOMAIN: 'social.example',
    BACKUP_STATE_DIR: path.join(scratch.path, `state-${states}`),
    BACKUP_COMPRESSION: 'none',
    BACKUP_SCHEDULE_DAILY: never,
    BACKUP_SCHEDULE_WEEKLY: 'off',
    BACKUP_SCHEDULE_MONTHLY: 'off',
    BACKUP_SCHEDULE_DRILL: 'off',
  };
}

async function keysOf(store: RemovableStore): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('', { signal })) if (!belongsToPlace(key)) keys.push(key);
  return keys;
}

it('a snapshot that is in the second destination alone is pinned there', async () => {
  await using s3 = await startS3();
  using folder = temporaryDirectory();
  const local = { ...common(), BACKUP_LOCAL_DIR: folder.path };
  const run = await runCommand(['run', '--json'], local);
  assert.equal(run.status, 0, run.stderr);
  const { id } = JSON.parse(run.stdout) as { readonly id: string };
  const { status, stdout, stderr } = await runCommand(['pin', id], { ...local, ...s3.environment });
  assert.equal(status, 0, stderr);
  assert.match(stdout, new RegExp(`^daily/${id} in directory .* is pinned`));
});

it('a run that is interrupted behind its commit remembers that it was made here', async () => {
  await using s3 = await startS3();
  const environment = { ...common(), ...s3.environment };
  const stop = new AbortController();
  s3.rule(({ method, path: at }) => {
    if (method === 'PUT' && /restore-\w+\.sh$/.test(at)) stop.abort(new Error('Ctrl-C'));
    return { kind: 'pass' };
  });
  await using app = openApp(environment);
  const purpose = { kind: 'by hand', tier: 'daily' } as const;
  await assert.rejects(app.run({ purpose, wait: false, signal: stop.signal, onProgress: () => undefined }));
  const [manifest] = (await s3.keys()).filter(isManifest);
  assert.ok(manifest !== undefined);
  const attempts = readFileSync(path.join(environment['BACKUP_STATE_DIR'] ?? '', 'attempts.json'), 'utf8');
  const { record } = JSON.parse(attempts) as { readonly record: { readonly madeHere: readonly string[] } };
  const { madeHere } = record;
  assert.equal(madeHere.length, 1);
  assert.ok(manifest.includes(madeHere[0]?.slice(0, 24) ?? 'nothing'));
});

const stages: Readonly<Record<string, () => Promise<Stage & { readonly s3?: S3TestServer }>>> = {
  async bucket() {
    const s3 = await startS3();
    const store = s3.store({ pageSize: 100 });
    // What takes ten thousand keys elsewhere takes a thousand here.
    s3.rule(({ query }) =>
      query.has('list-type') ? { kind: 'query', query: { 'max-keys': '25' } } : { kind: 'pass' },
    );
    return {
      s3,
      store,
      environment: { ...common(), ...s3.environment },
      keys: async () => s3.keys(),
      [Symbol.asyncDispose]: async () => s3[Symbol.asyncDispose](),
    };
  },
  async directory() {
    const folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    return {
      store,
      environment: { ...common(), BACKUP_LOCAL_DIR: folder.path },
      keys: async () => keysOf(store),
      [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
    };
  },
};

/** A snapshot of our database, `days` before now. */
async function put(
  store: RemovableStore,
  { days, ...more }: { readonly days: number } & Partial<Pick<Manifest, 'tier' | 'instance' | 'label'>>,
): Promise<Manifest> {
  const { database } = aManifest();
  const dataAt = new Date(Date.now() - days * dayMs - 60_000);
  return putSnapshot(store, { dataAt, database: { ...database, systemIdentifier }, ...more });
}

const noKeys = { from: null, instance: null, identities: [], onProgress: () => undefined } as const;
const isManifest = (key: string): boolean => key.endsWith('.json');

/** No manifest without its object: the state that a crash must never leave. */
function assertWhole(keys: readonly string[]): void {
  for (const key of keys.filter(isManifest)) {
    const stem = key.slice(0, -'.json'.length);
    assert.ok(
      keys.some((other) => other.startsWith(`${stem}.dump`)),
      `${key} has no object`,
    );
  }
}

for (const [name, open] of Object.entries(stages)) {
  describe(`retention in a ${name}`, () => {
    it('removes by age and leaves 250 objects of others, pages and pages of them, alone', async () => {
      await using stage = await open();
      const { store, environment } = stage;
      const untouched = [
        'daily/2023-12-29.sql.xz',
        'daily/README.txt',
        'media/2026-01-01T000000Z-aaaaaa.dump.xz',
        'daily/2026-01-02T000000Z-bbbbbb.dump.xz',
      ];
      for (const key of untouched) await store.putDocument(key as ObjectKey, Buffer.from('of others'), { signal });
      for (const [id, text] of [
        ['2026-01-03T000000Z-cccccc', '{"format":2}'],
        ['2026-01-04T000000Z-dddddd', 'garbled'],
      ] as const) {
        for (const suffix of ['.json', '.dump']) {
          untouched.push(`daily/${id}${suffix}`);
          const content = suffix === '.json' ? text : 'content';
          await store.putDocument(`daily/${id}${suffix}` as ObjectKey, Buffer.from(content), { signal });
        }
      }
      const others: Manifest[] = [];
      const own: Manifest[] = [];
      for (let at = 0; at < 150; at += 25) {
        const batch = Array.from({ length: 25 }, (_, n) => at + n);
        const made = await Promise.all(
          batch.map(async (n) => put(store, { days: n / 2, instance: n < 100 ? 'other.example' : 'social.example' })),
        );
        for (const manifest of made) (manifest.instance === 'social.example' ? own : others).push(manifest);
      }
      assert.ok((await stage.keys()).length > 250);
      await using app = openApp({ ...environment, BACKUP_KEEP_DAILY: '7d' });
      const [result] = await app.prune(byHand);
      assert.equal(result?.error, null);
      // 50 of ours, two a day: 7 days before the newest, both ends counted.
      assert.equal(own.length, 50);
      assert.equal(result.removed.length, 50 - 15);
      const left = await stage.keys();
      for (const key of untouched) assert.ok(left.includes(key), `${key} is gone`);
      for (const one of others) assert.ok(left.includes(`daily/${one.id}.json`) && left.includes(dumpKey(one)));
      assert.equal(left.length, untouched.length + 2 * (others.length + 15));
      assert.equal((await app.prune(byHand))[0]?.removed.length, 0, 'nothing more goes the second time');
    });

    it('shows before it is done what stays and what goes, and why', async () => {
      await using stage = await open();
      const { database } = aManifest();
      const at = async (dataAt: string, more: SnapshotOverrides = {}): Promise<Manifest> =>
        putSnapshot(stage.store, { dataAt, database: { ...database, systemIdentifier }, ...more });
      for (const day of ['21', '20', '19', '15', '14']) await at(`2026-02-${day}T12:00:00.000Z`);
      await at('2026-02-15T13:00:00.000Z', { tier: 'weekly' });
      await at('2026-01-01T09:30:00.000Z', { tier: 'labelled', label: 'before 4.5' });
      const before_ = await stage.keys();
      const shown = await runCommand(['prune', '--dry-run'], { ...stage.environment, BACKUP_KEEP_DAILY: '5d' });
      assert.equal(shown.status, 0, shown.stderr);
      const lines = shown.stdout.split('\n').map((line) =>
        line
          .replace(/\d{4}-\d\d-\d\dT\d{6}Z-[0-9a-f]{6}/, 'ID')
          .replaceAll(/ +/g, ' ')
          .trim(),
      );
      assert.deepEqual(lines.slice(1), [
        'keep daily Sat 2026-02-21 12:00 UTC ID 7 B 0 d before the newest, kept for 5d',
        'keep daily Fri 2026-02-20 12:00 UTC ID 7 B 1 d before the newest, kept for 5d',
        'keep daily Thu 2026-02-19 12:00 UTC ID 7 B 2 d before the newest, kept for 5d',
        'remove daily Sun 2026-02-15 12:00 UTC ID 7 B 6 d before the newest, over 5d',
        'remove daily Sat 2026-02-14 12:00 UTC ID 7 B 7 d before the newest, over 5d',
        'keep weekly Sun 2026-02-15 13:00 UTC ID 7 B 0 d before the newest, kept for 6w',
        'keep labelled Thu 2026-01-01 09:30 UTC ID 7 B all are kept',
        '2 would be removed (14 B); nothing was',
        '',
      ]);
      assert.deepEqual(await stage.keys(), before_);
      const remembered = path.join(stage.environment['BACKUP_STATE_DIR'] ?? '', 'stores.json');
      assert.ok(!existsSync(remembered), 'health is told of it');
      const done = await runCommand(['prune', '--json'], { ...stage.environment, BACKUP_KEEP_DAILY: '5d' });
      const document = JSON.parse(done.stdout) as { destinations: { removed: string[] }[] };
      assert.equal(document.destinations[0]?.removed.length, 2);
      assert.ok(existsSync(remembered));
      assert.equal((await stage.keys()).length, before_.length - 4);
      assertWhole(await stage.keys());
    });

    it('leaves what is pinned alone until it is unpinned, and unpinning takes the pin alone', async () => {
      await using stage = await open();
      const environment = { ...stage.environment, BACKUP_KEEP_DAILY: '1' };
      const pinned = await put(stage.store, { days: 30 });
      await put(stage.store, { days: 20 });
      await put(stage.store, { days: 0 });
      const before_ = await stage.keys();
      const run = async (...args: readonly string[]): Promise<string> => {
        const { status, stdout, stderr } = await runCommand(args, environment);
        assert.equal(status, 0, stderr);
        return stdout;
      };
      assert.match(await run('pin', pinned.id), /^daily\/.* in .* is pinned: retention leaves it alone/);
      assert.match(await run('pin', snapshotName(pinned)), /was pinned already/);
      const keys = await stage.keys();
      assert.deepEqual(
        keys.filter((key) => !before_.includes(key)),
        [`daily/${pinned.id}.pin`],
      );
      await using app = openApp(environment);
      const [planned] = await app.prune({ ...byHand, dryRun: true });
      const verdict = planned?.plan?.verdicts.find(({ snapshot }) => snapshot.id === pinned.id);
      assert.deepEqual([verdict?.keep, verdict?.reason], [true, 'pinned']);
      const listed = JSON.parse(await run('list', '--json')) as { pinned: unknown; foreign: unknown };
      assert.deepEqual([listed.pinned, listed.foreign], [[{ tier: 'daily', id: pinned.id }], []]);
      // A run sweeps and prunes; and what is pinned verifies like any other.
      await run('run', 'daily');
      const left = await stage.keys();
      assert.deepEqual(left.filter((key) => key.includes(pinned.id)).length, 3);
      assert.deepEqual(left.filter(isManifest).length, 2, 'the pinned one and the new one');
      await app.pin({ snapshot: 'latest', from: null, instance: null, signal });
      await app.verify({ ...noKeys, snapshot: 'latest', signal });
      await app.unpin({ snapshot: 'latest', from: null, instance: null, signal });
      const repository = createRepository(stage.store);
      await assert.rejects(
        removeSnapshot(repository, {
          manifest: pinned,
          instance: 'social.example',
          now: new Date(),
          log: quietLog,
          signal,
        }),
        /has been pinned/,
        'the law looks once more',
      );
      const whole = await stage.keys();
      assert.match(await run('unpin', pinned.id), /is no longer pinned/);
      assert.deepEqual(
        whole.filter((key) => key !== `daily/${pinned.id}.pin`),
        await stage.keys(),
      );
      const [again] = await app.unpin({ snapshot: pinned.id, from: null, instance: null, signal });
      assert.equal(again?.outcome, 'not-pinned');
      await app.prune(byHand);
      assert.ok(!(await stage.keys()).some((key) => key.includes(pinned.id)));
    });

    it('takes a pin away also when its snapshot is gone, and no sweep does', async () => {
      await using stage = await open();
      const lost = await put(stage.store, { days: 30 });
      await using app = openApp(stage.environment);
      await app.pin({ snapshot: lost.id, from: null, instance: null, signal });
      for (const key of [dumpKey(lost), `daily/${lost.id}.json` as ObjectKey])
        await stage.store.remove(key, { signal });
      const result = await runCommand(['list'], stage.environment);
      assert.match(result.stdout, /there is no such snapshot/);
      const catalogue = await readCatalogue(createRepository(stage.store), { signal });
      assert.deepEqual(catalogue.orphans, []);
      const [report] = await app.unpin({ snapshot: snapshotName(lost), from: null, instance: null, signal });
      assert.equal(report?.outcome, 'unpinned');
      assert.deepEqual(await stage.keys(), []);
      await assert.rejects(app.unpin({ snapshot: lost.id, from: null, instance: null, signal }), {
        code: 'no-snapshot',
      });
    });

    it('is held while there are snapshots of another database server, until a person accepts it', async () => {
      await using stage = await open();
      const { store } = stage;
      const { database } = aManifest();
      for (const days of [1, 2, 3, 20, 30]) await put(store, { days });
      const dataAt = new Date(Date.now() - 40 * dayMs);
      await putSnapshot(store, { dataAt, database: { ...database, systemIdentifier: '7111111111111111111' } });
      const before_ = await stage.keys();
      const environment = { ...stage.environment, BACKUP_KEEP_DAILY: '7d' };
      const held = await runCommand(['prune'], environment);
      assert.equal(held.status, 0, held.stderr);
      assert.match(held.stdout, /over 7d, held/);
      assert.match(
        held.stdout,
        /HELD: there are snapshots of another database server \(system identifier 7111111111111111111, the newest is daily\/\S+; ours at \S+:\d+ is \d+\)\. .*\n +bin\/mastodon-backup prune --accept-new-server\n/,
      );
      assert.deepEqual(await stage.keys(), before_);
      const health = JSON.parse((await runCommand(['health', '--json'], environment)).stdout) as { warnings: string[] };
      assert.match(health.warnings.join(), /Retention: .*another database server/);
      const accepted = await runCommand(['prune', '--accept-new-server'], environment);
      assert.match(accepted.stdout, /3 removed/);
      // It stays accepted.
      const again = await runCommand(['prune'], environment);
      assert.doesNotMatch(again.stdout, /HELD/);
    });

    it('waits for a person before it takes half or more of a tier, and deletes nothing after a run that failed', async () => {
      await using stage = await open();
      const { store } = stage;
      for (const days of [10, 20, 30, 40, 50, 60, 70]) await put(store, { days });
      const before_ = await stage.keys();
      const environment = { ...stage.environment, BACKUP_KEEP_DAILY: '7d' };
      const broken = fixtureClient(scratch.path, { name: `broken-${name}`, script: 'exit 1' });
      const failed = await runCommand(['run'], { ...environment, BACKUP_PG_BIN: broken });
      assert.equal(failed.status, 10, failed.stderr);
      assert.deepEqual(await stage.keys(), before_, 'a failed run deletes nothing');

      const run = await runCommand(['run'], environment);
      assert.equal(run.status, 0, run.stderr);
      assert.match(run.stderr, /5 of 8 daily snapshots would go at once, half or more/);
      assert.equal((await stage.keys()).length, before_.length + 2);
      const health = JSON.parse((await runCommand(['health', '--json'], environment)).stdout) as {
        status: string;
        warnings: string[];
      };
      assert.equal(health.status, 'degraded');
      assert.match(health.warnings.join(), /Retention: .*5 of 8 daily snapshots/);
      const pruned = await runCommand(['prune'], environment);
      assert.match(pruned.stdout, /5 removed/);
      const healed = JSON.parse((await runCommand(['health', '--json'], environment)).stdout) as { status: string };
      assert.equal(healed.status, 'healthy');
    });

    it('takes the manifest before its object, and only what that manifest names and still names', async () => {
      await using stage = await open();
      const { store } = stage;
      const manifest = await put(store, { days: 1 });
      const removed: string[] = [];
      const crashing: RemovableStore = {
        ...store,
        async remove(key, how) {
          if (removed.length > 0) throw new Error('the machine is gone');
          await store.remove(key, how);
          removed.push(key);
        },
      };
      const options = { instance: 'social.example', now: new Date(), log: quietLog, signal };
      await assert.rejects(removeSnapshot(createRepository(crashing), { ...options, manifest }), /the machine is gone/);
      assert.deepEqual(removed, [`daily/${manifest.id}.json`]);
      assert.deepEqual(await stage.keys(), [dumpKey(manifest)]);

      // Judged, and then replaced by somebody: it is not what was judged.
      const judged = await put(store, { days: 2 });
      const key = `daily/${judged.id}.json` as ObjectKey;
      await store.remove(key, { signal });
      const others = { ...judged, instance: 'other.example' };
      await store.putDocument(key, encodeManifest(others), { signal });
      await assert.rejects(
        removeSnapshot(createRepository(store), { ...options, manifest: judged }),
        /no longer the manifest/,
      );
      // A manifest may name nothing but its own.
      const victim = await put(store, { days: 3 });
      const greedy = aManifest({ dataAt: new Date(Date.now() - 4 * dayMs) });
      const naming = { ...greedy, parts: victim.parts };
      await store.putDocument(`daily/${greedy.id}.json` as ObjectKey, encodeManifest(naming), { signal });
      await assert.rejects(
        removeSnapshot(createRepository(store), { ...options, manifest: naming }),
        /which is not its own/,
      );
      const left = await stage.keys();
      for (const one of [key, dumpKey(judged), dumpKey(victim), `daily/${victim.id}.json`])
        assert.ok(left.includes(one), `${one} is gone`);
    });
  });
}

describe('retention', () => {
  it("is held while our clock is more than five minutes from the store's", async () => {
    for (const [aheadMs, says] of [
      [6 * 60_000, /HELD: our clock is 6 min ahead of the store's\. .*\n +timedatectl set-ntp true\n/],
      [-6 * 60_000, /HELD: our clock is 6 min behind the store's/],
      [4 * 60_000, null],
    ] as const) {
      await using stage = await (stages['bucket'] ?? assert.fail)();
      for (const days of [1, 2, 3, 20]) await put(stage.store, { days });
      const environment = { ...stage.environment, BACKUP_KEEP_DAILY: '7d' };
      await using app = openApp(environment, { now: () => new Date(Date.now() + aheadMs) });
      const results = await app.prune(byHand);
      const text = renderPrune(results, { dryRun: false, program: 'bin/mastodon-backup' });
      if (says === null) assert.match(text, /1 removed/);
      else assert.match(text, says);
      assert.equal((await stage.keys()).length, says === null ? 6 : 8);
    }
  });

  it("is held in a directory, which has no clock, while ours is more than five minutes from the database's", async () => {
    for (const [aheadMs, says] of [
      [6 * dayMs, /HELD: our clock is 6 d ahead of the database's\. /],
      [4 * 60_000, null],
    ] as const) {
      await using stage = await (stages['directory'] ?? assert.fail)();
      for (const days of [1, 2, 3, 20]) await put(stage.store, { days });
      const environment = { ...stage.environment, BACKUP_KEEP_DAILY: '7d' };
      await using app = openApp(environment, { now: () => new Date(Date.now() + aheadMs) });
      const text = renderPrune(await app.prune(byHand), { dryRun: false, program: 'bin/mastodon-backup' });
      assert.match(text, says ?? /1 removed/);
      assert.equal((await stage.keys()).length, says === null ? 6 : 8);
    }
  });

  it('leaves what the run has just made, also of a database whose clock is weeks behind', async () => {
    await using stage = await (stages['bucket'] ?? assert.fail)();
    const aheadMs = 30 * dayMs;
    const now = (): Date => new Date(Date.now() + aheadMs);
    // Bucket and program agree; it is the database that is wrong.
    stage.s3?.rule(() => ({ kind: 'headers', headers: { date: now().toUTCString() } }));
    for (const days of [1, 2, 3, 4, 5]) await put(stage.store, { days: days - 30 });
    await using app = openApp({ ...stage.environment, BACKUP_KEEP_DAILY: '14d' }, { now });
    const purpose = { kind: 'by hand', tier: 'daily' } as const;
    const report = await app.run({ purpose, wait: false, signal, onProgress: () => undefined });
    assert.equal(report.prunedCount, 0);
    assert.ok((await stage.keys()).includes(`daily/${report.id}.json`), 'it is there');
    assert.ok(Math.abs(report.dataAt.getTime() - now().getTime()) < 600_000, report.dataAt.toISOString());
    assert.match(report.warnings.join(), /The database's clock is 30 d behind ours, by which the backup is dated/);
  });

  it('that is killed between a manifest and its object leaves no manifest without one', async () => {
    await using stage = await (stages['bucket'] ?? assert.fail)();
    const { s3 } = stage;
    assert.ok(s3 !== undefined);
    for (const days of [1, 2, 3, 20, 30]) await put(stage.store, { days });
    s3.rule(({ method, path: key }) =>
      method === 'DELETE' && key.endsWith('.dump') ? { kind: 'hang' } : { kind: 'pass' },
    );
    const environment = { ...stage.environment, BACKUP_KEEP_DAILY: '7d' };
    await using running = startCommand(['prune'], environment);
    await until('the object on its way', {
      seconds: 30,
      look: async () => s3.seen.some(({ method, path: key }) => method === 'DELETE' && key.endsWith('.dump')),
    });
    running.child.kill('SIGKILL');
    await running.result;
    s3.rule(() => ({ kind: 'pass' }));
    const keys = await stage.keys();
    assert.equal(keys.filter(isManifest).length, 4);
    assert.equal(keys.length, 4 + 5);
    assertWhole(keys);
    const listed = JSON.parse((await runCommand(['list', '--json'], environment)).stdout) as {
      snapshots: unknown[];
      damaged: unknown[];
    };
    assert.deepEqual([listed.snapshots.length, listed.damaged.length], [4, 0]);
    // The next one goes on where that one ended.
    assert.match((await runCommand(['prune'], environment)).stdout, /1 removed/);
  });

  it('keeps everything at a destination that missed the run', async () => {
    await using bucket = await (stages['bucket'] ?? assert.fail)();
    await using directory = await (stages['directory'] ?? assert.fail)();
    for (const { store } of [bucket, directory]) for (const days of [10, 11, 12, 30]) await put(store, { days });
    bucket.s3?.rule(({ method }) =>
      method === 'PUT' || method === 'POST' ? { kind: 'answer', status: 403, code: 'AccessDenied' } : { kind: 'pass' },
    );
    const kept = await bucket.keys();
    const result = await runCommand(['run', '--json'], {
      ...bucket.environment,
      BACKUP_LOCAL_DIR: directory.environment['BACKUP_LOCAL_DIR'] ?? '',
      BACKUP_KEEP_DAILY: '15d',
    });
    bucket.s3?.rule(() => ({ kind: 'pass' }));
    assert.equal(result.status, 12, result.stderr);
    assert.deepEqual(await bucket.keys(), kept);
    const names = readdirSync(path.join(directory.environment['BACKUP_LOCAL_DIR'] ?? '', 'daily'));
    assert.equal(names.filter(isManifest).length, 4, 'the one of 30 days went where the run was stored');
  });
});
