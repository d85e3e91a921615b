// The administrator's own files beside each backup: encrypted, given back by this program and by stock tools, and no reason to have
// no backup when one is missing.

import assert from 'node:assert/strict';
import { execFileSync, execSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Finding } from '../../src/doctor/finding.ts';
import type { Health } from '../../src/health/assess.ts';
import { startStage, type FaultStage } from '../faults/support.ts';
import { runCommand, type CommandResult } from '../support/command.ts';
import { readAsCompose } from '../support/compose-env-file.ts';

describe('extra files', () => {
  let stage: FaultStage;
  let environment: Record<string, string>;
  let identity: string;
  before(async () => {
    stage = await startStage({ megabytes: 1 });
    identity = at('key.txt');
    execSync(`age-keygen -o ${identity} 2>/dev/null`);
    mkdirSync(at('own/nginx/sites'), { recursive: true });
    writeFileSync(at('own/docker-compose.yml'), 'services: {}\n');
    writeFileSync(at('own/nginx/sites/social.conf'), 'server_name social.example;\n');
    writeFileSync(at('own/large'), Buffer.alloc(1024 * 1024 + 1));
    symlinkSync(at('own/docker-compose.yml'), at('own/nginx/linked'));
    symlinkSync(at('own'), at('own/nginx/circle'));
    environment = {
      ...stage.environment,
      BACKUP_LOCAL_DIR: at('backups'),
      BACKUP_AGE_RECIPIENTS: execSync(`age-keygen -y ${identity}`).toString().trim(),
      BACKUP_EXTRA_FILES: [at('own/docker-compose.yml'), at('own/nginx')].join(', '),
    };
    mkdirSync(at('backups'));
  });
  after(async () => stage[Symbol.asyncDispose]());

  const at = (name: string): string => path.join(stage.scratch, name);
  /** As in the tar: without the first slash. */
  const inTar = (name: string): string => at(name).slice(1);
  const run = async (args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<CommandResult> =>
    runCommand(args, { ...environment, ...more });

  it('travel encrypted to each destination, and come back by stock tools and by restore', async () => {
    const made = await run(['run', '--json']);
    assert.equal(made.status, 0, made.stderr);
    const { id } = JSON.parse(made.stdout) as { id: string };
    assert.ok((await stage.s3.keys()).includes(`daily/${id}.extra.tar.age`));
    const stock = execFileSync('sh', [
      '-c',
      `age -d -i ${identity} ${at(`backups/daily/${id}.extra.tar.age`)} | tar -tf -`,
    ]);
    assert.deepEqual(stock.toString().trim().split('\n').toSorted(), [
      '.env.backup',
      inTar('own/docker-compose.yml'),
      inTar('own/nginx/linked'),
      inTar('own/nginx/sites/social.conf'),
    ]);
    const back = await run(['restore', 'latest', '--extra-output', at('back'), '--identity', identity]);
    assert.equal(back.status, 0, back.stderr);
    assert.match(back.stdout, /\(4 files, .*social\.conf/s);
    const file = path.join(at('back'), inTar('own/nginx/sites/social.conf'));
    assert.equal(readFileSync(file, 'utf8'), 'server_name social.example;\n');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const own = readFileSync(path.join(at('back'), '.env.backup'), 'utf8');
    const settings = readAsCompose(own);
    for (const name of ['BACKUP_S3_BUCKET', 'BACKUP_AGE_RECIPIENTS', 'BACKUP_EXTRA_FILES', 'BACKUP_LOCAL_DIR'])
      assert.equal(settings[name], environment[name], name);
    assert.match(own, /^# Set again .*: .*BACKUP_S3_SECRET_ACCESS_KEY/m);
    for (const [name, value] of Object.entries(environment))
      if (/PASS|SECRET|TOKEN/.test(name)) assert.ok(!own.includes(value), name);
    const again = await run(['restore', 'latest', '--extra-output', at('back'), '--identity', identity]);
    assert.equal(again.status, 2, 'nothing is overwritten');
    assert.match(again.stderr, /There is something in '.*back' already/);
    const verified = await run(['verify', '--json', '--from', 'local', '--identity', identity]);
    assert.equal((JSON.parse(verified.stdout) as { extra: string }).extra, 'decrypted');
    assert.match(
      (await run(['restore', 'latest', '--extra-output', at('locked')])).stderr,
      /no private key is at hand/,
    );
  });

  it('that are missing or too large are said and make health degraded, and the others travel', async () => {
    const more = {
      BACKUP_EXTRA_FILES: [at('own/docker-compose.yml'), at('own/gone'), at('own/large'), at('own/nginx')].join(','),
    };
    const { status, stdout, stderr } = await run(['run', '--json'], more);
    assert.equal(status, 0, stderr);
    const { warnings } = JSON.parse(stdout) as { warnings: readonly string[] };
    for (const wanted of [
      /own\/gone' is left out: it is not there/,
      /own\/large' .*at most 1\.0 MiB/,
      /circle' .*a link to a directory/,
    ])
      assert.match(warnings.join('\n'), wanted);
    const health = JSON.parse((await run(['health', '--json'], more)).stdout) as Health;
    assert.equal(health.status, 'degraded');
    assert.match(health.warnings.join('\n'), /own\/gone' is left out/);
    const doctor = JSON.parse((await run(['doctor', '--json'], more)).stdout) as readonly Finding[];
    const found = doctor.filter(({ check }) => check === 'extra files');
    assert.deepEqual(
      found.map(({ status: one }) => one),
      ['ok', 'warning', 'warning', 'warning'],
    );
    const last = await run(['restore', 'latest', '--extra-output', at('rest'), '--identity', identity]);
    assert.equal(last.status, 0, last.stderr);
    assert.equal(
      readdirSync(at('rest'), { recursive: true, withFileTypes: true }).filter((one) => one.isFile()).length,
      4,
    );
  });

  it('stay here without recipients, and go with their snapshot', async () => {
    const clear = { BACKUP_AGE_RECIPIENTS: '', BACKUP_LOCAL_DIR: at('clear') };
    mkdirSync(at('clear'));
    const { BACKUP_AGE_RECIPIENTS: _recipients, ...open } = environment;
    const config = await runCommand(['doctor', '--json'], { ...open, BACKUP_LOCAL_DIR: clear.BACKUP_LOCAL_DIR });
    assert.match(config.stdout, /BACKUP_EXTRA_FILES has no effect without BACKUP_AGE_RECIPIENTS/);
    rmSync(at('clear'), { recursive: true });
    const pruned = await run(['prune'], { BACKUP_KEEP_DAILY: '1' });
    assert.equal(pruned.status, 0, pruned.stderr);
    const left = readdirSync(at('backups/daily'));
    assert.equal(left.filter((name) => name.endsWith('.extra.tar.age')).length, 1);
    assert.equal(left.filter((name) => name.endsWith('.json')).length, 1);
  });
});
