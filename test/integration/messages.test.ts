// What becomes of a run, of health and of the doctor when messages cannot be sent; and messages on demand.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Finding } from '../../src/doctor/finding.ts';
import type { Health } from '../../src/health/assess.ts';
import { startStage, type FaultStage } from '../faults/support.ts';
import { runCommand } from '../support/command.ts';
import { startHealthchecks } from '../support/providers/healthchecks.ts';
import { startProvider } from '../support/providers/provider.ts';

const health = async (environment: Readonly<Record<string, string>>): Promise<Health> =>
  JSON.parse((await runCommand(['health', '--json'], environment)).stdout) as Health;

describe('messages', () => {
  let stage: FaultStage;
  before(async () => {
    stage = await startStage({ megabytes: 1 });
  });
  after(async () => stage[Symbol.asyncDispose]());

  it('a channel that cannot be built stops no run, and config, doctor, log and health name it', async () => {
    const environment = { ...stage.environment, BACKUP_NTFY_URL: 'http://user:100%safe@127.0.0.1:9/topic' };
    const run = await runCommand(['run', '--json'], environment);
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stderr, /BACKUP_NTFY_URL.*'%' that encodes nothing/);
    const config = await runCommand(['config'], environment);
    assert.equal(config.status, 2);
    assert.match(config.stdout, /BACKUP_NTFY_URL/);
    assert.match(config.stderr, /BACKUP_NTFY_URL.*%25/);
    const doctor = await runCommand(['doctor', '--json'], environment);
    assert.equal(doctor.status, 5);
    const findings = JSON.parse(doctor.stdout) as readonly Finding[];
    assert.ok(findings.some(({ status, detail }) => status === 'problem' && detail.includes('BACKUP_NTFY_URL')));
    const { status, warnings } = await health(environment);
    assert.equal(status, 'degraded');
    assert.match(warnings.join(), /BACKUP_NTFY_URL/);
    for (const text of [run.stderr, config.stdout, config.stderr, doctor.stdout, warnings.join()])
      assert.doesNotMatch(text, /100%safe/);
  });

  it('a dead man’s switch that was never armed shows in health until it is taken out', async () => {
    await using checks = await startHealthchecks({ check: 'known' });
    const mistyped = { ...stage.environment, BACKUP_PING_URL: `${checks.url}/mistyped-secret-check` };
    assert.equal((await runCommand(['run'], mistyped)).status, 0);
    const armed = await health(mistyped);
    assert.equal(armed.status, 'degraded');
    assert.match(armed.warnings.join(), /Messages by ping fail: .*there is no such check/);
    const afterwards = await health(stage.environment);
    assert.deepEqual([afterwards.status, afterwards.warnings], ['healthy', []]);
    assert.doesNotMatch(armed.warnings.join(), /mistyped-secret-check/);
  });

  it('notify test sends one message to each channel, or to the one that is named', async () => {
    await using hook = await startProvider(() => ({ status: 200 }));
    await using checks = await startHealthchecks({ check: 'known' });
    const environment = {
      ...stage.environment,
      BACKUP_NOTIFY: 'off',
      BACKUP_WEBHOOK_URL: `${hook.url}/hook`,
      BACKUP_SLACK_WEBHOOK_URL: `${hook.url}/slack`,
      BACKUP_PING_URL: `${checks.url}/known`,
    };
    const all = await runCommand(['notify', 'test', '--json'], environment);
    assert.equal(all.status, 0, all.stderr);
    assert.deepEqual(JSON.parse(all.stdout), [
      { channel: 'webhook', error: null, status: 'sent' },
      { channel: 'Slack', error: null, status: 'sent' },
      { channel: 'ping', error: null, status: 'sent' },
    ]);
    assert.match(hook.requests[0]?.body ?? '', /Test message from the backups of /);
    // Not a success: nothing was backed up.
    assert.deepEqual(
      checks.requests.map(({ path }) => path),
      ['/known/log'],
    );
    const one = await runCommand(['notify', 'test', 'slack'], environment);
    assert.equal(one.stdout, 'Slack  sent\n');
    assert.equal(hook.requests.length, 3);
  });

  it('notify test ends with a failure when a message did not come through, and asks for a channel when there is none', async () => {
    await using hook = await startProvider(() => ({ status: 404, body: 'no_service' }));
    const environment = {
      ...stage.environment,
      BACKUP_SLACK_WEBHOOK_URL: `${hook.url}/services/T000/B000/secretpart00`,
    };
    const failed = await runCommand(['notify', 'test'], environment);
    assert.equal(failed.status, 1);
    assert.match(failed.stdout, /^Slack {2}FAILED: HTTP 404: no_service/);
    assert.doesNotMatch(failed.stdout + failed.stderr, /secretpart00/);
    assert.equal((await runCommand(['notify', 'test', 'pager'], environment)).status, 2);
    assert.equal((await runCommand(['notify', 'test'], stage.environment)).status, 2);
    assert.equal((await runCommand(['notify', 'everybody'], environment)).status, 2);
  });

  it('the doctor asks each channel what can be asked without sending anything', async () => {
    await using hook = await startProvider(({ method }) =>
      method === 'GET' ? { status: 200, body: { name: 'ops' } } : { status: 500 },
    );
    const environment = {
      ...stage.environment,
      BACKUP_DISCORD_WEBHOOK_URL: `${hook.url}/api/webhooks/1/x`,
      BACKUP_EMAIL_TO: 'admin@example.com',
      SMTP_SERVER: '127.0.0.1',
      SMTP_PORT: '9',
      SMTP_FROM_ADDRESS: 'a@example.com',
    };
    const findings = JSON.parse((await runCommand(['doctor', '--json'], environment)).stdout) as readonly Finding[];
    const messages = findings.filter(({ check }) => check === 'messages');
    assert.deepEqual(
      messages.map(({ status }) => status),
      ['problem', 'ok'],
    );
    assert.match(messages[0]?.detail ?? '', /e-mail would not work: .*ECONNREFUSED/);
    assert.match(messages[1]?.detail ?? '', /Discord: the webhook "ops" is there/);
  });
});
