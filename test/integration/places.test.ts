// A destination that is not what it was: a disk that is not mounted, another one in its place, a bucket that somebody emptied. No
// first backup is made there by itself, what is missing is missed, and one command leads on.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { App } from '../../src/app/app.ts';
import { createPlaceId, markerName, writeMarker } from '../../src/snapshots/place-marker.ts';
import { readAll } from '../../src/snapshots/document-reading.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { openApp } from '../support/app.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import type { ObjectKey, RemovableStore } from '../../src/storage/store.ts';
import { startDaemon } from '../support/daemon.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const signal = AbortSignal.timeout(1_800_000);
const startedAt = new Date();
const scheduled = { tier: 'daily', slot: null, signal, onProgress: () => undefined } as const;
const byHand = {
  purpose: { kind: 'by hand', tier: 'daily' },
  wait: false,
  signal,
  onProgress: () => undefined,
} as const;

let server: PostgresServer;
let s3: S3TestServer;
const scratch = temporaryDirectory();
before(async () => {
  server = await startPostgres({ major: 15 });
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
  s3 = await startS3();
});
after(async () => {
  await s3[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  scratch[Symbol.dispose]();
});

let stages = 0;
/** A directory as destination, and a state directory of its own. */
function stage(): { readonly nas: string; readonly environment: Readonly<Record<string, string>> } {
  stages += 1;
  const root = path.join(scratch.path, String(stages));
  const nas = path.join(root, 'nas');
  mkdirSync(nas, { recursive: true });
  return {
    nas,
    environment: {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: nas,
      BACKUP_STATE_DIR: path.join(root, 'state'),
      BACKUP_COMPRESSION: 'none',
    },
  };
}

const look = async (app: App) => app.lookAround({ startedAt, signal });
const problems = async (app: App): Promise<readonly string[]> =>
  (await app.doctor(signal)).flatMap(({ check, status, detail, remedy }) =>
    check.endsWith(' place') ? [`${status}: ${detail} ${remedy}`] : [],
  );

/** Nothing is made there by itself, everybody says so, and nobody forgets what was there. */
async function assertRefused(app: App, { nas, says }: { readonly nas: string; readonly says: RegExp }): Promise<void> {
  const found = readdirSync(nas, { recursive: true });
  const { snapshots } = await look(app);
  assert.equal(snapshots?.length, 1, 'what was known is still known, so that no first backup is due');
  const health = await app.health();
  assert.equal(health.status, 'degraded');
  assert.match(health.warnings.join('\n'), says);
  assert.match((await problems(app)).join(), says);
  for (const run of [async () => app.runScheduled(scheduled), async () => app.run(byHand)])
    await assert.rejects(run, { code: 'store', reason: 'changed', message: says, hint: /run --accept-place/ });
  assert.deepEqual(readdirSync(nas, { recursive: true }), found);
}

describe('a directory that is not what it was', () => {
  it('gets no first backup where its disk is not mounted, and is itself again when it is', async () => {
    const { nas, environment } = stage();
    await using app = openApp(environment);
    await app.run(byHand);
    assert.ok(readdirSync(nas).includes(markerName));
    renameSync(nas, `${nas}.unmounted`);
    mkdirSync(nas);
    await assertRefused(app, {
      nas,
      says: /the snapshot that it was known to hold is not there, and its file .* is missing/,
    });
    const { status, stderr } = await runCommand(['run'], environment);
    assert.equal(status, 12, stderr);
    assert.match(stderr, /is not the place that it was/);
    const { stdout, status: found } = await runCommand(['doctor'], environment);
    assert.equal(found, 5, stdout);
    rmSync(nas, { recursive: true });
    renameSync(`${nas}.unmounted`, nas);
    assert.equal((await look(app)).snapshots?.length, 1);
    assert.deepEqual(await problems(app), []);
    assert.equal((await app.runScheduled(scheduled))?.outcomes[0]?.kind, 'stored');
    assert.equal((await app.health()).status, 'healthy');
  });

  it('gets none where another disk is mounted, until a person says that it is the right one', async () => {
    const { nas, environment } = stage();
    const other = stage();
    await using app = openApp(environment);
    await app.run(byHand);
    await using stranger = openApp({ ...other.environment, LOCAL_DOMAIN: 'other.example' });
    await stranger.run(byHand);
    rmSync(nas, { recursive: true });
    cpSync(other.nas, nas, { recursive: true });
    await assertRefused(app, { nas, says: /is that of another place/ });
    const { status, stdout, stderr } = await runCommand(['run', '--accept-place'], environment);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /stored in/);
    assert.deepEqual(
      [(await look(app)).snapshots?.length, (await app.health()).status, await problems(app)],
      [1, 'healthy', []],
    );
    assert.deepEqual(readFileSync(path.join(nas, markerName)), readFileSync(path.join(other.nas, markerName)));
  });

  it('is missed while the other destination takes the backup, and gets no copy of it', async () => {
    const { nas, environment } = stage();
    await using app = openApp({ ...environment, ...s3.environment, BACKUP_S3_PREFIX: 'both' });
    await app.run(byHand);
    rmSync(nas, { recursive: true });
    mkdirSync(nas);
    const report = await app.runScheduled({ ...scheduled, slot: new Date() });
    assert.deepEqual(
      report?.outcomes.map(({ kind }) => kind),
      ['stored', 'failed'],
    );
    assert.equal(await app.mend(signal), false);
    assert.deepEqual(readdirSync(nas), []);
    assert.equal((await app.health()).status, 'degraded');
    await app.run({ ...byHand, acceptPlace: true });
    assert.ok(readdirSync(nas).includes('daily'));
    assert.equal((await app.health()).status, 'healthy');
  });

  it('is marked at the next run where an earlier version has left it unmarked, and not before', async () => {
    const { nas, environment } = stage();
    {
      await using app = openApp(environment);
      await app.run(byHand);
    }
    rmSync(path.join(nas, markerName));
    const file = path.join(environment['BACKUP_STATE_DIR'] ?? '', 'stores.json');
    const text = readFileSync(file, 'utf8').replaceAll(/"(?:placeId|prefix)":[^,]*,/g, '');
    assert.doesNotMatch(text, /placeId/);
    writeFileSync(file, text);
    await using app = openApp(environment);
    await look(app);
    assert.ok(!readdirSync(nas).includes(markerName));
    await app.run(byHand);
    assert.ok(readdirSync(nas).includes(markerName));
  });
});

describe('a place that vanishes and comes back', () => {
  it('is looked at again before it is said to have lost something', async () => {
    const { environment } = stage();
    const { BACKUP_LOCAL_DIR: _none, ...others } = environment;
    await using app = openApp({ ...others, ...s3.environment, BACKUP_S3_PREFIX: 'flickering' });
    await app.run(byHand);
    let answered = 0;
    s3.rule(({ method, query }) => {
      if (method !== 'GET' || !(query.get('prefix') ?? '').endsWith('/daily/')) return { kind: 'pass' };
      answered += 1;
      const change = (text: string): string =>
        text.replace(/<Contents>.*<\/Contents>/s, '').replace(/<KeyCount>\d+/, '<KeyCount>0');
      return answered === 1 ? { kind: 'rewrite', change } : { kind: 'pass' };
    });
    const { snapshots } = await look(app);
    s3.rule(() => ({ kind: 'pass' }));
    assert.deepEqual([snapshots?.length, answered], [1, 2]);
    const { status, warnings } = await app.health();
    assert.deepEqual([status, warnings], ['healthy', []]);
  });

  it('is said to be gone, and to be there, within seconds of it', async () => {
    const { nas, environment } = stage();
    await using daemon = startDaemon(environment);
    const says = async (status: string, warning: RegExp | null): Promise<void> => {
      await until(`health is ${status}`, {
        seconds: 20,
        look: async () => {
          const health = await daemon.app.health();
          const isTold = warning === null ? health.warnings.length === 0 : warning.test(health.warnings.join());
          return health.status === status && isTold;
        },
      });
    };
    await says('healthy', null);
    renameSync(nas, `${nas}.away`);
    await says('degraded', /cannot be read: .* does not exist/);
    const page = await daemon.app.status();
    assert.match(page.destinations[0]?.error ?? '', /does not exist/);
    mkdirSync(nas);
    await says('degraded', /is not the place that it was/);
    rmSync(nas, { recursive: true });
    renameSync(`${nas}.away`, nas);
    await says('healthy', null);
  });
});

describe('a place that lacks what it was known to hold', () => {
  /** An app on a folder of the bucket, and what removes everything from there but the marker. */
  async function bucket(prefix: string): Promise<{ readonly app: App; empty: (part?: string) => Promise<void> }> {
    const { BACKUP_LOCAL_DIR: _none, ...environment } = stage().environment;
    const app = openApp({ ...environment, ...s3.environment, BACKUP_S3_PREFIX: prefix });
    const store = s3.store();
    return {
      app,
      async empty(part = '') {
        for (const key of await s3.keys())
          if (key.startsWith(`${prefix}/`) && key.includes(part)) await store.remove(key as ObjectKey, { signal });
      },
    };
  }

  it('is told of until a person says that it was meant', async () => {
    const { app, empty } = await bucket('less');
    await using _app = app;
    const { id } = await app.run(byHand);
    await app.run(byHand);
    assert.equal((await app.health()).status, 'healthy');
    await empty(id);
    await look(app);
    const { status, warnings } = await app.health();
    assert.equal(status, 'degraded');
    assert.match(warnings.join(), new RegExp(`lacks 1 snapshot that it was known to hold, daily/${id}`));
    assert.match((await problems(app)).join(), /^warning: .*lacks 1 snapshot.*prune --accept-place/);
    assert.equal((await app.runScheduled(scheduled))?.outcomes[0]?.kind, 'stored', 'it is the same place');
    assert.equal((await app.health()).status, 'degraded', 'a new backup is not the old one');
    assert.equal((await app.status()).destinations[0]?.apart['missing'], 1);
    await app.prune({ dryRun: false, acceptNewServer: false, acceptPlace: true, signal });
    assert.deepEqual([(await app.health()).status, await problems(app)], ['healthy', []]);
  });

  it('and was emptied altogether, gets a backup by itself, for its marker says which it is', async () => {
    const { app, empty } = await bucket('emptied');
    await using _app = app;
    await app.run(byHand);
    await empty();
    assert.deepEqual((await look(app)).snapshots, []);
    const { status, healthy } = await app.health();
    assert.deepEqual([status, healthy], ['late', false], 'nothing is about to begin, and nothing is there');
    assert.equal((await app.runScheduled(scheduled))?.outcomes[0]?.kind, 'stored');
    assert.equal((await app.health()).status, 'degraded');
  });

  it('is not told of what retention has removed, here or in another container', async () => {
    const { BACKUP_LOCAL_DIR: _none, ...environment } = stage().environment;
    const settings = { ...environment, ...s3.environment, BACKUP_S3_PREFIX: 'pruned', BACKUP_KEEP_DAILY: '1' };
    await using here = openApp(settings);
    await using elsewhere = openApp({ ...settings, BACKUP_STATE_DIR: path.join(scratch.path, 'elsewhere') });
    for (const one of [here, elsewhere, here]) await one.run(byHand);
    for (const one of [here, elsewhere]) {
      assert.equal((await look(one)).snapshots?.length, 1);
      assert.deepEqual([(await one.health()).warnings, await problems(one)], [[], []]);
    }
  });
});

it('a marker is removed by nobody but a person', async () => {
  const { nas, environment } = stage();
  await using app = openApp({ ...environment, BACKUP_KEEP_DAILY: '1' });
  await app.run(byHand);
  const written = readFileSync(path.join(nas, markerName));
  const longAgo = new Date(Date.now() - 90 * 86_400_000);
  utimesSync(path.join(nas, markerName), longAgo, longAgo);
  await app.run(byHand);
  await app.prune({ dryRun: false, acceptNewServer: false, signal });
  assert.deepEqual(readFileSync(path.join(nas, markerName)), written);
});

it('two that mark a bucket at the same time agree on its id, where the store heeds no If-None-Match', async () => {
  const store = s3.store({ prefix: 'twice/' });
  const [mine, other] = [createPlaceId(), createPlaceId()];
  const overtaken: RemovableStore = {
    ...store,
    putDocument: async (...args) => {
      await store.putDocument(...args);
      const written = await readAll(await store.get(args[0], { signal }));
      await s3.overwrite(args[0], Buffer.from(written.toString().replace(mine, other)));
    },
  };
  assert.equal(await writeMarker(createRepository(overtaken, { prefix: 'twice/' }), { id: mine, signal }), other);
});
