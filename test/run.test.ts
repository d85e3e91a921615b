// Files that share a process: each has its hooks to itself, and what fails in one is named and fails the run.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { it } from 'node:test';
import { outputOf } from './support/output.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const [untracked, runner] = ['support/untracked.ts', 'run.ts'].map((file) =>
  fileURLToPath(new URL(file, import.meta.url)),
);

async function runFiles(
  files: Readonly<Record<string, string>>,
): Promise<{ readonly status: number | null; readonly stdout: string }> {
  using scratch = temporaryDirectory();
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(scratch.path, name), text);
  const child = spawn(process.execPath, [`--import=${untracked}`, runner ?? '', '*.test.mjs'], {
    cwd: scratch.path,
    env: {},
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return await outputOf(child);
}

it('runs every file once, with its own hooks around it', async () => {
  const file = (name: string): string =>
    `import { after, before, describe, it } from 'node:test';
     import { setTimeout as sleep } from 'node:timers/promises';
     const seen = [];
     before(async () => { await sleep(20); seen.push('before'); });
     after(() => { seen.push('after'); console.log('${name}:' + seen.join()); });
     it('first', async () => { await sleep(20); seen.push('first'); });
     describe('inner', () => { before(() => seen.push('inner')); it('second', () => seen.push('second')); });`;
  const names = Array.from({ length: 12 }, (_, at) => `file${at}`);
  const { status, stdout } = await runFiles(Object.fromEntries(names.map((name) => [`${name}.test.mjs`, file(name)])));
  assert.equal(status, 0, stdout);
  for (const name of names) assert.equal(stdout.split(`${name}:before,first,inner,second,after`).length, 2, name);
  assert.match(stdout, /\nℹ suites 24\n[^]*\nℹ fail 0\n/);
});

it('names a test that fails, a file that cannot be loaded, one in which nobody heard an error, and one that changes the environment', async () => {
  const { status, stdout } = await runFiles({
    'one.test.mjs': `import { it } from 'node:test';\nit('is well', () => undefined);\nit('is not', () => { throw new Error('because'); });`,
    'two.test.mjs': `throw new Error('at import')`,
    'three.test.mjs': `import { it } from 'node:test';
      it('is over', () => void Promise.resolve().then(() => Promise.reject(new Error('unheard'))));
      it('waits', () => new Promise((resolve) => { setTimeout(resolve, 100); }));`,
    'four.test.mjs': `import { it } from 'node:test'; it('changes', () => { process.env.TZ = 'Asia/Tokyo'; });`,
  });
  assert.equal(status, 1);
  assert.match(stdout, /\nFailed:\n/);
  assert.match(stdout, /\n✖ one\.test\.mjs:3:1 is not\n/);
  assert.match(stdout, /✖ two\.test\.mjs [^]*at import[^]*\n✖ \S+lane\.ts:\d+:\d+ is loaded\n/);
  assert.match(stdout, /✖ three\.test\.mjs leaves nothing .*\n {2}Error: unheard\n {6}at .*three\.test\.mjs:/);
  assert.match(stdout, /\n✖ \S+lane\.ts:\d+:\d+ three\.test\.mjs leaves nothing .*\n/);
  assert.match(stdout, /\n✖ \S+lane\.ts:\d+:\d+ four\.test\.mjs leaves nothing .*\n/);
  assert.match(stdout, /\nℹ fail 4\n/);
});

it('fails where no file has the name', async () => {
  const { status } = await runFiles({});
  assert.equal(status, 1);
});
