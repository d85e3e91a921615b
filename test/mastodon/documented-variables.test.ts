import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collectMastodonVariables, documentedVariables } from '../../src/mastodon/documented-variables.ts';
import { instanceSecrets } from '../../src/mastodon/secret-fingerprints.ts';
import { environmentOf } from '../config/environments.ts';

// Mastodon's .env.production.sample, and one or two of each section of its documentation.
const sample =
  'LOCAL_DOMAIN REDIS_HOST REDIS_PORT DB_HOST DB_USER DB_NAME DB_PASS DB_PORT ES_ENABLED ES_HOST ES_PORT ES_USER ES_PASS ' +
  'SECRET_KEY_BASE OTP_SECRET VAPID_PRIVATE_KEY VAPID_PUBLIC_KEY SMTP_SERVER SMTP_PORT SMTP_LOGIN SMTP_PASSWORD ' +
  'SMTP_FROM_ADDRESS S3_ENABLED S3_BUCKET AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY S3_ALIAS_HOST IP_RETENTION_PERIOD ' +
  'SESSION_RETENTION_PERIOD GITHUB_REPOSITORY';
const others =
  'WEB_DOMAIN ALTERNATE_DOMAINS AUTHORIZED_FETCH LIMITED_FEDERATION_MODE TRUSTED_PROXY_IP STREAMING_API_BASE_URL ' +
  'DATABASE_URL REPLICA_DATABASE_URL REPLICA_DB_PASS CACHE_REDIS_URL SIDEKIQ_REDIS_SENTINEL_PASSWORD REDIS_NAMESPACE ' +
  'ES_CA_FILE BULK_SMTP_PASSWORD SMTP_CA_FILE MASTODON_PROMETHEUS_EXPORTER_ENABLED OTEL_EXPORTER_OTLP_ENDPOINT ' +
  'CDN_HOST PAPERCLIP_ROOT_PATH S3_ENDPOINT SWIFT_PASSWORD AZURE_STORAGE_ACCESS_KEY CACHE_BUSTER_SECRET OMNIAUTH_ONLY ' +
  'LDAP_PASSWORD PAM_ENABLED CAS_URL SAML_PRIVATE_KEY OIDC_CLIENT_SECRET http_hidden_proxy HCAPTCHA_SECRET_KEY ' +
  'EMAIL_DOMAIN_DENYLIST FETCH_REPLIES_MAX_PAGES DEEPL_API_KEY ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT';

describe("Mastodon's documented variables", () => {
  it('hold the sample file, something of every section, and all that has a fingerprint, each once', () => {
    const wanted = [...sample.split(' '), ...others.split(' '), ...instanceSecrets];
    assert.deepEqual(
      wanted.filter((name) => !documentedVariables.includes(name)),
      [],
    );
    assert.equal(new Set(documentedVariables).size, documentedVariables.length);
    for (const name of documentedVariables) assert.match(name, /^(?:[A-Z][A-Z0-9_]*|http_(?:hidden_)?proxy)$/);
  });

  it('do not hold what belongs to a container or to this program', () => {
    for (const name of ['PATH', 'HOME', 'NODE_ENV', 'BUNDLE_GEMFILE', 'BACKUP_S3_SECRET_ACCESS_KEY', 'AWS_PROFILE']) {
      assert.ok(!documentedVariables.includes(name), name);
      assert.deepEqual(collectMastodonVariables(environmentOf({ [name]: 'x' })), {}, name);
    }
  });

  it('are collected with their values as they are, from files too, empty ones as empty', () => {
    const environment = environmentOf(
      { LOCAL_DOMAIN: ' "social.example" ', SMTP_LOGIN: '', DB_PASS_FILE: '/f', HOME: '/root', BACKUP_LOCAL_DIR: '/b' },
      { '/f': { content: 'p@ss word\n' } },
    );
    assert.deepEqual(collectMastodonVariables(environment), {
      LOCAL_DOMAIN: ' "social.example" ',
      DB_PASS: 'p@ss word',
      SMTP_LOGIN: '',
    });
  });

  it('include what a newer Mastodon adds to a family of settings', () => {
    const newer = { S3_FUTURE_OPTION: '1', OIDC_FUTURE: '2', ACTIVE_RECORD_ENCRYPTION_NEXT_KEY: '3', OTEL_X: '4' };
    assert.deepEqual(collectMastodonVariables(environmentOf(newer)), newer);
  });
});
