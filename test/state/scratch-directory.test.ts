// Where everybody may write, another user can have made the scratch directory before us, to change there what is restored.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, lchownSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, it } from 'node:test';
import { removeLeftovers } from '../../src/drill/scratch-leftovers.ts';
import { removeScratchArchives } from '../../src/restore/archive-file.ts';
import { createScratchName, isTrustedScratch, makeScratchDirectory } from '../../src/state/scratch-directory.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const nobody = 65_534;
let shared: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  shared = temporaryDirectory();
  chmodSync(shared.path, 0o1777);
});
afterEach(() => shared[Symbol.dispose]());

it('is made, and is ours', async () => {
  const directory = path.join(shared.path, 'scratch');
  assert.equal(await isTrustedScratch(directory), false, 'what is not there is not trusted');
  await makeScratchDirectory(directory);
  assert.equal(await isTrustedScratch(directory), true);
  await makeScratchDirectory(directory);
});

it('is refused where another user made it, or a link to a directory of ours, and what is in it is not opened', async () => {
  const theirs = path.join(shared.path, 'theirs');
  const home = path.join(theirs, 'drill-0123456789ab');
  mkdirSync(path.join(home, 'data'), { recursive: true });
  execFileSync('mkfifo', [path.join(home, 'data', 'postmaster.pid')]);
  const archive = path.join(theirs, createScratchName('dump', { stateDirectory: '/state' }));
  writeFileSync(archive, '');
  chownSync(theirs, nobody, nobody);
  const link = path.join(shared.path, 'link');
  symlinkSync(temporaryOfOurs(), link);
  lchownSync(link, nobody, nobody);
  for (const directory of [theirs, link])
    await assert.rejects(makeScratchDirectory(directory), {
      code: 'settings',
      message: /made by another user \(uid 65534\)/,
    });
  await removeLeftovers({ directory: theirs, purpose: 'drill', log: quietLog });
  await removeScratchArchives({ directory: theirs, stateDirectory: '/state', log: quietLog });
  execFileSync('ls', [archive, home]);
});

it('is cleared of what killed restores left there, and of nothing that an instance with another lock is at work with', async () => {
  const directory = temporaryOfOurs();
  const names = (['dump', 'list'] as const).flatMap((kind) => [
    createScratchName(kind, { stateDirectory: '/state' }),
    createScratchName(kind, { stateDirectory: '/var/lib/elsewhere' }),
  ]);
  for (const name of [...names, 'restore-me.list']) writeFileSync(path.join(directory, name), '');
  await removeScratchArchives({ directory, stateDirectory: '/state/', log: quietLog });
  const kept = [...names.filter((_, at) => at % 2 === 1), 'restore-me.list'];
  assert.deepEqual(readdirSync(directory).toSorted(), kept.toSorted());
});

it('is cleared also of what somebody who was not killed with it goes on writing for a moment', async () => {
  const directory = temporaryOfOurs();
  const data = path.join(directory, 'drill-0123456789ab', 'data');
  mkdirSync(data, { recursive: true });
  // For half a second, whether it can or not.
  const script = `const fs = require('node:fs'); const data = process.argv[1]; console.log('begun');
    for (let at = 0, end = Date.now() + 500; Date.now() < end; at += 1) try { fs.writeFileSync(data + '/' + at, ''); } catch {}`;
  const writer = spawn(process.execPath, ['-e', script, data], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(writer, 'exit');
  await once(writer.stdout, 'data');
  await removeLeftovers({ directory, purpose: 'drill', log: quietLog });
  await ended;
  assert.deepEqual(readdirSync(directory), []);
});

it('is taken as an administrator made it where nobody else may write', async () => {
  chmodSync(shared.path, 0o755);
  const theirs = path.join(shared.path, 'theirs');
  mkdirSync(theirs);
  chownSync(theirs, nobody, nobody);
  await makeScratchDirectory(theirs);
});

function temporaryOfOurs(): string {
  const directory = path.join(shared.path, 'ours');
  mkdirSync(directory);
  return directory;
}
