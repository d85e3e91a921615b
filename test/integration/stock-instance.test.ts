// The instance that Mastodon's wizard makes under Docker, in the superuser's own database `postgres` of a server that every server has
// too: through a backup, a look into it, a comparison, a fresh server, an upgrade and the way back.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { countRows } from '../support/mastodon-data.ts';
import { createMastodonVariant } from '../support/mastodon-variants.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const name = 'postgres';

describe('the stock instance under Docker', () => {
  let old: PostgresServer;
  let next: PostgresServer;
  const scratch = temporaryDirectory();
  before(async () => {
    [old, next] = await Promise.all([
      startPostgres({ major: 14, keepsSession: false }),
      startPostgres({ major: 15, keepsSession: false }),
    ]);
    await createMastodonVariant(old, { name, variant: 'wizard', megabytes: 1 });
    mkdirSync(`${scratch.path}/backups`);
    // A drill's server runs as another user.
    chmodSync(scratch.path, 0o755);
  });
  after(async () => {
    await old[Symbol.asyncDispose]();
    await next[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  async function onServer(server: PostgresServer, args: readonly string[], status = 0): Promise<string> {
    const result = await runCommand(args, {
      ...databaseEnvironment(server.superuser(name)),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_COMPRESSION: 'none',
    });
    assert.equal(result.status, status, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
    return result.stdout;
  }
  const rows = async (server: PostgresServer): Promise<unknown> => countRows(server.superuser(name));

  it('is backed up, looked into and compared, and has a kit that moves the other postgres aside', async () => {
    await onServer(old, ['run']);
    const [accounts] = await old.query('select count(*) as n from accounts', name);
    const opened = await onServer(old, ['open', '--format', 'csv', '--', 'select count(*) as n from accounts']);
    assert.equal(opened.trim(), `n\n${String(accounts?.['n'])}`);
    assert.match(await onServer(old, ['compare']), /^34 tables have as many rows as in the snapshot\.$/m);
    assert.match(await onServer(old, ['recovery-kit']), /alter database postgres rename to postgres_before/);
  });

  it('comes back on a fresh server, whose own postgres is empty', async () => {
    await using fresh = await startPostgres({ major: 14, keepsSession: false });
    await onServer(fresh, ['restore', 'latest', '--to-database', name]);
    assert.deepEqual(await rows(fresh), await rows(old));
  });

  it('comes back beside a postgres with tables, which is kept', async () => {
    await using used = await startPostgres({ major: 14, keepsSession: false });
    await used.query('create table precious ()', name);
    await onServer(used, ['restore', 'latest', '--to-database', name], 20);
    await onServer(used, ['restore', 'latest', '--to-database', name, '--replace']);
    assert.deepEqual(await rows(used), await rows(old));
    const kept = await used.query(
      "select datname from pg_database where datname like 'postgres_before_%'",
      'template1',
    );
    assert.equal(kept.length, 1);
  });

  it('moves to a newer server and back again', async () => {
    const to = `127.0.0.1:${next.port}`;
    const check = await onServer(old, ['upgrade', 'check']);
    assert.doesNotMatch(check, /POSTGRES_USER/, 'the image has its own superuser');
    await onServer(old, ['upgrade', 'check', '--to', to]);
    await onServer(old, ['upgrade', 'rehearse', '--to', to]);
    const before_ = await rows(old);
    const said = await onServer(old, ['upgrade', 'run', '--to', to]);
    assert.match(said, new RegExp(`To go back[^\n]*\n  DB_PORT=${old.port}\n`));
    assert.deepEqual(await rows(next), before_);
    assert.deepEqual(await rows(old), before_);
    await onServer(next, ['run']);
    await onServer(next, ['prune', '--accept-new-server']);
    await onServer(old, ['run']);
    assert.deepEqual(await rows(old), before_);
  });
});
