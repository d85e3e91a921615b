// What README.md and docs/ tell people without Docker to type, taken from there and typed into a shell. Their Docker commands are
// typed by the tests of the image, their stock commands by those of the recovery kit.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { databaseEnvironment, processVariables } from '../support/command.ts';
import { checkout, commandBlock } from '../support/documentation.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { outputOf } from '../support/output.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

// Whoever runs this test has installed already.
function block(words: string): string {
  return commandBlock(words).replace(/^npm (install|ci)\n/m, '');
}

function type(lines: string, cwd: string): string {
  return execFileSync('bash', ['-euo', 'pipefail', '-c', lines], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...processVariables, HOME: process.env['HOME'] },
  });
}

it('the commands for a checkout back up and list', async () => {
  using scratch = temporaryDirectory();
  await using server = await startPostgres({ major: 15 });
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
  mkdirSync(`${scratch.path}/backups`);
  const write = (name: string, variables: Readonly<Record<string, string>>): void => {
    const lines = Object.entries(variables).map(([key, value]) => `${key}='${value}'\n`);
    writeFileSync(path.join(scratch.path, name), lines.join(''));
  };
  write('.env.production', {
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    LOCAL_DOMAIN: 'social.example',
  });
  write('.env.backup', {
    BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
    BACKUP_STATE_DIR: `${scratch.path}/state`,
    BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
  });
  const said = type(block('bin/mastodon-backup doctor').replaceAll('/path/to', scratch.path), checkout);
  assert.match(said, /ok +database:/);
  assert.match(said, /^weekly\/\S+ .* NO +\S+ .iB$/m);
});

it('the commands for a key make one, and show its public half', () => {
  using scratch = temporaryDirectory();
  assert.match(type(block('age-keygen -o'), scratch.path), /^age1\w+$/m);
});

it('the commands for signed backups make a key, adopt what was there before, and check a signature', async () => {
  using scratch = temporaryDirectory();
  await using server = await startPostgres({ major: 15 });
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
  mkdirSync(`${scratch.path}/backups`);
  const settings = Object.entries({
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
    BACKUP_STATE_DIR: `${scratch.path}/state`,
    BACKUP_COMPRESSION: 'none',
  }).map(([name, value]) => `export ${name}='${value}'`);
  const key = `${scratch.path}/signing_key`;
  type([...settings, 'bin/mastodon-backup run'].join('\n'), checkout);
  type(block('keygen --output').replace('signing_key', key), checkout);
  const signing = [...settings, `export BACKUP_SIGNING_KEY_FILE=${key}`];
  const said = type([...signing, block('adopt --all'), 'bin/mastodon-backup list --json'].join('\n'), checkout);
  assert.match(said, /^daily\/\S+ in .*: read back, decoded to the end, signed$/m);
  const id = /"id": "([^"]+)"/.exec(said)?.[1] ?? '';
  const verify = block('< ID.json').replace('$(cat signing_key.pub)', `$(cat ${key}.pub)`);
  const checked = type(verify.replaceAll('ID.json', `${id}.json`), `${scratch.path}/backups/daily`);
  assert.match(checked, /^Good "mastodon-backup" signature for mastodon-backup/);
});

it('the commands for development show the commands, and run one test file', () => {
  assert.match(type(block('bin/mastodon-backup --help'), checkout), /^Usage: mastodon-backup/m);
  assert.match(type(block('npx node --test'), checkout), /^. fail 0$/m);
});

it('bin/mastodon-backup runs from anywhere, through a link, and prints what the command prints', async () => {
  using scratch = temporaryDirectory();
  mkdirSync(`${scratch.path}/backups`);
  const link = path.join(scratch.path, 'mastodon-backup');
  symlinkSync(path.join(checkout, 'bin/mastodon-backup'), link);
  // Without the Node of this checkout on the search path: the system's own may be older.
  const environment = {
    PATH: '/usr/bin:/bin',
    BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
    BACKUP_STATE_DIR: `${scratch.path}/state`,
  };
  const child = spawn(link, ['list', '--json'], { cwd: '/', env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const { status, stdout, stderr } = await outputOf(child);
  assert.equal(status, 0, stderr);
  assert.deepEqual((JSON.parse(stdout) as { snapshots: unknown[] }).snapshots, []);
});

it('bin/mastodon-backup hands on every variable, also one that a slip has given an odd name', async () => {
  const environment = { PATH: '/usr/bin:/bin', BACKUP_LOCAL_DIR: '/backups', 'export BACKUP_KEEP_DAILY': '3d' };
  const child = spawn(path.join(checkout, 'bin/mastodon-backup'), ['config'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { status, stderr } = await outputOf(child);
  assert.equal(status, 2, stderr);
  assert.match(stderr, /export BACKUP_KEEP_DAILY/);
});

it('bin/mastodon-backup becomes the program, so that a signal reaches it', async () => {
  using scratch = temporaryDirectory();
  mkdirSync(`${scratch.path}/backups`);
  using child = spawn(path.join(checkout, 'bin/mastodon-backup'), ['daemon'], {
    // Nobody listens there: the daemon waits for its database.
    env: {
      PATH: '/usr/bin:/bin',
      DB_HOST: '127.0.0.1',
      DB_PORT: '1',
      BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stderr.once('data', () => child.kill('SIGTERM'));
  const { status, stderr } = await outputOf(child);
  assert.notEqual(status, null, 'the shell was killed, and the program was not asked');
  assert.equal(status, 0, stderr);
});
