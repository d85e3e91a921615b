import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ConnectionSettings } from '../../src/database/connection.ts';
import { switchLines, targetConnection } from '../../src/upgrade/target-address.ts';
import { composeService } from '../../src/upgrade/compose-service.ts';

const now: ConnectionSettings = {
  host: 'db',
  port: 5432,
  user: 'mastodon',
  password: '',
  database: 'mastodon_production',
  sslMode: 'prefer',
  sslRootCertificate: null,
};

it('the new server is named by its service, with a port, or by an IPv6 address', () => {
  for (const [text, host, port] of [
    ['db18', 'db18', 5432],
    [' db18:5433 ', 'db18', 5433],
    ['[fd00::12]:5432', 'fd00::12', 5432],
  ] as const) {
    assert.deepEqual(targetConnection(text, now), { ...now, host, port }, text);
  }
  for (const text of ['', 'db', 'db:5432', 'db18:0', 'db18:99999', 'postgresql://db18', 'user@db18', 'a b'])
    assert.throws(() => targetConnection(text, now), { code: 'usage' }, text);
});

it('what is changed is the host alone, the port where it is another one, or the address', () => {
  const to = { ...now, host: 'db18' };
  assert.deepEqual(switchLines({ from: now, to }, { sources: ['DB_HOST'] }), [
    { variable: 'DB_HOST', forward: 'DB_HOST=db18', back: 'DB_HOST=db' },
  ]);
  const other = switchLines({ from: now, to: { ...to, port: 5433 } }, { sources: [] });
  assert.deepEqual(
    other.map(({ forward }) => forward),
    ['DB_HOST=db18', 'DB_PORT=5433'],
  );
  assert.match(
    switchLines({ from: now, to }, { sources: ['DATABASE_URL'] })[0]?.forward ?? '',
    /db18:5432 in DATABASE_URL/,
  );
});

it('the service has its volume where the image of its version keeps the data, and asks for passwords as before', () => {
  const text = (major: number, hasPassword: boolean): string =>
    composeService({ major, user: "o'brien", hasPassword }).text;
  assert.match(text(18, false), /- \.\/postgres18:\/var\/lib\/postgresql\n/);
  assert.match(text(17, false), /- \.\/postgres17:\/var\/lib\/postgresql\/data\n/);
  assert.match(text(18, false), /POSTGRES_HOST_AUTH_METHOD=trust/);
  assert.doesNotMatch(text(18, true), /HOST_AUTH_METHOD/);
  assert.match(text(18, true), /POSTGRES_PASSWORD=/);
  assert.match(text(18, true), /'POSTGRES_USER=o''brien'/);
});

it('says what Mastodon itself must be given too where only our connection is another', () => {
  const [ours, itself, ...others] = switchLines(
    { from: { ...now, host: 'old' }, to: { ...now, host: 'db18' } },
    { sources: ['BACKUP_DATABASE_URL'] },
  );
  assert.equal(ours?.forward, 'db18:5432 in BACKUP_DATABASE_URL');
  assert.match(itself?.forward ?? '', /^db18:5432 where Mastodon itself connects: .*PgBouncer$/);
  assert.match(itself?.back ?? '', /^old:5432 where Mastodon itself connects/);
  assert.deepEqual(others, []);
});
