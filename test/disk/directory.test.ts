// Directories are made as `mkdir -p` makes them, and where none can be made that is said at once.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { makeDirectory } from '../../src/disk/directory.ts';
import { runProcess } from '../support/command.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

it('makes a directory with those above it, and says which was the first', async () => {
  using folder = temporaryDirectory();
  const wanted = path.join(folder.path, 'a', 'b', 'c');
  assert.equal(await makeDirectory(wanted, { mode: 0o700 }), path.join(folder.path, 'a'));
  assert.equal(statSync(wanted).mode & 0o777, 0o700);
  assert.equal(await makeDirectory(wanted), undefined);
  assert.equal(await makeDirectory(path.join(wanted, 'd')), path.join(wanted, 'd'));
});

it('makes what several want at once, for each of them', async () => {
  using folder = temporaryDirectory();
  const wanted = Array.from({ length: 50 }, (_, at) => path.join(folder.path, 'a', 'b', 'c', String(at % 5)));
  await Promise.all(wanted.map(async (one) => makeDirectory(one)));
  for (const one of wanted) assert.ok(statSync(one).isDirectory());
});

it('makes none that was to be there already, nor one above it', async () => {
  using folder = temporaryDirectory();
  const mount = path.join(folder.path, 'nas', 'mount');
  await assert.rejects(makeDirectory(path.join(mount, 'pitr', 'wal'), { below: mount }), { code: 'ENOENT' });
  await assert.rejects(makeDirectory(path.join(mount, 'daily'), { below: mount }), { code: 'ENOENT' });
  assert.deepEqual(readdirSync(folder.path), []);
  await makeDirectory(mount);
  assert.equal(await makeDirectory(path.join(mount, 'pitr', 'wal'), { below: mount }), path.join(mount, 'pitr'));
});

it('is told that a file stands in the way', async () => {
  using folder = temporaryDirectory();
  mkdirSync(path.join(folder.path, 'a'));
  writeFileSync(path.join(folder.path, 'a', 'file'), '');
  await assert.rejects(makeDirectory(path.join(folder.path, 'a', 'file')), { code: 'ENOTDIR' });
  await assert.rejects(makeDirectory(path.join(folder.path, 'a', 'file', 'b')), { code: 'ENOTDIR' });
});

it('is told of a link that leads nowhere, or back to itself, and follows one that leads to a directory', async () => {
  using folder = temporaryDirectory();
  const link = (name: string, target: string): string => {
    symlinkSync(target, path.join(folder.path, name));
    return path.join(folder.path, name);
  };
  await assert.rejects(makeDirectory(link('nowhere', 'missing')), { code: 'ENOENT' });
  await assert.rejects(makeDirectory(link('loop', 'loop')), { code: 'ELOOP' });
  assert.equal(await makeDirectory(link('there', folder.path)), undefined);
});

it('ends where a directory is there and none can be made in it', async () => {
  for (const place of ['/proc/nowhere', '/proc/nowhere/deep', '/sys/nowhere'])
    await assert.rejects(makeDirectory(place), /E(?:NOENT|PERM|ACCES|ROFS)/, place);
});

it('is asked for in /proc by no setting without an answer', async () => {
  using folder = temporaryDirectory();
  const environment = {
    BACKUP_LOCAL_DIR: folder.path,
    BACKUP_STATE_DIR: path.join(folder.path, 'state'),
    DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none',
  };
  const nowhere = { ...environment, TMPDIR: folder.path, BACKUP_STATE_DIR: '/proc/nowhere' };
  const listed = await runProcess(['list'], { ...environment, BACKUP_LOCAL_DIR: '/proc/nowhere' });
  assert.match(listed.stderr, /The directory '\/proc\/nowhere' does not exist/);
  for (const changed of [nowhere, { ...environment, BACKUP_SCRATCH_DIR: '/proc/nowhere' }]) {
    // The database cannot be reached, which is as far as it gets.
    const { status, stderr } = await runProcess(['run'], changed);
    assert.equal(status, 10, stderr);
  }
});
