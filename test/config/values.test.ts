import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { parseCronPattern } from '../../src/config/cron-pattern.ts';
import { parseDuration } from '../../src/config/values.ts';
import { parseKeepRule } from '../../src/config/keep-rule.ts';
import { parseBotToken, parseChatId, parseEmailAddresses } from '../../src/config/messages.ts';
import { parseSecretUrl } from '../../src/config/web-address.ts';
import { ValueError } from '../../src/config/problem.ts';
import { isNearby, parseAccountId, parseBucket, parseEndpoint, parsePrefix } from '../../src/config/bucket.ts';
import { parseSize } from '../../src/config/values.ts';
import { parseTimeZone, timeZoneOfTz } from '../../src/config/values.ts';
import { parseBoolean, parseDestinationDirectory, parseDirectory, parseInteger } from '../../src/config/values.ts';
import { variableNames, variables } from '../../src/config/table.ts';

function refuses(parse: (text: string) => unknown, texts: readonly string[]): void {
  for (const text of texts) assert.throws(() => parse(text), ValueError, `'${text}' was taken`);
}

describe('values', () => {
  it('takes true, false, 1 and 0 as booleans and nothing else', () => {
    assert.deepEqual(['true', '1', 'false', '0'].map(parseBoolean), [true, true, false, false]);
    refuses(parseBoolean, ['TRUE', 'yes', 'on', '', ' true', 'true\r', '2']);
  });

  it('takes durations with a unit, in milliseconds', () => {
    assert.deepEqual(['90s', '10m', '2h', '7d'].map(parseDuration('age')), [90_000, 600_000, 7_200_000, 604_800_000]);
    refuses(parseDuration('age'), [
      '',
      '10',
      '1.5h',
      '-1h',
      '1w',
      '10 m',
      '1h30m',
      '10M',
      '٣h',
      '99999999999d',
      '3661d',
    ]);
  });

  it('refuses a duration for a timer that is nothing, or longer than a timer can run', () => {
    refuses(parseDuration('timer'), ['0s', '25d', '600h']);
    refuses(parseDuration('run'), ['0s', '48h', '2d']);
    assert.equal(parseDuration('run')('47h'), 169_200_000);
    assert.ok(parseDuration('timer')('24d') < 2 ** 31);
    assert.equal(parseDuration('age')('0s'), 0);
  });

  it('takes sizes with a binary unit, in bytes', () => {
    assert.deepEqual(
      ['64MiB', '2GiB', '1TiB', '2048KiB', '1048576B'].map(parseSize),
      [67_108_864, 2_147_483_648, 1_099_511_627_776, 2_097_152, 1_048_576],
    );
    refuses(parseSize, ['', '64', '64M', '64MB', '1.5GiB', '0MiB', '1KiB', '64 MiB', '999999999999999TiB', '1025TiB']);
  });

  it('takes whole numbers in range', () => {
    assert.equal(parseInteger(1, 64)('64'), 64);
    refuses(parseInteger(1, 64), ['', '0', '65', '-1', '1.5', '1e1', '0x10', ' 1', '99999999999999999999']);
  });

  it('takes an age, a number of periods or all as a retention', () => {
    assert.deepEqual(parseKeepRule('all'), { kind: 'all' });
    assert.deepEqual(parseKeepRule('24'), { kind: 'count', n: 24 });
    assert.deepEqual(parseKeepRule('6mo'), { kind: 'age', amount: 6, unit: 'mo' });
    for (const unit of ['d', 'w', 'mo', 'y']) assert.equal(parseKeepRule(`1${unit}`).kind, 'age');
    refuses(parseKeepRule, ['', '0', '0d', '-1', '1.5d', '6m', '6h', 'ALL', 'none', 'off', '10000', '07d']);
  });

  it('takes a cron pattern of exactly five fields, or off', () => {
    assert.equal(parseCronPattern('off'), null);
    assert.equal(parseCronPattern('0  12 * *\t1-5'), '0 12 * * 1-5');
    refuses(parseCronPattern, [
      '',
      'OFF',
      '@daily',
      '0 0 12 * * *',
      '0 12 * *',
      '60 12 * * *',
      '0 24 * * *',
      '0 12 * * 8',
      'a b c d e',
      '2026-01-01T00:00:00',
    ]);
  });

  it('refuses a cron pattern for a day that never comes', () => {
    refuses(parseCronPattern, ['0 12 30 2 *', '0 12 31 4 *']);
    assert.equal(parseCronPattern('0 12 29 2 *'), '0 12 29 2 *');
  });

  it('takes the names of time zones', () => {
    assert.equal(parseTimeZone('Europe/Berlin'), 'Europe/Berlin');
    refuses(parseTimeZone, ['', 'Mars/Olympus', 'CET-1CEST', ':Europe/Berlin', 'Berlin', '../etc']);
  });

  it('finds the zone in the forms that TZ has on POSIX', () => {
    for (const text of [
      'Europe/Berlin',
      ':Europe/Berlin',
      '/usr/share/zoneinfo/Europe/Berlin',
      ':/usr/share/zoneinfo/Europe/Berlin',
    ]) {
      assert.equal(timeZoneOfTz(text), 'Europe/Berlin');
    }
    assert.equal(timeZoneOfTz('CET-1CEST'), undefined);
    assert.equal(timeZoneOfTz('/etc/localtime'), undefined);
  });

  it('takes absolute directories and cleans them', () => {
    assert.deepEqual(['/backups/', '/a//b/../c', '/'].map(parseDirectory), ['/backups', '/a/c', '/']);
    refuses(parseDirectory, ['', 'backups', './backups', '~/backups', String.raw`C:\backups`, '/a\nb']);
    refuses(parseDestinationDirectory, ['/', '//', '/a/..']);
  });

  it('takes an endpoint of scheme, host and port alone', () => {
    assert.equal(parseEndpoint('https://s3.example.com/').origin, 'https://s3.example.com');
    assert.equal(parseEndpoint('http://[::1]:9000').origin, 'http://[::1]:9000');
    refuses(parseEndpoint, [
      '',
      's3.example.com',
      'minio:9000',
      's3://bucket',
      'ftp://host',
      'https://host/bucket',
      'https://host?x=1',
      'https://host/?',
      'https://host/#',
      'https://pub-1.r2.dev',
    ]);
  });

  it('hides an endpoint that holds credentials', () => {
    assert.throws(
      () => parseEndpoint('https://key:secret@host'),
      (error) =>
        error instanceof ValueError && error.hideValue && !`${error.message}${error.remedy}`.includes('secret@'),
    );
  });

  it('knows which endpoints are near enough for plain http', () => {
    const near = [
      'http://minio:9000',
      'http://127.0.0.1',
      'http://10.1.2.3',
      'http://192.168.1.2',
      'http://172.31.0.1',
      'http://[::1]',
      'http://[fd00::1]',
      'http://nas.local',
      'http://localhost',
    ];
    const far = [
      'http://s3.example.com',
      'http://8.8.8.8',
      'http://172.32.0.1',
      'http://[2001:db8::1]',
      'http://10.example.com',
    ];
    for (const text of near) assert.equal(isNearby(new URL(text)), true, text);
    for (const text of far) assert.equal(isNearby(new URL(text)), false, text);
  });

  it('normalises a prefix to a folder with one slash at its end, whatever was written', () => {
    assert.deepEqual(['', '/', 'a', '/a/', 'a//b', 'social.example/daily'].map(parsePrefix), [
      '',
      '',
      'a/',
      'a/',
      'a/b/',
      'social.example/daily/',
    ]);
    refuses(parsePrefix, [
      '..',
      'a/../b',
      './a',
      'a\u0000b',
      'a\nb',
      String.raw`a\b`,
      's3://bucket/a',
      'x'.repeat(513),
    ]);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        let prefix: string;
        try {
          prefix = parsePrefix(text);
        } catch (error) {
          return error instanceof ValueError;
        }
        return parsePrefix(prefix) === prefix && (prefix === '' || /^[^/].*[^/]\/$|^[^/]\/$/su.test(prefix));
      }),
    );
  });

  it('takes names of buckets and account ids', () => {
    assert.equal(parseBucket('my-backups.example'), 'my-backups.example');
    refuses(parseBucket, ['', 'ab', 'a/b', 's3://bucket', 'bucket/', '-bucket', 'büro', 'x'.repeat(64), 'a b c']);
    assert.equal(parseAccountId('0123456789ABCDEF0123456789abcdef'), '0123456789abcdef0123456789abcdef');
    refuses(parseAccountId, [
      '',
      '0123',
      'g'.repeat(32),
      'https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com',
    ]);
  });

  it('takes where messages go, and hides it when it is wrong', () => {
    assert.deepEqual(parseEmailAddresses('a@example.com, b@example.com'), ['a@example.com', 'b@example.com']);
    refuses(parseEmailAddresses, ['', ',', 'a', 'Admin <a@example.com>', 'a@example.com b@example.com']);
    assert.equal(parseChatId('-1001234567890'), '-1001234567890');
    refuses(parseChatId, ['', 'channel', '12 34', '--1']);
    assert.ok(parseBotToken('12345678:AAabcdefghijklmnopqrstuvwxyz012345'));
    refuses(parseBotToken, ['', 'bot12345678:AAabcdefghijklmnopqrstuvwxyz012345', '12345678']);
    refuses(parseSecretUrl, ['', 'example.com/hook', 'ftp://example.com', 'javascript:alert(1)']);
  });

  it('never fails in another way than with a ValueError, nor repeats the value of a secret', () => {
    const secret = variableNames.filter((name) => variables[name].secret === true);
    fc.assert(
      fc.property(fc.constantFrom(...variableNames), fc.string({ unit: 'binary', maxLength: 60 }), (name, text) => {
        try {
          variables[name].parse(text);
          return true;
        } catch (error) {
          if (!(error instanceof ValueError)) return false;
          return !secret.includes(name) || text.length < 12 || !`${error.message} ${error.remedy}`.includes(text);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('has defaults that its own parsers take', () => {
    for (const name of variableNames) {
      const { preset, parse } = variables[name];
      if (preset !== null) assert.doesNotThrow(() => parse(preset), name);
    }
  });
});
