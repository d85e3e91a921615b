// What README.md and docs/ tell an administrator to type, typed in its order into a directory with Mastodon's compose file. The
// text is taken from there; replaced is only what stands there for the reader's own values.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseSigningKey } from '../../src/config/signing-keys.ts';
import { commandBlock } from '../support/documentation.ts';
import { outputOf } from '../support/output.ts';
import { createProject, image, secretKey, startGround, type MastodonProject } from './support/mastodon-project.ts';

// The block that has these words, as it is typed without a terminal and without sudo.
function block(words: string): string {
  return commandBlock(words)
    .replaceAll('sudo ', '')
    .replaceAll('docker compose exec backup', 'docker compose exec -T backup')
    .replaceAll('docker compose run --rm', 'docker compose run --rm -T')
    .replaceAll('THE SECRET ACCESS KEY', secretKey)
    .replaceAll('docker run --rm mastodon-postgres-backup', `docker run --rm ${image}`)
    .replaceAll('docker-compose.yml:compose.example.yml', 'docker-compose.yml:compose.example.yml:compose.test.yml');
}

describe('the commands of the documentation', () => {
  let project: MastodonProject;
  before(async () => {
    const key = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    project = createProject({
      backupEnvironment: {
        BACKUP_AGE_RECIPIENTS: /age1\w+/.exec(key)?.[0] ?? '',
        BACKUP_AGE_IDENTITY: /AGE-SECRET-KEY-\w+/.exec(key)?.[0] ?? '',
        BACKUP_COMPRESSION_LEVEL: '1',
      },
    });
    rmSync(path.join(project.directory, 'backup-secrets'), { recursive: true });
    // The ground is started before there is a secret: its services need none.
    await startGround(project, { megabytes: 4 });
  });
  after(async () => project[Symbol.asyncDispose]());

  const type = async (lines: string): Promise<string> => {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', lines], {
      cwd: project.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { status, stdout, stderr } = await outputOf(child);
    assert.equal(status, 0, `${lines}\n${stdout}${stderr}`);
    return stdout;
  };

  it('name a Dockerfile that is there', () => {
    const [, file = ''] = /-f (\S+) \.$/m.exec(block('docker build')) ?? [];
    assert.ok(existsSync(new URL(`../../${file}`, import.meta.url)), file);
  });

  it('lead from nothing to the first verified backup', async () => {
    await type(block('/dev/stdin backup-secrets'));
    const secret = statSync(path.join(project.directory, 'backup-secrets/s3_secret_access_key'));
    assert.deepEqual([secret.uid, secret.mode & 0o777], [10_001, 0o400]);
    const signing = readFileSync(path.join(project.directory, 'backup-secrets/signing_key'), 'utf8');
    assert.equal(parseSigningKey(signing).publicKey.comment, 'mastodon-backup');
    assert.match(await type(block('COMPOSE_FILE=')), /weekly\/\S+/);
  });

  it('take, check and thin out backups by hand', async () => {
    const said = await type(block('--label before-upgrade'));
    assert.match(said, /labelled\/\S+: .* dumped/);
    assert.match(said, /hash right, decoded to the end/);
  });

  it('write the settings, the plain archive and the recovery kit to files', async () => {
    await type(block('--secrets-output -'));
    await type(block('> kit.html'));
    const file = (name: string): string => readFileSync(path.join(project.directory, name), 'latin1');
    assert.match(file('env'), /SECRET_KEY_BASE=/);
    assert.ok(file('mastodon.dump').startsWith('PGDMP'));
    assert.match(file('kit.html'), /<html/);
  });

  it('show what has changed since the backup', async () => {
    await project.query('create table a_new_one (); alter table a_new_one owner to mastodon', 'mastodon_production');
    assert.match(await type(block('mastodon-backup compare latest')), /no table +0 +0 +public\.a_new_one\n/);
  });

  it('restore the database after it was lost', async () => {
    const count = 'select count(*) from statuses';
    const expected = await project.query(count, 'mastodon_production');
    await project.query('drop database mastodon_production with (force)');
    const said = await type(block('--to-database mastodon_production'));
    assert.match(said, /tootctl feeds build/);
    assert.deepEqual(await project.query(count, 'mastodon_production'), expected);
  });
});
