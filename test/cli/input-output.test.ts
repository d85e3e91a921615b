// What a command is given on stdin, and what becomes of what it prints.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startStage, type FaultStage } from '../faults/support.ts';
import { processVariables, runCommand, runProcess } from '../support/command.ts';
import { checkout } from '../support/documentation.ts';
import { outputOf } from '../support/output.ts';

describe('standard input and output', () => {
  let stage: FaultStage;
  let key: string;
  let environment: Readonly<Record<string, string>>;
  before(async () => {
    stage = await startStage({ megabytes: 1 });
    key = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    mkdirSync(path.join(stage.scratch, 'backups'));
    environment = {
      ...Object.fromEntries(Object.entries(stage.environment).filter(([name]) => !name.startsWith('BACKUP_S3_'))),
      SECRET_KEY_BASE: 'a'.repeat(40),
      BACKUP_LOCAL_DIR: path.join(stage.scratch, 'backups'),
      BACKUP_AGE_RECIPIENTS: /age1\w+/.exec(key)?.[0] ?? '',
    };
    const { status, stderr } = await runCommand(['run'], environment);
    assert.equal(status, 0, stderr);
  });
  after(async () => stage[Symbol.asyncDispose]());

  it('a key on standard input opens a snapshot, and lies nowhere', async () => {
    const verified = await runProcess(['verify', '--json', '--identity', '-'], environment, { input: key });
    assert.equal(verified.status, 0, verified.stderr);
    assert.equal((JSON.parse(verified.stdout) as { decoded: boolean }).decoded, true);
    const twice = await runCommand(['verify', '--identity', '-', '--identity', '-'], environment, { input: key });
    assert.equal(twice.status, 0, twice.stderr);
    const output = path.join(stage.scratch, 'plain.dump');
    const restored = await runCommand(['restore', 'latest', '--output', output, '--identity', '-'], environment, {
      input: key,
    });
    assert.equal(restored.status, 0, restored.stderr);
    assert.ok(existsSync(output));
    const empty = await runProcess(['verify', '--identity', '-'], environment, { input: '' });
    assert.equal(empty.status, 2);
    assert.match(empty.stderr, /The identity on standard input cannot be used: .*exec -T/);
    for (const { stdout, stderr } of [verified, restored, empty])
      assert.doesNotMatch(stdout + stderr, /AGE-SECRET-KEY-1/);
  });

  it('a date names a snapshot, --before the latest one before it', async () => {
    const today = new Date().toISOString().slice(0, 10);
    const args = ['--json', '--output', path.join(stage.scratch, 'dated.dump'), '--identity', '-'];
    const dated = await runCommand(['restore', today, ...args], environment, { input: key });
    assert.equal(dated.status, 0, dated.stderr);
    const none = await runCommand(['restore', '--before', '2020-01-01', ...args], environment, { input: key });
    assert.equal(none.status, 4, none.stderr);
    assert.match(none.stderr, /with data from before 2020-01-01 00:00 UTC/);
    const later = await runCommand(
      ['restore', 'latest', '--before', '2099-01-01 00:00', ...args.with(2, `${stage.scratch}/2`)],
      environment,
      { input: key },
    );
    assert.equal(later.status, 0, later.stderr);
    const slip = await runCommand(['restore', '--before', 'yesterday', ...args], environment, { input: key });
    assert.equal(slip.status, 2);
    assert.equal((await runCommand(['restore', ...args], environment)).status, 2);
  });

  // Not through S3: a shell that is waited for would keep this process, and the server in it, from answering.
  const shell = async (command: string) =>
    outputOf(
      spawn('bash', ['--norc', '-o', 'pipefail', '-c', command], {
        cwd: checkout,
        env: { ...processVariables, ...environment, BACKUP_AGE_IDENTITY: key },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );

  it('status --watch ends when nobody reads it any more, and says so of a full disk', async () => {
    const { status, stdout, stderr } = await shell('timeout 30 bin/mastodon-backup status --watch | head -n 1');
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /All is backed up/);
    const full = await shell('timeout 30 bin/mastodon-backup status --watch > /dev/full');
    assert.notEqual(full.status, 124, 'it ended by itself');
    assert.match(full.stderr, /could not be written/);
  });

  it('what cannot be printed, as on a full disk, is an error of every command', async () => {
    for (const command of [
      'list',
      'list --json',
      'config',
      'doctor',
      'health --json',
      'prune --dry-run',
      'recovery-kit',
      'verify --json',
      '--help',
      'run --json',
      'restore latest --secrets-output -',
      'restore latest --output -',
    ]) {
      const { status, stderr } = await shell(`bin/mastodon-backup ${command} > /dev/full`);
      assert.notEqual(status, 0, command);
      if (command !== 'doctor') assert.match(stderr, /ENOSPC|no space/, command);
    }
  });

  it('what nobody reads any more is no error', async () => {
    const { status, stderr } = await shell('bin/mastodon-backup config | head -c 0');
    assert.equal(status, 0, stderr);
  });
});
