// Where everybody may write, another user can have made the scratch directory before us, to change there what is restored.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, lchownSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, it } from 'node:test';
import { removeLeftovers } from '../../src/drill/scratch-leftovers.ts';
import { removeScratchArchives } from '../../src/restore/archive-file.ts';
import {
  createScratchName,
  isTrustedScratch,
  makeScratchDirectory,
  ownerInScratch,
} from '../../src/state/scratch-directory.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const nobody = 65_534;
/** Whose what is there is. */
const ours = { scratchOwner: ownerInScratch('social.example', { stateDirectory: '/state/' }) };
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
  const home = path.join(theirs, createScratchName('drill', ours));
  mkdirSync(path.join(home, 'data'), { recursive: true });
  execFileSync('mkfifo', [path.join(home, 'data', 'postmaster.pid')]);
  const archive = path.join(theirs, createScratchName('dump', ours));
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
  await removeLeftovers({ ...ours, scratchDirectory: theirs, purpose: 'drill', log: quietLog });
  await removeScratchArchives({ ...ours, directory: theirs, log: quietLog });
  execFileSync('ls', [archive, home]);
});

it('is cleared of what the killed left there, each kind alone, and of nothing that another instance, or one with other locks, is at work with', async () => {
  const directory = temporaryOfOurs();
  const others = [
    { scratchOwner: ownerInScratch('social.example', { stateDirectory: '/var/lib/elsewhere' }) },
    { scratchOwner: ownerInScratch('other.example', { stateDirectory: '/state' }) },
  ];
  const files = (['dump', 'list'] as const).map((kind) => createScratchName(kind, ours));
  const purposes = ['drill', 'open', 'replay-restore', 'replay-drill'] as const;
  const homes = purposes.map((purpose) => createScratchName(purpose, ours));
  const kept = [
    ...others.flatMap((other) =>
      (['dump', 'list', ...purposes] as const).map((kind) => createScratchName(kind, other)),
    ),
    'restore-me.list',
    'drill-notes',
    'open-0123456789ab',
  ];
  for (const name of [...files, ...homes, ...kept]) {
    if (/\.(?:dump|list)$/.test(name)) writeFileSync(path.join(directory, name), '');
    else mkdirSync(path.join(directory, name));
  }
  const left = (): readonly string[] => readdirSync(directory).toSorted();
  const sorted = (...names: readonly string[]): readonly string[] => names.toSorted();
  await removeScratchArchives({ ...ours, directory, log: quietLog });
  assert.deepEqual(left(), sorted(...homes, ...kept));
  for (const [at, purpose] of purposes.entries()) {
    await removeLeftovers({ ...ours, scratchDirectory: directory, purpose, log: quietLog });
    assert.deepEqual(left(), sorted(...homes.slice(at + 1), ...kept), purpose);
  }
});

it('is cleared also of what somebody who was not killed with it goes on writing for a moment', async () => {
  const directory = temporaryOfOurs();
  const data = path.join(directory, createScratchName('drill', ours), 'data');
  mkdirSync(data, { recursive: true });
  // For half a second, whether it can or not.
  const script = `const fs = require('node:fs'); const data = process.argv[1]; console.log('begun');
    for (let at = 0, end = Date.now() + 500; Date.now() < end; at += 1) try { fs.writeFileSync(data + '/' + at, ''); } catch {}`;
  const writer = spawn(process.execPath, ['-e', script, data], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(writer, 'exit');
  await once(writer.stdout, 'data');
  await removeLeftovers({ ...ours, scratchDirectory: directory, purpose: 'drill', log: quietLog });
  await ended;
  assert.deepEqual(readdirSync(directory), []);
});

it('has nobody end a server, or wait, for whom another user has laid something into it where everybody may write', async () => {
  using elsewhere = temporaryDirectory();
  const production = path.join(elsewhere.path, 'data');
  mkdirSync(production);
  const server = spawn('sleep', ['60'], { cwd: production });
  const ended = once(server, 'exit');
  writeFileSync(path.join(production, 'postmaster.pid'), `${server.pid}\n`);
  const homeOf = (): string => path.join(shared.path, createScratchName('drill', ours));
  const [link, theirs, withLink, withPipe] = [homeOf(), homeOf(), homeOf(), homeOf()];
  symlinkSync(elsewhere.path, link);
  for (const home of [theirs, withLink]) {
    mkdirSync(home);
    symlinkSync(production, path.join(home, 'data'));
  }
  mkdirSync(path.join(withPipe, 'data'), { recursive: true });
  execFileSync('mkfifo', [path.join(withPipe, 'data', 'postmaster.pid')]);
  chownSync(theirs, nobody + 1, nobody + 1);
  for (const home of [withLink, withPipe]) chownSync(home, nobody, nobody);
  await removeLeftovers({ ...ours, scratchDirectory: shared.path, purpose: 'drill', log: quietLog });
  assert.equal(server.exitCode ?? server.signalCode, null, 'it runs on');
  assert.deepEqual(
    readdirSync(shared.path).toSorted(),
    [link, theirs].map((home) => path.basename(home)).toSorted(),
    'what others put there stays',
  );
  server.kill();
  await ended;
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
