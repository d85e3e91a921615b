// An upgrade where backups go to two places that others share: the last dump is restored from where it is.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { it } from 'node:test';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { countRows, createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { startS3 } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const name = 'mastodon_production';

it('an upgrade restores its last dump from the destination that took it, beside the backups of another instance', async () => {
  await using old = await startPostgres({ major: 14 });
  await using next = await startPostgres({ major: 15 });
  await using s3 = await startS3();
  using scratch = temporaryDirectory();
  await createMastodonDatabase(old, { name, megabytes: 1 });
  await next.query('alter role mastodon createdb');
  const backups = `${scratch.path}/backups`;
  mkdirSync(backups);
  const environment = {
    ...databaseEnvironment(old.mastodon(name)),
    ...s3.environment,
    BACKUP_LOCAL_DIR: backups,
    BACKUP_STATE_DIR: `${scratch.path}/state`,
    BACKUP_COMPRESSION: 'none',
    LOCAL_DOMAIN: 'social.example',
  };
  const others = { LOCAL_DOMAIN: 'other.example', BACKUP_STATE_DIR: `${scratch.path}/others` };
  const other = await runCommand(['run'], { ...environment, ...others });
  assert.equal(other.status, 0, other.stderr);
  s3.rule(({ method, path }) =>
    ['PUT', 'POST'].includes(method) && path.includes('/labelled/')
      ? { kind: 'answer', status: 403, code: 'AccessDenied' }
      : { kind: 'pass' },
  );
  const upgrade = async (): Promise<string> => {
    const { status, stderr } = await runCommand(['upgrade', 'run', '--to', `127.0.0.1:${next.port}`], environment);
    assert.equal(status, 0, stderr);
    return stderr;
  };
  await upgrade();
  assert.deepEqual(await countRows(next.mastodon(name)), await countRows(old.mastodon(name)));
  assert.match(await upgrade(), /Nobody has written since the last dump, which is taken/);
  assert.equal(readdirSync(`${backups}/labelled`).filter((file) => file.endsWith('.json')).length, 1);
});
