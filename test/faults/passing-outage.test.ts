// A database server that is away for a moment, as when it is restarted: what was begun there fails, and nothing of it stays.

import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { openDatabaseDoor } from '../support/database-door.ts';
import { databaseEnvironment, runCommand, startCommand } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

describe('a server that is away for a moment', () => {
  for (const user of ['mastodon', 'postgres']) {
    it(`has neither a database nor a role left of the restore of ${user} that it broke`, async () => {
      using scratch = temporaryDirectory();
      using backups = temporaryDirectory();
      await using server = await startPostgres({ major: 15 });
      await using line = await openDatabaseDoor(server.port);
      await server.query('alter role mastodon createdb');
      await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 6 });
      const environment = {
        ...databaseEnvironment({ ...server.mastodon('mastodon_production'), user, port: line.port }),
        LOCAL_DOMAIN: 'social.example',
        BACKUP_LOCAL_DIR: backups.path,
        BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
        BACKUP_SCRATCH_DIR: path.join(scratch.path, 'scratch'),
        BACKUP_COMPRESSION: 'none',
      };
      const run = await runCommand(['run'], environment);
      assert.equal(run.status, 0, run.stderr);

      await using restoring = startCommand(['restore', 'latest', '--to-database', 'wanted'], environment);
      const filling = "select from pg_stat_activity where datname like 'wanted%' and query ~ '^(COPY|CREATE)'";
      await until('a restore that fills its database', {
        seconds: 15,
        look: async () => (await server.query(filling)).length > 0,
      });
      line.set('refusing');
      line.reset();
      setTimeout(() => line.set('open'), 1_500);
      const result = await restoring.result;
      assert.equal(result.status, 20, result.stderr);
      const left = await server.query(
        `select datname as name from pg_database where datname like 'wanted%'
          union all select rolname from pg_roles where rolname like 'mastodon_backup%'`,
      );
      assert.deepEqual(left, []);
    });
  }
});
