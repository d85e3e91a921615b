// What a failed run of the tests ends with: names, then totals. A log that ended in a brace once told nobody which test it was.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { it } from 'node:test';
import { outputOf } from './support/output.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const reporter = fileURLToPath(new URL('support/closing-reporter.ts', import.meta.url));

const untracked = fileURLToPath(new URL('support/untracked.ts', import.meta.url));

it('an error that comes after its test has ended fails the file', async () => {
  using scratch = temporaryDirectory();
  writeFileSync(
    path.join(scratch.path, 'late.test.mjs'),
    `import { it } from 'node:test';
     it('is over', () => { setTimeout(() => { throw new Error('too late'); }, 50); });`,
  );
  const args = [`--import=${untracked}`, '--test', `--test-reporter=${reporter}`, 'late.test.mjs'];
  const child = spawn(process.execPath, args, { cwd: scratch.path, env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
  const { status, stdout } = await outputOf(child);
  assert.equal(status, 1);
  assert.match(stdout, /✔ is over[^]*too late[^]*\nFailed:\n✖ late\.test\.mjs:1:1 late\.test\.mjs\n\nℹ tests 2\n/);
});

it('a run of tests names at its end what failed, and has the totals as its last lines', async () => {
  using scratch = temporaryDirectory();
  const write = (name: string, text: string): void => writeFileSync(path.join(scratch.path, name), text);
  write(
    'one.test.mjs',
    `import { describe, it } from 'node:test';
     describe('a suite', () => {
       it('is well', () => undefined);
       it('is not well', () => { throw Object.assign(new Error('because'), { actual: {}, expected: {} }); });
     });`,
  );
  write('two.test.mjs', `throw new Error('at import')`);
  const args = ['--test', `--test-reporter=${reporter}`, 'one.test.mjs', 'two.test.mjs'];
  const child = spawn(process.execPath, args, { cwd: scratch.path, env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
  const { status, stdout } = await outputOf(child);
  assert.equal(status, 1);
  assert.match(stdout, /✔ is well[^]*✖ failing tests:[^]*because/);
  assert.match(
    stdout,
    /\nFailed:\n✖ one\.test\.mjs:4:\d+ is not well\n✖ two\.test\.mjs:1:1 two\.test\.mjs\n\nℹ tests 3\nℹ suites 1\nℹ pass 1\nℹ fail 2\n(ℹ \w+ 0\n){3}ℹ duration_ms [\d.]+\n$/,
  );
});
