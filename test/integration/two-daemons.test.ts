// Two daemons of one instance on one bucket, each with a state directory of its own, as when somebody scales the Deployment to two
// or starts the old server again: they know nothing of each other, and what either makes must stay whole.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openApp } from '../support/app.ts';
import { databaseEnvironment } from '../support/command.ts';
import { startDaemon } from '../support/daemon.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const signal = AbortSignal.timeout(1_800_000);
const run = {
  purpose: { kind: 'by hand', tier: 'daily' },
  wait: false,
  signal,
  onProgress: (): void => undefined,
} as const;

describe('two daemons on one bucket', () => {
  let server: PostgresServer;
  let s3: S3TestServer;
  const scratch = temporaryDirectory();
  before(async () => {
    server = await startPostgres({ major: 15 });
    s3 = await startS3();
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
  });
  after(async () => {
    await s3[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  const environmentOf = (name: string): Readonly<Record<string, string>> => ({
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    ...s3.environment,
    LOCAL_DOMAIN: 'social.example',
    BACKUP_STATE_DIR: `${scratch.path}/${name}`,
    BACKUP_COMPRESSION: 'none',
    BACKUP_SCHEDULE_DAILY: '0 0 29 2 *',
    BACKUP_SCHEDULE_WEEKLY: 'off',
    BACKUP_SCHEDULE_MONTHLY: 'off',
    BACKUP_SCHEDULE_DRILL: 'off',
    // As eager to remove as it can be.
    BACKUP_KEEP_DAILY: '1',
  });

  /** What is in the bucket, each snapshot read back to its end, and nothing beside them. */
  const wholeSnapshots = async (): Promise<readonly string[]> => {
    await using app = openApp(environmentOf('reader'));
    const { snapshots, damaged, unreadable } = await app.list({ from: null, tier: null, signal });
    assert.deepEqual([damaged, unreadable], [[], []]);
    const ids = snapshots.map(({ id }) => id);
    for (const id of ids) {
      const chosen = { snapshot: id, from: null, instance: null, identities: [] };
      assert.ok((await app.verify({ ...chosen, signal, onProgress: () => undefined })).decoded);
    }
    const others = (await s3.keys()).filter((key) => !ids.some((id) => key.startsWith(`daily/${id}.`)));
    assert.deepEqual(others, []);
    assert.deepEqual(await s3.unfinishedUploads(), []);
    return ids;
  };

  it('both are healthy with a first backup each, or with that of the other', async () => {
    {
      await using one = startDaemon(environmentOf('one'));
      await using other = startDaemon(environmentOf('other'));
      for (const { app } of [one, other]) {
        const look = async (): Promise<boolean> => {
          const { healthy, running } = await app.health();
          // What it has to remove is removed, too.
          return healthy && running === null;
        };
        await until('a healthy one that has ended its run', { seconds: 30, look });
      }
    }
    assert.ok((await wholeSnapshots()).length > 0);
  });

  it('one sweeps, backs up and thins out while the other has stored its dump and not yet its manifest', async () => {
    await using one = openApp(environmentOf('one'));
    await using other = openApp(environmentOf('other'));
    let held: string | null = null;
    // The first dump that is read back is read slowly: for two seconds it is there without a manifest.
    s3.rule(({ method, path }) => {
      if (method !== 'GET' || !path.endsWith('.dump') || (held !== null && held !== path)) return { kind: 'pass' };
      held = path;
      return { kind: 'trickle', chunkBytes: 32 * 1024, pauseMs: 60 };
    });
    const slow = one.run(run);
    await until('a dump that is read back', { seconds: 30, look: async () => held !== null });
    // Begun later, of later data; in one second their ids sort either way.
    const [later, earlier] = await Promise.all([other.run(run), slow]);
    s3.rule(() => ({ kind: 'pass' }));
    assert.notEqual(later.id, earlier.id);
    const left = await wholeSnapshots();
    assert.ok(left.includes(later.id), `the newest of both, ${later.id}, is among ${left.join(', ')}`);
  });
});
