import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EnvironmentVariables } from '../../src/config/environment.ts';
import { exitStatusOf } from '../../src/errors.ts';
import { settingsError } from '../../src/config/problem.ts';
import { variableNames, variables } from '../../src/config/table.ts';
import { aws, localOnly, problemsOf, r2, read, settingsOf } from './environments.ts';

const compressionOf = (text: string, level?: string): unknown =>
  settingsOf({ ...localOnly, BACKUP_COMPRESSION: text, BACKUP_COMPRESSION_LEVEL: level }).compression;

const warned = (extra: Readonly<Record<string, string>>): string =>
  read({ ...localOnly, ...extra }).warnings.join('\n');

describe('settings', () => {
  it('are remarked on where an env file has left something in them that another reader takes away', () => {
    for (const [value, says] of [
      ['/backups/social # on the NAS', /^BACKUP_LOCAL_DIR holds ' #'/],
      ['/backups/social"', /^BACKUP_LOCAL_DIR has a quote at one of its ends/],
      ['/backups/${LOCAL_DOMAIN}', /^BACKUP_LOCAL_DIR holds the name of a variable that nobody has replaced/],
      ['/backups/$LOCAL_DOMAIN', /^BACKUP_LOCAL_DIR holds the name of a variable/],
    ] as const)
      assert.match(warned({ BACKUP_LOCAL_DIR: value }), says);
    for (const value of ['/backups/#1', '/backups/a$', "/backups/it's", '/backups/a b'])
      assert.equal(warned({ BACKUP_LOCAL_DIR: value }), '', value);
    // What is secret is not looked into: a password may hold anything.
    assert.doesNotMatch(warned({ BACKUP_HTTP_TOKEN: 'long-enough #${token}' }), /holds/);
  });

  it('has the defaults of the contract', () => {
    const settings = settingsOf(localOnly);
    assert.deepEqual(settings.schedules, {
      hourly: null,
      daily: '0 12 * * *',
      weekly: '0 13 * * 0',
      monthly: '0 14 1 * *',
      yearly: null,
      drill: '0 15 * * 0',
    });
    assert.deepEqual(settings.retention.keep, {
      hourly: { kind: 'count', n: 24 },
      daily: { kind: 'age', amount: 7, unit: 'd' },
      weekly: { kind: 'age', amount: 6, unit: 'w' },
      monthly: { kind: 'age', amount: 6, unit: 'mo' },
      yearly: { kind: 'all' },
      labelled: { kind: 'all' },
    });
    const { destinations, timeZone, lockWaitMs, timeoutMs, stallTimeoutMs, threads, memoryLimitBytes } = settings;
    assert.deepEqual([destinations, timeZone], [[{ kind: 'local', directory: '/backups' }], 'UTC']);
    assert.deepEqual([lockWaitMs, timeoutMs, stallTimeoutMs], [300_000, 43_200_000, 600_000]);
    assert.deepEqual([threads, memoryLimitBytes, settings.verify], [4, null, 'full']);
    assert.deepEqual(settings.compression, { kind: 'xz', level: 6 });
    assert.deepEqual(
      [settings.stateDirectory, settings.scratchDirectory],
      ['/var/lib/mastodon-backup', '/var/tmp/mastodon-backup'],
    );
    assert.deepEqual([settings.http, settings.messages.when, settings.healthGraceMs], [null, 'always', 7_200_000]);
    assert.deepEqual(read(localOnly).log, { level: 'info', format: null });
  });

  it('has one destination or two, the bucket first', () => {
    const kinds = (given: EnvironmentVariables): readonly string[] =>
      settingsOf(given).destinations.map(({ kind }) => kind);
    assert.deepEqual(
      [kinds(localOnly), kinds(r2), kinds({ ...localOnly, ...r2 })],
      [['local'], ['s3'], ['s3', 'local']],
    );
  });

  it('reads back what was stored unless that costs money or somebody said how', () => {
    const verify = (given: EnvironmentVariables): string => settingsOf(given).verify;
    assert.deepEqual([verify(localOnly), verify(r2), verify({ ...localOnly, ...r2 })], ['full', 'full', 'full']);
    assert.deepEqual([verify(aws), verify({ ...aws, BACKUP_VERIFY: 'full' })], ['etag', 'full']);
    assert.equal(verify({ ...r2, BACKUP_VERIFY: 'etag' }), 'etag');
  });

  it('says nothing about settings that are right', () => {
    for (const environment of [localOnly, r2, aws, { ...r2, ...localOnly }]) {
      const { problems, warnings } = read(environment);
      assert.deepEqual([problems, warnings], [[], []]);
    }
  });

  it('reports all problems at once, each with its variable and what to write instead', () => {
    const lines = problemsOf({
      BACKUP_TIMEOUT: '12',
      BACKUP_COMPRESSION: 'gzip',
      BACKUP_ALLOW_PLAINTEXT: 'yes',
      BACKUP_SCHEDULE_DAILY: 'daily',
      BACKUP_TIMEZONE: 'Mars',
      BACKUP_LOCAL_DIR: 'backups',
      BACKUP_S3_SECRET_ACCESS_KEY: '"top-secret-value"',
    });
    for (const name of [
      'TIMEOUT',
      'COMPRESSION',
      'ALLOW_PLAINTEXT',
      'SCHEDULE_DAILY',
      'TIMEZONE',
      'LOCAL_DIR',
      'S3_SECRET_ACCESS_KEY',
      'S3_BUCKET',
      'S3_ACCESS_KEY_ID',
    ]) {
      assert.ok(
        lines.some((line) => line.startsWith(`BACKUP_${name}`)),
        name,
      );
    }
    assert.match(
      lines.find((line) => line.startsWith('BACKUP_TIMEOUT')) ?? '',
      /^BACKUP_TIMEOUT '12': not a duration\. Write a number and one of/,
    );
    assert.ok(!lines.join('\n').includes('top-secret-value'));
  });

  it('is an error with exit status 2 and one line for each problem', () => {
    const { problems } = read({ ...localOnly, BACKUP_TIMEOUT: 'x\ny', BACKUP_VERIFY: 'x' });
    const error = settingsError(problems);
    assert.equal(exitStatusOf(error), 2);
    assert.equal(error.message.split('\n').length, 3);
    assert.match(error.message, /2 settings are wrong/);
  });

  it('asks for a destination and names both ways', () => {
    const lines = problemsOf({});
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /BACKUP_S3_BUCKET.*BACKUP_LOCAL_DIR/);
  });

  it('counts empty as unset, except where a mistyped name would switch something off', () => {
    const allEmpty = Object.fromEntries(variableNames.map((name) => [name, '']));
    const names = read(allEmpty).problems.map(({ variable }) => variable);
    assert.deepEqual(names.toSorted(), [
      'BACKUP_AGE_RECIPIENTS',
      'BACKUP_LOCAL_DIR',
      'BACKUP_S3_ACCESS_KEY_ID',
      'BACKUP_S3_BUCKET',
      'BACKUP_S3_REGION',
      'BACKUP_S3_SECRET_ACCESS_KEY',
      'BACKUP_SIGNING_KEY',
      'BACKUP_TRUSTED_SIGNERS',
    ]);
    for (const name of ['BACKUP_AGE_RECIPIENTS', 'BACKUP_AGE_RECIPIENTS_FILE']) {
      assert.match(problemsOf({ ...localOnly, [name]: '' }).join('\n'), /BACKUP_AGE_RECIPIENTS '': set, but empty/);
    }
    assert.match(problemsOf({ ...r2, BACKUP_LOCAL_DIR: '' }).join('\n'), /BACKUP_LOCAL_DIR '': set, but empty/);
    assert.deepEqual(
      problemsOf({ ...localOnly, BACKUP_AGE_RECIPIENTS_FILE: '/f' }, { '/f': { content: '\n' } }).length,
      1,
    );
  });

  it('refuses quotes, line ends of Windows and white space around any value of ours', () => {
    for (const name of variableNames.filter((one) => variables[one].multiline !== true)) {
      for (const [text, reason] of [
        ['"x"', /quotes/],
        ["'x'", /quotes/],
        ['x\r', /carriage return/],
        [' x', /white space/],
        ['x\n', /white space|line/],
      ] as const) {
        const line = problemsOf({ ...localOnly, [name]: text }).find((one) => one.startsWith(`${name} `));
        assert.match(line ?? '', reason, `${name}=${JSON.stringify(text)}`);
      }
    }
  });

  it('shows a long or odd value on one short line', () => {
    const [line] = problemsOf({ ...localOnly, BACKUP_VERIFY: `a\n\u001B[31m${'b'.repeat(5000)}` });
    assert.ok((line ?? '').length < 250);
    assert.ok(!/\p{Cc}/u.test(line ?? ''));
  });

  it('is there in spite of channels that cannot be used, and says what is wrong with them', () => {
    for (const [name, text] of Object.entries({
      BACKUP_NTFY_URL: 'https://user:100%safe@ntfy.example.com/topic',
      BACKUP_WEBHOOK_URL: 'ftp://example.com',
      BACKUP_DISCORD_WEBHOOK_URL: '"https://discord.com/api/webhooks/1/x"',
      BACKUP_SLACK_WEBHOOK_URL: 'hooks.slack.com/services/x',
      BACKUP_PING_URL: 'https://hc-ping.com/2d4f1e62/start',
      BACKUP_APPRISE_URL: 'http://apprise:8000/notify/',
      BACKUP_GOTIFY_URL: 'https://gotify.example.com/message',
      BACKUP_MATRIX_HOMESERVER: 'https://matrix.example.org/_matrix',
      BACKUP_MATRIX_ROOM: 'ops',
      BACKUP_TELEGRAM_CHAT_ID: 'my chat',
      BACKUP_TELEGRAM_BOT_TOKEN: 'bot1:x',
      BACKUP_TELEGRAM_THREAD_ID: 'general',
      BACKUP_EMAIL_TO: 'Admin <admin@example.com>',
    })) {
      const { settings, problems } = read({ ...localOnly, [name]: text });
      assert.notEqual(settings, null, name);
      assert.ok(
        problems.some(({ variable }) => variable === name),
        name,
      );
      assert.ok(!problems.some(({ shownValue }) => shownValue?.includes('100%safe')));
    }
    assert.notEqual(read({ ...localOnly, BACKUP_WEBHOOK_URL_FILE: '/missing' }).settings, null);
    const halves = read({ ...localOnly, BACKUP_MATRIX_TOKEN: 'x' });
    assert.deepEqual(
      halves.problems.map(({ variable }) => variable),
      ['BACKUP_MATRIX_HOMESERVER', 'BACKUP_MATRIX_ROOM'],
    );
    assert.equal(halves.settings?.messages.matrix, null);
    assert.equal(read({ ...localOnly, BACKUP_NTFY_URL: 'x', BACKUP_TIMEOUT: 'x' }).settings, null);
  });

  it('takes every form of address that its service gives', () => {
    const addresses = {
      BACKUP_NTFY_URL: ['https://user:100%25safe@ntfy.sh/my-topic', 'http://ntfy/a?auth=x'],
      BACKUP_PING_URL: [
        'https://hc-ping.com/2d4f',
        'http://kuma:3001/api/push/AbC?status=up&msg=OK',
        'https://x.io/?id=1',
      ],
      BACKUP_APPRISE_URL: ['http://apprise:8000/notify/key', 'http://apprise/base/notify/key/?tag=ops'],
      BACKUP_GOTIFY_URL: ['https://gotify.example.com/?token=A1', 'https://example.com/gotify/message?token=A1'],
      BACKUP_MATRIX_ROOM: ['!abc:example.org', '#ops:example.org', '!idwithoutserver'],
      BACKUP_MATRIX_HOMESERVER: ['https://matrix.example.org', 'http://synapse:8008/'],
    };
    for (const [name, texts] of Object.entries(addresses))
      for (const text of texts)
        assert.deepEqual(
          read({ ...localOnly, [name]: text }).problems.filter(({ variable }) => variable === name),
          [],
          text,
        );
  });

  it('reads schedules and what they keep', () => {
    const { settings } = read({ ...localOnly, BACKUP_SCHEDULE_DRILL: '0 3 * * 0', BACKUP_KEEP_DAILY: '14' });
    assert.equal(settings?.schedules.drill, '0 3 * * 0');
    assert.deepEqual(settings?.retention.keep.daily, { kind: 'count', n: 14 });
    assert.match(problemsOf({ ...localOnly, BACKUP_KEEP_DAILY: 'never' })[0] ?? '', /BACKUP_KEEP_DAILY/);
  });

  it('gives compression its own level, and refuses a level that it does not have', () => {
    assert.deepEqual(compressionOf('zstd'), { kind: 'zstd', level: 12 });
    assert.deepEqual(compressionOf('zstd', '22'), { kind: 'zstd', level: 22 });
    assert.deepEqual(compressionOf('xz', '0'), { kind: 'xz', level: 0 });
    assert.deepEqual(compressionOf('none'), { kind: 'none' });
    for (const [kind, level] of [
      ['xz', '10'],
      ['zstd', '0'],
      ['zstd', '23'],
      ['none', '6'],
      ['xz', '-1'],
    ]) {
      const { problems } = read({ ...localOnly, BACKUP_COMPRESSION: kind, BACKUP_COMPRESSION_LEVEL: level });
      assert.equal(problems.length, 1);
      // Whoever follows the advice is not refused again.
      if (kind === 'zstd') assert.match(problems[0]?.remedy ?? '', /\b1 to 22/);
    }
  });

  it('uses no more threads than there are cores, and says it when more were asked for', () => {
    const { settings, warnings } = read({ ...localOnly, BACKUP_THREADS: '16' });
    assert.equal(settings?.threads, 4);
    assert.match(warnings.join('\n'), /BACKUP_THREADS=16 is more than the 4 cores/);
  });

  it('takes TZ unless BACKUP_TIMEZONE is set; a bad TZ warns, a bad BACKUP_TIMEZONE is an error', () => {
    assert.equal(settingsOf({ ...localOnly, TZ: ':Europe/Berlin' }).timeZone, 'Europe/Berlin');
    assert.equal(
      settingsOf({ ...localOnly, TZ: 'Asia/Tokyo', BACKUP_TIMEZONE: 'Europe/Berlin' }).timeZone,
      'Europe/Berlin',
    );
    assert.equal(settingsOf({ ...localOnly, TZ: '' }).timeZone, 'UTC');
    const bad = read({ ...localOnly, TZ: 'CET-1CEST' });
    assert.deepEqual([bad.settings?.timeZone, bad.warnings.length], ['UTC', 1]);
    assert.equal(problemsOf({ ...localOnly, BACKUP_TIMEZONE: 'CET-1CEST' }).length, 1);
  });

  it('finds settings that contradict each other or have no effect', () => {
    assert.match(
      problemsOf({ ...localOnly, BACKUP_TELEGRAM_CHAT_ID: '1' })[0] ?? '',
      /BACKUP_TELEGRAM_BOT_TOKEN: missing/,
    );
    assert.match(
      problemsOf({ ...localOnly, BACKUP_STATE_DIR: '/backups/' })[0] ?? '',
      /same directory as BACKUP_STATE_DIR/,
    );
    assert.match(warned({ BACKUP_HTTP_TOKEN: 'x' }), /BACKUP_HTTP_TOKEN has no effect without/);
    assert.match(warned({ BACKUP_HTTP_PORT: '8080', BACKUP_HTTP_TOKEN: '' }), /BACKUP_HTTP_TOKEN is set but empty/);
    assert.equal(warned({ BACKUP_HTTP_TOKEN: '' }), '');
    assert.equal(warned({ BACKUP_HTTP_PORT: '8080' }), '');
    assert.match(warned({ BACKUP_EMAIL_TO: 'a@example.com' }), /SMTP_SERVER/);
    assert.doesNotMatch(warned({ BACKUP_EMAIL_TO: 'a@example.com', SMTP_SERVER: 'smtp.example.com' }), /SMTP_SERVER/);
    assert.match(warned({ BACKUP_VERIFY: 'etag' }), /always read back/);
    assert.match(warned({ BACKUP_TIMEOUT: '5m' }), /BACKUP_STALL_TIMEOUT has no effect/);
    assert.match(warned({ BACKUP_PITR_KEEP: '14d' }), /^BACKUP_PITR_KEEP has no effect without BACKUP_PITR=on$/);
    assert.match(warned({ BACKUP_SCHEDULE_BASE: '@daily', BACKUP_PITR: 'off' }), /^BACKUP_SCHEDULE_BASE has no effect/);
    assert.equal(warned({ BACKUP_PITR: 'on', BACKUP_PITR_KEEP: '14d' }), '');
    assert.match(
      warned({ BACKUP_RETENTION: 'lifecycle' }),
      /removes nothing from BACKUP_LOCAL_DIR[^\n]*rules; run prune/,
    );
    assert.match(warned({ BACKUP_RETENTION: 'lifecycle', BACKUP_PITR: 'on' }), /, and no base backups and no log;/);
    assert.equal(warned({ BACKUP_RETENTION: 'prune' }), '');
  });
});
