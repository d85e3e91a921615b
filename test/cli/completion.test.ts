// The scripts of `completion` in the shells that they are for: what a person gets who presses Tab.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runCommand } from '../support/command.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const asks = [
  { line: 'mastodon-backup re', found: ['recovery-kit', 'restore'] },
  { line: 'mastodon-backup run ', found: ['daily', 'weekly', '--label', '--json'] },
  { line: 'mastodon-backup list --tier mon', found: ['monthly'] },
  { line: 'mastodon-backup verify --from ', found: ['s3', 'local'] },
  { line: 'mastodon-backup upgrade re', found: ['rehearse'] },
  { line: 'mastodon-backup restore --to', found: ['--to-database'] },
  { line: 'mastodon-backup completion f', found: ['fish'] },
] as const;

describe('completion', () => {
  const scratch = temporaryDirectory();
  const file = (shell: string): string => path.join(scratch.path, `completion.${shell}`);
  before(async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { status, stdout, stderr } = await runCommand(['completion', shell], {});
      assert.equal(status, 0, stderr);
      writeFileSync(file(shell), stdout);
    }
  });
  after(() => scratch[Symbol.dispose]());

  function run(command: string, args: readonly string[]): readonly string[] {
    const { status, stdout, stderr } = spawnSync(command, args, {
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, HOME: scratch.path },
    });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '');
    return stdout.split('\n').map((text) => text.replace(/\t.*/, ''));
  }
  const hasShell = (name: string): boolean => spawnSync(name, ['--version']).status === 0;

  function bash(line: string): readonly string[] {
    const words = line.split(' ');
    return run('bash', [
      '--norc',
      '-uc',
      `source ${file('bash')}; COMP_LINE=$0 COMP_POINT=\${#0} COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _mastodon_backup; printf '%s\\n' "\${COMPREPLY[@]}"`,
      line,
      ...words,
    ]);
  }

  it('in bash completes commands, options, tiers and what options take', () => {
    for (const { line, found } of asks)
      for (const word of found) assert.ok(bash(line).includes(word), `${line}: ${word}`);
    assert.deepEqual(
      bash('mastodon-backup no').filter((word) => word !== ''),
      ['notify'],
    );
  });

  it('in bash goes on behind a colon', () => {
    assert.ok(bash('mastodon-backup restore latest:we').includes('weekly'));
  });

  it('in fish completes the same', (t) => {
    if (!hasShell('fish')) return t.skip('there is no fish');
    for (const { line, found } of asks) {
      const given = run('fish', ['-c', `source ${file('fish')}; complete -C ${JSON.stringify(line)}`]);
      for (const word of found.filter((one) => !one.startsWith('--') || line.includes('--')))
        assert.ok(given.includes(word), `${line}: ${word} in ${given.join()}`);
    }
  });

  it('offers the options of the command that the line begins with, and no others', (t) => {
    const fish = (line: string): readonly string[] =>
      run('fish', ['-c', `source ${file('fish')}; complete -C ${JSON.stringify(line)}`]);
    for (const [shell, complete] of Object.entries({ bash, fish })) {
      if (!hasShell(shell)) {
        t.diagnostic(`there is no ${shell}`);
        continue;
      }
      // `run --label` is another command's.
      for (const [line, found] of [
        ['mastodon-backup upgrade run --l', false],
        ['mastodon-backup run --l', true],
      ] as const)
        assert.equal(complete(line).includes('--label'), found, `${shell}: ${line}`);
    }
  });

  it('in zsh completes the same, as its own line editor does', (t) => {
    if (!hasShell('zsh')) return t.skip('there is no zsh');
    const script = `
      zmodload zsh/zpty
      zpty it zsh -f -i
      zpty -w it "PS1=; autoload -U compinit; compinit -u -D; source ${file('zsh')}; echo rea''dy"
      zpty -r it out '*ready*'
      zpty -n -w it $'mastodon-backup rehea\\C-u'
      zpty -n -w it $'mastodon-backup upgrade reh\\t'
      zpty -r it out '*upgrade rehearse*'
      print -r -- "$out"`;
    assert.match(run('zsh', ['-fc', script]).join('\n'), /upgrade rehearse/);
  });

  it('names no action that the help of its command does not', async () => {
    for (const [command, words] of [
      ['lifecycle', ['show', 'apply']],
      ['upgrade', ['check', 'rehearse', 'run']],
      ['pitr', ['status', 'base', 'verify']],
    ] as const) {
      const { stdout } = await runCommand([command, '--help'], {});
      for (const word of words) {
        assert.match(stdout, new RegExp(`\\b${word}\\b`), `${command} ${word}`);
        assert.ok(bash(`mastodon-backup ${command} `).includes(word), `${command} ${word}`);
      }
    }
  });
});
