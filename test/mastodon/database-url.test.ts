import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { ValueError } from '../../src/config/problem.ts';
import { parseDatabaseUrl } from '../../src/mastodon/database-url.ts';

/** What no program reads like another: bare in a password. */
const troublesome = ['@', '#', '/', '?', ' ', '%', '%zz', '[', ']', '^', '{', '|', '"', '<', '\\', '`', 'ä', '\t'];

describe('a database URL', () => {
  it('is refused with a remedy where its password would be read in two ways, and is never shown', () => {
    for (const character of troublesome) {
      const url = `postgres://mastodon:hunter${character}seven@db:5432/mastodon_production`;
      assert.throws(
        () => parseDatabaseUrl(url),
        (error) => {
          assert.ok(error instanceof ValueError, character);
          const text = `${error.message} ${error.remedy}`;
          assert.ok(error.hideValue && !text.includes('hunter') && !text.includes('seven'), text);
          return true;
        },
        `a bare '${character}' was taken`,
      );
    }
  });

  it('says to percent-encode the password or to use DB_PASS', () => {
    assert.throws(
      () => parseDatabaseUrl('postgres://u:a@b@h/d'),
      (error) => error instanceof ValueError && /Percent-encode.*DB_PASS/.test(error.remedy),
    );
  });

  it('takes what RFC 3986 allows in a password as it stands', () => {
    assert.equal(parseDatabaseUrl("postgres://u:-._~!$&'()*+,;=:x@h/d").password, "-._~!$&'()*+,;=:x");
  });

  it('gives any user and any password back that was percent-encoded', () => {
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((one) => !one.includes('\0'));
    fc.assert(
      fc.property(text, text, (user, password) => {
        const url = `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@db:5432/d`;
        const parts = parseDatabaseUrl(url);
        assert.deepEqual([parts.user, parts.password, parts.host], [user, password, 'db']);
        assert.equal(parseDatabaseUrl(`postgresql://db/d?password=${encodeURIComponent(password)}`).password, password);
      }),
      { numRuns: 500 },
    );
  });

  it('never fails in another way than with a ValueError that shows nothing of it', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'postgres://',
        '@',
        ':',
        '/',
        '?',
        '#',
        '%',
        '&',
        '=',
        '[',
        ']',
        'password=',
        '%00',
        '%41',
        'sslmode=',
      ),
      fc.string({ maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
        const url = `postgres://user:VERYSECRET${pieces.join('')}`;
        try {
          parseDatabaseUrl(url);
          return true;
        } catch (error) {
          return (
            error instanceof ValueError &&
            error.hideValue &&
            !`${error.message}${error.remedy}${String(error.cause)}`.includes('VERYSECRET')
          );
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('refuses a plus in ?password=, which is a space to one program and a plus to the other', () => {
    assert.throws(() => parseDatabaseUrl('postgres://u@h/d?password=a+b'), ValueError);
    assert.equal(parseDatabaseUrl('postgres://u@h/d?password=a%2Bb').password, 'a+b');
  });

  it('refuses other schemes, several hosts and quotes', () => {
    for (const url of [
      '',
      'mastodon',
      'postgres:d',
      'mysql://h/d',
      'postgis://h/d',
      'jdbc:postgresql://h/d',
      '"postgres://h/d"',
      'postgres://a,b/d',
      'postgres://a:1,b:2/d',
      'postgres://h:port/d',
      'postgres://::1/d',
      'postgres://u:p%00@h/d',
      'postgres://u:p%ff@h/d',
    ]) {
      assert.throws(() => parseDatabaseUrl(url), ValueError, url);
    }
  });

  it('opens no certificate file and says nothing on stderr while it reads', (context) => {
    const emitted = context.mock.method(process, 'emitWarning', () => undefined);
    const { parameters } = parseDatabaseUrl(
      'postgres://h/d?sslmode=require&sslrootcert=/does/not/exist&sslcert=/nor/this',
    );
    assert.equal(parameters.get('sslrootcert'), '/does/not/exist');
    assert.equal(emitted.mock.callCount(), 0);
  });

  it('is not confused by parameters with the names of object members', () => {
    assert.equal(parseDatabaseUrl('postgres://h/d?__proto__=x&constructor=y').parameters.get('__proto__'), 'x');
  });
});
