// Mastodon's SMTP_* variables, as its production.rb reads them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createEnvironment } from '../../src/config/environment.ts';
import { readMailServer } from '../../src/mastodon/mail-server.ts';

const read = (variables: Readonly<Record<string, string>>) => readMailServer(createEnvironment(variables, { uid: 0 }));

describe("Mastodon's mail server", () => {
  it('is none without SMTP_SERVER, or when mail goes another way', () => {
    assert.equal(read({}), null);
    assert.equal(read({ SMTP_SERVER: 'mail', SMTP_DELIVERY_METHOD: 'sendmail' }), null);
  });

  it('has the defaults of Rails', () => {
    assert.deepEqual(read({ SMTP_SERVER: 'mail.example', LOCAL_DOMAIN: 'social.example' }), {
      host: 'mail.example',
      port: 25,
      implicitTls: false,
      startTls: 'auto',
      verifyCertificate: true,
      caFile: null,
      login: null,
      domain: 'social.example',
      from: 'notifications@localhost',
      returnPath: null,
    });
  });

  it('logs in unless SMTP_AUTH_METHOD is none', () => {
    const login = { SMTP_SERVER: 'mail', SMTP_LOGIN: 'me', SMTP_PASSWORD: 'secret' };
    assert.deepEqual(read(login)?.login, { user: 'me', password: 'secret', method: 'plain' });
    assert.equal(read({ ...login, SMTP_AUTH_METHOD: 'login' })?.login?.method, 'login');
    assert.equal(read({ ...login, SMTP_AUTH_METHOD: 'none' })?.login, null);
    assert.equal(read({ ...login, SMTP_LOGIN: '' })?.login, null);
  });

  it('speaks TLS as it is told', () => {
    const server = { SMTP_SERVER: 'mail' };
    assert.equal(read({ ...server, SMTP_SSL: 'true' })?.implicitTls, true);
    assert.equal(read({ ...server, SMTP_TLS: 'true' })?.implicitTls, true);
    assert.equal(read({ ...server, SMTP_TLS: 'false' })?.implicitTls, false);
    assert.equal(read({ ...server, SMTP_ENABLE_STARTTLS: 'always' })?.startTls, 'always');
    assert.equal(read({ ...server, SMTP_ENABLE_STARTTLS: 'never' })?.startTls, 'never');
    assert.equal(read({ ...server, SMTP_ENABLE_STARTTLS_AUTO: 'false' })?.startTls, 'never');
    assert.equal(read({ ...server, SMTP_OPENSSL_VERIFY_MODE: 'none' })?.verifyCertificate, false);
    assert.equal(read({ ...server, SMTP_OPENSSL_VERIFY_MODE: 'peer' })?.verifyCertificate, true);
  });
});
