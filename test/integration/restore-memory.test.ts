// What indexes are built with while a restore runs: more than a server that nobody tuned gives, and nothing less than a tuned one does.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

it('a restore has 256 MB for its indexes, shared by its jobs, or what the server has if that is more', async () => {
  using scratch = temporaryDirectory();
  await using server = await startPostgres({ major: 15 });
  await server.query('alter role mastodon createdb');
  await server.createDatabase('mastodon_production');
  // It is filled by the restore's own session.
  await server.query(
    `set role mastodon; create table posts as select generate_series(1, 10) as id;
     create materialized view seen as select current_setting('maintenance_work_mem') as memory`,
    'mastodon_production',
  );
  const backups = path.join(scratch.path, 'backups');
  mkdirSync(backups);
  const settings = {
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    BACKUP_LOCAL_DIR: backups,
    BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
    BACKUP_SCRATCH_DIR: path.join(scratch.path, 'scratch'),
    BACKUP_COMPRESSION: 'none',
    LOCAL_DOMAIN: 'social.example',
  };
  const run = await runCommand(['run'], settings);
  assert.equal(run.status, 0, run.stderr);
  const memoryWith = async (name: string, jobs: string): Promise<unknown> => {
    const restored = await runCommand(['restore', 'latest', '--to-database', name, '--jobs', jobs], settings);
    assert.equal(restored.status, 0, restored.stderr);
    return (await server.query('select memory from seen', name))[0]?.['memory'];
  };
  assert.equal(await memoryWith('one', '1'), '256MB');
  assert.equal(await memoryWith('two', '2'), '128MB');
  await server.query("alter role mastodon set maintenance_work_mem = '512MB'");
  assert.equal(await memoryWith('tuned', '2'), '512MB');
});
