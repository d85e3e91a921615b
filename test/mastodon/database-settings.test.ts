import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createEnvironment } from '../../src/config/environment.ts';
import { libpqEnvironment } from '../../src/database/connection.ts';
import { readDatabaseTarget, type DatabaseReading, type DatabaseTarget } from '../../src/mastodon/database-settings.ts';
import { collectSecrets } from '../../src/mastodon/secrets.ts';
import { createRedactor } from '../../src/log.ts';

const read = (variables: Readonly<Record<string, string>>): DatabaseReading =>
  readDatabaseTarget(createEnvironment(variables, { uid: 0 }));

function target(variables: Readonly<Record<string, string>>): DatabaseTarget {
  const reading = read(variables);
  assert.deepEqual(reading.problems, []);
  assert.ok(reading.target);
  return reading.target;
}

describe("Mastodon's database", () => {
  it('has the defaults of config/database.yml', () => {
    assert.deepEqual(target({}), {
      host: 'localhost',
      port: 5432,
      user: 'mastodon',
      password: '',
      database: 'mastodon_production',
      sslMode: 'prefer',
      sslRootCertificate: null,
    });
  });

  it('is where DB_* say, a socket directory included', () => {
    const found = target({
      DB_HOST: '/var/run/postgresql',
      DB_PORT: '5433',
      DB_NAME: 'm',
      DB_USER: 'u',
      DB_PASS: 'p',
      DB_SSLMODE: 'disable',
    });
    assert.deepEqual(found, {
      host: '/var/run/postgresql',
      port: 5433,
      user: 'u',
      password: 'p',
      database: 'm',
      sslMode: 'disable',
      sslRootCertificate: null,
    });
  });

  it('takes from DB_* what DATABASE_URL lacks: the database name of the documented example, the password', () => {
    const found = target({
      DATABASE_URL: 'postgresql://user@db.example:6000',
      DB_NAME: 'mastodon_x',
      DB_PASS: 'p',
      DB_HOST: 'other',
      DB_PORT: '1',
    });
    assert.deepEqual(
      [found.host, found.port, found.user, found.password, found.database],
      ['db.example', 6000, 'user', 'p', 'mastodon_x'],
    );
  });

  it("understands Rails' and the streaming server's parameters", () => {
    const found = target({
      DATABASE_URL: 'postgres://u:p@db/m?pool=5&sslmode=no-verify&prepared_statements=false&connect_timeout=3',
    });
    assert.equal(found.sslMode, 'require');
    assert.equal(target({ DATABASE_URL: 'postgresql:///m?host=/var/run/postgresql' }).host, '/var/run/postgresql');
    assert.equal(target({ DATABASE_URL: 'postgresql://u:p@[::1]:5433/m' }).host, '::1');
    assert.match(read({ DATABASE_URL: 'postgres://u:p@db/m?colour=red' }).warnings.join(), /ignored: colour/);
  });

  it('is replaced whole by BACKUP_DATABASE_URL, whose host never gets the password of another', () => {
    const found = target({
      BACKUP_DATABASE_URL: 'postgresql://r@replica/m',
      DATABASE_URL: 'postgresql://a:b@c/d',
      DB_PASS: 'secret',
      DB_PORT: '6432',
    });
    assert.deepEqual(
      [found.host, found.port, found.user, found.password, found.database],
      ['replica', 5432, 'r', '', 'm'],
    );
  });

  for (const bare of ['p@ss', 'p#ss', 'p%ss', 'p/ss', 'p?ss', 'p ss']) {
    it(`asks to percent-encode a URL whose password is ${bare.replace('ss', '…')}, without showing it`, () => {
      const { problems } = read({ DATABASE_URL: `postgresql://user:xx${bare}yy@db/m` });
      assert.equal(problems.length, 1);
      assert.match(JSON.stringify(problems), /[Pp]ercent-encod/);
      assert.doesNotMatch(JSON.stringify(problems), /xxp/);
    });
  }

  it('rejects what is no PostgreSQL URL, port or sslmode', () => {
    assert.match(JSON.stringify(read({ DATABASE_URL: 'mysql://db/m' }).problems), /not a PostgreSQL URL/);
    assert.match(JSON.stringify(read({ DB_PORT: 'http' }).problems), /DB_PORT/);
    assert.match(JSON.stringify(read({ DB_SSLMODE: 'on' }).problems), /DB_SSLMODE/);
  });

  it('takes quotes as part of a value, as Rails does, and says so', () => {
    const { target: found, warnings } = read({ DB_PASS: '"quoted"' });
    assert.equal(found?.password, '"quoted"');
    assert.match(warnings.join(), /DB_PASS starts and ends with a quote/);
  });

  it('hints at PgBouncer', () => {
    assert.match(read({ DB_PORT: '6432' }).warnings.join(), /PgBouncer/);
    assert.match(read({ PREPARED_STATEMENTS: 'false' }).warnings.join(), /PgBouncer/);
  });

  it('hands every password there is to libpq unchanged, from DB_PASS and percent-encoded from a URL', () => {
    const passwords = fc.string({
      unit: fc.constantFrom(...Array.from('aZ09@#%/?:;&=+ "\'\\$`!*()[]{}<>|~^,.-_äß日😀')),
      minLength: 1,
    });
    fc.assert(
      fc.property(passwords, (password) => {
        const direct = target({ DB_PASS: password });
        assert.equal(libpqEnvironment(direct, { serverMajor: 14 })['PGPASSWORD'], password);
        const url = target({ DATABASE_URL: `postgresql://u:${encodeURIComponent(password)}@db/m` });
        assert.equal(libpqEnvironment(url, { serverMajor: 14 })['PGPASSWORD'], password);
      }),
    );
  });
});

describe('redaction', () => {
  it('takes every secret out of every text, in JSON and percent-encoded too', () => {
    const password = 'p"a\\s/s w@rd';
    const environment = createEnvironment(
      {
        DB_PASS: password,
        DATABASE_URL: `postgresql://u:${encodeURIComponent('url-secret')}@db/m`,
        OTP_SECRET: 'otp-otp-otp',
      },
      { uid: 0 },
    );
    const redact = createRedactor(collectSecrets(environment));
    const text = `${password} ${JSON.stringify({ password })} ${encodeURIComponent(password)} url-secret otp-otp-otp`;
    assert.doesNotMatch(redact(text), /w@rd|w%40rd|url-secret|otp-otp/);
  });

  it('leaves names alone that are no secret, though somebody chose one as password', () => {
    const redact = createRedactor(collectSecrets(createEnvironment({ DB_PASS: 'mastodon' }, { uid: 0 })));
    assert.equal(redact('mastodon-backup: mastodon_production'), 'mastodon-backup: mastodon_production');
  });
});
