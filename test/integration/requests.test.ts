// How often a run asks its bucket: listings cost money and time, and every one more is a chance to see another state.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { folders } from '../../src/schedule/tier.ts';
import { belongsToPlace } from '../../src/snapshots/place-script.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { putSnapshot } from '../support/manifests.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe('the requests of one run', () => {
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

  /** Of each kind of request how often it came, of what it was about. */
  function counted(): { readonly listings: Map<string, number>; readonly manifests: Map<string, number> } {
    const listings = new Map<string, number>();
    const manifests = new Map<string, number>();
    const add = (to: Map<string, number>, name: string): void => void to.set(name, (to.get(name) ?? 0) + 1);
    for (const { method, path, query } of s3.seen) {
      // Whether a bucket that has no marker or script yet has one is asked in words, once a reading.
      if (method === 'GET' && query.has('list-type') && !belongsToPlace(query.get('prefix') ?? ''))
        add(listings, query.get('prefix') ?? '');
      if (method === 'GET' && path.endsWith('.json')) add(manifests, path);
    }
    return { listings, manifests };
  }

  it('are at most two listings of a tier, before and after, and each manifest once that was there', async () => {
    const environment = {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      ...s3.environment,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_KEEP_DAILY: '3',
      LOCAL_DOMAIN: 'social.example',
    };
    const days = [5, 4, 3, 2].map((day) => new Date(Date.now() - day * 86_400_000));
    for (const dataAt of days) await putSnapshot(s3.store(), { dataAt });
    await putSnapshot(s3.store(), { dataAt: new Date(Date.now() - 6 * 86_400_000), tier: 'weekly' });
    s3.seen.length = 0;
    const run = await runCommand(['run', '--json'], environment);
    assert.equal(run.status, 0, run.stderr);
    const { listings, manifests } = counted();
    assert.deepEqual([...listings.keys()].toSorted(), folders.map((folder) => `${folder}/`).toSorted());
    for (const [folder, times] of listings) assert.ok(times <= 2, `${folder} was listed ${times} times`);
    assert.equal(manifests.size, 6, 'those that were there, and the new one');
    // The new one is read back when it is written, and once more when it is listed: it may have been overwritten in between.
    const { id } = JSON.parse(run.stdout) as { readonly id: string };
    for (const [key, times] of manifests)
      assert.equal(times, key.includes(id) ? 2 : 1, `${key} was read ${times} times`);
  });
});
