import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRedactor } from '../../src/log.ts';
import { collectSecrets } from '../../src/mastodon/secrets.ts';
import { variableNames, variables } from '../../src/config/table.ts';
import { environmentOf } from '../config/environments.ts';

function redacted(text: string, environment: Readonly<Record<string, string>>): string {
  return createRedactor(collectSecrets(environmentOf(environment)))(text);
}

describe('the secrets of the environment', () => {
  it("hold every secret of ours and of Mastodon's", () => {
    const mastodon = [
      'DB_PASS',
      'SECRET_KEY_BASE',
      'OTP_SECRET',
      'VAPID_PRIVATE_KEY',
      'AWS_SECRET_ACCESS_KEY',
      'SMTP_PASSWORD',
      'REDIS_PASSWORD',
      'ES_PASS',
      'ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY',
      'ACTIVE_RECORD_ENCRYPTION_DETERMINISTIC_KEY',
      'ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT',
      'OIDC_CLIENT_SECRET',
      'LDAP_PASSWORD',
      'HCAPTCHA_SECRET_KEY',
      'DEEPL_API_KEY',
      'SOME_FUTURE_TOKEN',
    ];
    for (const name of [...mastodon, ...variableNames.filter((one) => variables[one].secret === true)]) {
      const value = `value-of-${name.toLowerCase()}`;
      assert.ok(!redacted(`error: ${value}!`, { [name]: value }).includes(value), name);
    }
  });

  it('hold the password within a URL, as it is written and as it is meant', () => {
    const environment = {
      DATABASE_URL: 'postgres://mastodon:p%40ssw%C3%B6rd@db/d',
      REDIS_URL: 'redis://:hunter22@redis:6379',
    };
    const text = 'login as mastodon with p@sswörd or p%40ssw%C3%B6rd or hunter22 failed';
    assert.equal(redacted(text, environment), 'login as mastodon with [secret] or [secret] or [secret] failed');
  });

  it('hold the password within a URL that cannot be read', () => {
    assert.ok(!redacted('x hunter@22 y', { DATABASE_URL: 'postgres://mastodon:hunter@22@db/d' }).includes('hunter'));
    assert.ok(
      !redacted('x hunter22 y', { BACKUP_DATABASE_URL: 'postgres://db/d?password=hunter22' }).includes('hunter22'),
    );
  });

  it("hold the secret part of a webhook's address, and not its host", () => {
    const environment = { BACKUP_DISCORD_WEBHOOK_URL: 'https://discord.com/api/webhooks/1234567890/abcdefghijklmnop' };
    const text = 'POST /api/webhooks/1234567890/abcdefghijklmnop to discord.com failed; abcdefghijklmnop; webhooks';
    assert.equal(redacted(text, environment), 'POST [secret] to discord.com failed; [secret]; webhooks');
  });

  it('hold what came from a file, and each line of an identity', () => {
    const identity = 'AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQ';
    const environment = environmentOf(
      { BACKUP_AGE_IDENTITY_FILE: '/f' },
      { '/f': { content: `# created: today\n${identity}\n` } },
    );
    assert.equal(createRedactor(collectSecrets(environment))(`key ${identity}.`), 'key [secret].');
  });

  it('hold a private key that was put where a public one belongs', () => {
    assert.ok(
      !redacted('AGE-SECRET-KEY-1ABC', { BACKUP_AGE_RECIPIENTS: 'age1x, AGE-SECRET-KEY-1ABC' }).includes('1ABC'),
    );
  });

  it('do not blacken a switch whose name merely looks secret', () => {
    assert.equal(redacted('true', { SOME_TOKEN: 'true' }), 'true');
  });
});

it('names that are no secret stay readable, though somebody chose one as password', () => {
  const secrets = collectSecrets(environmentOf({ DB_PASS: 'mastodon' }));
  assert.deepEqual(secrets, []);
});
