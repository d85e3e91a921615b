// What becomes of a backup after it was committed, and whether reading it back tells: a flipped bit, a shorter object, a
// key that is not its own.

import assert from 'node:assert/strict';
import { execSync } from 'node:child_process';
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { dumpKey, manifestFrom } from '../support/manifests.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe('a committed backup', () => {
  let server: PostgresServer;
  const scratch = temporaryDirectory();
  before(async () => {
    server = await startPostgres({ major: 15 });
    await server.createDatabase('small');
    await server.query('create table things as select g, md5(g::text) from generate_series(1, 20000) g', 'small');
    await server.query('alter table things owner to mastodon', 'small');
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  function newKey(name: string): { readonly identity: string; readonly recipient: string } {
    const identity = path.join(scratch.path, name);
    execSync(`age-keygen -o ${identity} 2>/dev/null`);
    return { identity, recipient: execSync(`age-keygen -y ${identity}`).toString().trim() };
  }

  async function backUp(
    more: Readonly<Record<string, string>>,
  ): Promise<{ readonly environment: Record<string, string>; readonly object: string } & Disposable> {
    const folder = temporaryDirectory();
    const environment = {
      ...databaseEnvironment(server.mastodon('small')),
      BACKUP_LOCAL_DIR: folder.path,
      BACKUP_STATE_DIR: path.join(scratch.path, `state-${path.basename(folder.path)}`),
      ...more,
    };
    const run = await runCommand(['run'], environment);
    assert.equal(run.status, 0, run.stderr);
    const listed = await runCommand(['list', '--json'], environment);
    const [manifest] = (JSON.parse(listed.stdout) as { snapshots: unknown[] }).snapshots.map(manifestFrom);
    assert.ok(manifest);
    return {
      environment,
      object: path.join(folder.path, dumpKey(manifest)),
      [Symbol.dispose]: () => folder[Symbol.dispose](),
    };
  }

  for (const [what, settings] of [
    ['plain', { BACKUP_COMPRESSION: 'none' }],
    ['xz', { BACKUP_COMPRESSION: 'xz', BACKUP_COMPRESSION_LEVEL: '1' }],
    ['zstd', { BACKUP_COMPRESSION: 'zstd', BACKUP_COMPRESSION_LEVEL: '3' }],
    ['encrypted', { BACKUP_AGE_RECIPIENTS: 'made below' }],
  ] as const) {
    it(`fails with the hash after a flipped bit, wherever it is (${what})`, async () => {
      const key = what === 'encrypted' ? newKey('flipped') : undefined;
      using backup = await backUp({
        ...settings,
        ...(key === undefined ? {} : { BACKUP_AGE_RECIPIENTS: key.recipient }),
      });
      const whole = readFileSync(backup.object);
      for (const at of [0, 200, Math.floor(whole.length / 2), whole.length - 1]) {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] ?? 0) ^ 1;
        writeFileSync(backup.object, damaged);
        const args = key === undefined ? [] : ['--identity', key.identity];
        const result = await runCommand(['verify', 'latest', ...args], backup.environment);
        assert.equal(result.status, 13, `${at}: ${result.stderr}`);
        assert.match(result.stderr, /its SHA-256 differs from what was written/);
      }
    });
  }

  it('is damaged when its object is shorter', async () => {
    using backup = await backUp({});
    truncateSync(backup.object, readFileSync(backup.object).length - 1);
    const { status, stderr } = await runCommand(['verify'], backup.environment);
    assert.equal(status, 4, stderr);
    const id = path.basename(backup.object).split('.')[0] ?? '';
    for (const name of [id, `daily/${id}`]) {
      const named = await runCommand(['verify', name], backup.environment);
      assert.equal(named.status, 13, 'as where a bit is another: what was named is there, and is not whole');
      assert.match(named.stderr, /is damaged: its object has \d+ bytes instead of/);
    }
    const listed = await runCommand(['list'], backup.environment);
    assert.equal(listed.status, 0);
    assert.match(listed.stdout, /Damaged, count for nothing:\n.* bytes instead of /);
    rmSync(backup.object);
    assert.equal((await runCommand(['verify', id], backup.environment)).status, 13, 'and where it is missing');
  });

  it('is passed over by all who ask for the latest, and all say so', async () => {
    using backup = await backUp({});
    const second = await runCommand(['run', 'weekly', '--json'], backup.environment);
    assert.equal(second.status, 0, second.stderr);
    const { id } = JSON.parse(second.stdout) as { id: string };
    truncateSync(path.join(path.dirname(path.dirname(backup.object)), 'weekly', `${id}.dump.xz`), 1_000);
    const said = new RegExp(
      `newer snapshot, weekly/${id}, was passed over: it is damaged: its object has 1000 bytes instead of`,
    );
    const output = path.join(scratch.path, 'passed-over.dump');
    const scratchSettings = { BACKUP_SCRATCH_DIR: path.join(scratch.path, 'drill') };
    const commands = [['verify'], ['restore', 'latest', '--output', output], ['drill'], ['recovery-kit']] as const;
    for (const command of commands) {
      const result = await runCommand(command, { ...backup.environment, ...scratchSettings });
      // Whether a drill can be carried out depends on the servers of this machine.
      if (command[0] !== 'drill') assert.equal(result.status, 0, result.stderr);
      assert.match(result.stderr, said, command[0]);
      assert.ok(!result.stdout.includes(id), result.stdout);
    }
  });

  it('is not called bad because of a key that is not its own', async () => {
    const own = newKey('own');
    const other = newKey('other');
    using backup = await backUp({ BACKUP_AGE_RECIPIENTS: own.recipient });
    const result = await runCommand(['verify', 'latest', '--identity', other.identity], backup.environment);
    assert.equal(result.status, 2);
    assert.match(result.stderr, /unchanged, but was encrypted for other keys.*--identity/);
    const right = await runCommand(['verify', 'latest', '--identity', own.identity], backup.environment);
    assert.equal(right.status, 0, right.stderr);
  });
});
