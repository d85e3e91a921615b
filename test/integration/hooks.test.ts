// Programs that run beside a backup: what they are told, what they may say, and what their failing does to a run and to health.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Finding } from '../../src/doctor/finding.ts';
import type { Health } from '../../src/health/assess.ts';
import type { BackupEvent } from '../../src/notify/event.ts';
import { startStage, type FaultStage } from '../faults/support.ts';
import { runCommand, startCommand, type CommandResult } from '../support/command.ts';
import { isAlive } from '../support/processes.ts';
import { until } from '../support/until.ts';

describe('hooks', () => {
  let stage: FaultStage;
  before(async () => {
    stage = await startStage({ megabytes: 1 });
  });
  after(async () => stage[Symbol.asyncDispose]());

  const at = (name: string): string => path.join(stage.scratch, name);
  function program(name: string, script: string): string {
    writeFileSync(at(name), `#!/bin/sh\n${script}\n`);
    chmodSync(at(name), 0o755);
    return at(name);
  }
  async function run(variables: Readonly<Record<string, string>>): Promise<CommandResult> {
    return runCommand(['run', '--json'], { ...stage.environment, ...variables });
  }
  async function health(variables: Readonly<Record<string, string>>): Promise<Health> {
    return JSON.parse(
      (await runCommand(['health', '--json'], { ...stage.environment, ...variables })).stdout,
    ) as Health;
  }
  const told = (file: string): BackupEvent => JSON.parse(readFileSync(at(file), 'utf8')) as BackupEvent;
  const isRunning = (pidFile: string): boolean => isAlive(Number(readFileSync(at(pidFile), 'utf8')));

  it('are told the event before and after a backup, and see none of our secrets', async () => {
    const hooks = {
      BACKUP_HOOK_BEFORE: program(
        'before',
        `cat > ${at('before.json')}; env > ${at('before.env')}; echo getting ready`,
      ),
      BACKUP_HOOK_AFTER: program('after', `cat > ${at('after.json')}`),
      BACKUP_HOOK_FAILED: program('failed', `cat > ${at('never.json')}`),
      BACKUP_WEBHOOK_TOKEN_OF_OURS: 'hidden-0123456789',
      SECRET_KEY_BASE: 'skb-0123456789abcdef',
      HOOK_TARGET: 'maintenance-page',
    };
    const { status, stdout, stderr } = await run(hooks);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /getting ready/);
    assert.equal(told('before.json').kind, 'run-started');
    const success = told('after.json');
    assert.ok(success.kind === 'run-succeeded');
    assert.equal(success.id, (JSON.parse(stdout) as { id: string }).id);
    assert.ok(!existsSync(at('never.json')));
    const seen = readFileSync(at('before.env'), 'utf8');
    assert.match(seen, /^PATH=/m);
    assert.match(seen, /^HOOK_TARGET=maintenance-page$/m);
    assert.doesNotMatch(seen, /BACKUP_|DB_|SECRET|0123456789/);
  });

  it('that run before and fail stop the run, in their own words, and what runs after a failure hears of it', async () => {
    const hooks = {
      BACKUP_HOOK_BEFORE: program('no', 'echo "the disk array is rebuilding" >&2; exit 7'),
      BACKUP_HOOK_AFTER: program('after-no', `touch ${at('wrongly')}`),
      BACKUP_HOOK_FAILED: program('failed-no', `cat > ${at('failed.json')}`),
    };
    const listed = (await runCommand(['list', '--json'], stage.environment)).stdout;
    const result = await run(hooks);
    assert.equal(result.status, 10, result.stderr);
    assert.match(
      result.stderr,
      /^mastodon-backup: BACKUP_HOOK_BEFORE failed, so there is no backup: it ended with status 7: the disk array is rebuilding\. /m,
    );
    const failure = told('failed.json');
    assert.ok(failure.kind === 'run-failed' && failure.step === 'hook');
    assert.ok(!existsSync(at('wrongly')));
    assert.equal((await runCommand(['list', '--json'], stage.environment)).stdout, listed);
  });

  it('that cannot be started, or fail afterwards, stop no run, and show in health until they work or are taken out', async () => {
    writeFileSync(at('plain'), '#!/bin/sh\n');
    const hooks = {
      BACKUP_HOOK_BEFORE: at('nowhere'),
      BACKUP_HOOK_AFTER: program('sorry', 'exit 3'),
      BACKUP_HOOK_FAILED: 'relative/path',
    };
    const result = await run(hooks);
    assert.equal(result.status, 0, result.stderr);
    const { status, warnings } = await health(hooks);
    assert.equal(status, 'degraded');
    assert.match(warnings.join('\n'), /BACKUP_HOOK_BEFORE: '.*nowhere' could not be started: there is no such file/);
    assert.match(warnings.join('\n'), /BACKUP_HOOK_AFTER: it ended with status 3/);
    assert.match(warnings.join('\n'), /BACKUP_HOOK_FAILED.*not the absolute path of a file/);
    assert.deepEqual((await health({})).warnings, []);
    const works = { BACKUP_HOOK_BEFORE: program('nowhere', ':') };
    assert.equal((await run(works)).status, 0);
    assert.equal((await health(works)).status, 'healthy');
  });

  it('doctor looks whether they are there and can be started', async () => {
    writeFileSync(at('not-executable'), '#!/bin/sh\n');
    writeFileSync(at('no-interpreter'), '#!/usr/bin/nothing-like-it\n');
    chmodSync(at('no-interpreter'), 0o755);
    const { stdout } = await runCommand(['doctor', '--json'], {
      ...stage.environment,
      BACKUP_HOOK_BEFORE: at('not-executable'),
      BACKUP_HOOK_AFTER: at('no-interpreter'),
      BACKUP_HOOK_FAILED: program('fine', ':'),
    });
    const found = (JSON.parse(stdout) as readonly Finding[]).filter(({ check }) => check === 'hooks');
    assert.deepEqual(
      found.map(({ status }) => status),
      ['problem', 'problem', 'ok'],
    );
    assert.match(found[0]?.detail ?? '', /is not executable for uid/);
    assert.match(found[1]?.detail ?? '', /asks for \/usr\/bin\/nothing-like-it, which is not here/);
  });

  it('end with all that they have started when the run is interrupted, and what undoes them runs then too', async () => {
    const hooks = {
      BACKUP_HOOK_BEFORE: program(
        'stuck',
        `trap '' TERM; sleep 600 & echo $! > ${at('child.pid')}; echo $$ > ${at('stuck.pid')}; echo waiting >&2; wait; sleep 600`,
      ),
      BACKUP_HOOK_FAILED: program('undo', `cat > ${at('undone.json')}`),
    };
    await using running = startCommand(['run'], { ...stage.environment, ...hooks });
    await running.saw('waiting');
    running.child.kill('SIGTERM');
    const { status } = await running.result;
    assert.equal(status, 130);
    await until('the end of the hook', {
      seconds: 5,
      look: async () => !isRunning('child.pid') && !isRunning('stuck.pid'),
    });
    const undone = told('undone.json');
    assert.ok(undone.kind === 'run-failed' && undone.step === 'interrupted');
  });
});
