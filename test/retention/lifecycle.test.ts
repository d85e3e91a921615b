// Bucket rules: which match the settings, which would delete too early, and that those of others are never changed.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  GetBucketLifecycleConfigurationCommand,
  PutBucketLifecycleConfigurationCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { createEnvironment } from '../../src/config/environment.ts';
import { readSettings, type Settings } from '../../src/config/settings.ts';
import { describeEarlyExpiry, findEarlyExpiry, wantedRules } from '../../src/retention/lifecycle.ts';
import type { LifecycleRule } from '../../src/storage/store.ts';
import { runCommand } from '../support/command.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

function settingsOf(variables: Readonly<Record<string, string>>): Settings {
  const { settings, problems } = readSettings(createEnvironment({ BACKUP_LOCAL_DIR: '/b', ...variables }, { uid: 0 }));
  assert.ok(settings !== null, JSON.stringify(problems));
  return settings;
}

const rule = (more: Partial<LifecycleRule>): LifecycleRule => ({
  id: 'theirs',
  prefix: '',
  enabled: true,
  expireDays: null,
  abortIncompleteDays: null,
  ...more,
});

describe('bucket rules', () => {
  it('only abort uploads while this program prunes', () => {
    const rules = wantedRules(settingsOf({}), { prefix: 'social/' });
    assert.deepEqual(rules[1], {
      id: 'mastodon-backup-daily',
      prefix: 'social/daily/',
      expireDays: null,
      abortIncompleteDays: 2,
    });
    assert.ok(rules.every(({ expireDays }) => expireDays === null));
  });

  it('expire no earlier than the policy would when they are left the retention', () => {
    const rules = wantedRules(settingsOf({ BACKUP_RETENTION: 'lifecycle', BACKUP_KEEP_LABELLED: '5' }), { prefix: '' });
    assert.deepEqual(
      rules.map(({ id, expireDays }) => `${id.replace('mastodon-backup-', '')} ${expireDays ?? 'never'}`),
      ['hourly 1', 'daily 7', 'weekly 42', 'monthly 186', 'yearly never', 'labelled never'],
    );
  });

  it('that delete what the settings keep are named, whatever they are written for', () => {
    const { keep } = settingsOf({}).retention;
    const early = (one: Partial<LifecycleRule>): readonly string[] =>
      findEarlyExpiry([rule(one)], { prefix: '', keep }).map(({ tier }) => tier);
    assert.deepEqual(early({ prefix: 'daily/', expireDays: 6 }), ['daily']);
    assert.deepEqual(early({ prefix: 'daily/', expireDays: 7 }), []);
    assert.deepEqual(early({ prefix: 'daily/2026', expireDays: 1 }), ['daily']);
    assert.deepEqual(early({ prefix: 'monthly/', expireDays: 180 }), [], 'six months as people count them');
    assert.deepEqual(early({ expireDays: 90 }), ['monthly', 'yearly', 'labelled']);
    assert.deepEqual(early({ expireDays: 90, enabled: false }), []);
    assert.deepEqual(early({ prefix: 'media/', expireDays: 1 }), []);
    const [first] = findEarlyExpiry([rule({ prefix: 'yearly/', expireDays: 400 })], { prefix: '', keep });
    assert.ok(first !== undefined);
    assert.equal(
      describeEarlyExpiry(first),
      "The bucket rule 'theirs' deletes yearly snapshots after 400 days; the settings keep them for ever",
    );
  });
});

describe('the command lifecycle', () => {
  let s3: S3TestServer;
  let admin: S3Client;
  const scratch = temporaryDirectory();
  before(async () => {
    s3 = await startS3();
    admin = new S3Client({
      endpoint: s3.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
  });
  after(async () => {
    admin.destroy();
    await s3[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });
  const environmentOf = (more: Readonly<Record<string, string>> = {}) => ({
    ...s3.environment,
    DB_HOST: '127.0.0.1',
    BACKUP_STATE_DIR: scratch.path,
    ...more,
  });
  const rulesOfBucket = async () =>
    (await admin.send(new GetBucketLifecycleConfigurationCommand({ Bucket: s3.bucket }))).Rules ?? [];

  it('puts our rules beside those of others, and takes only ours away again', async () => {
    const theirs = {
      ID: 'media',
      Status: 'Enabled',
      Filter: { Prefix: 'media/' },
      Expiration: { Days: 3 },
    } as const;
    await admin.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket: s3.bucket, LifecycleConfiguration: { Rules: [theirs] } }),
    );
    const shown = await runCommand(['lifecycle'], environmentOf());
    assert.equal(shown.status, 0, shown.stderr);
    assert.match(shown.stdout, /media: prefix 'media\/', deletes after 3 days/);
    assert.match(shown.stdout, /They are not all in place/);
    const applied = await runCommand(['lifecycle', 'apply'], environmentOf({ BACKUP_RETENTION: 'lifecycle' }));
    assert.equal(applied.status, 0, applied.stderr);
    assert.match(applied.stdout, /They are in place/);
    const after1 = await rulesOfBucket();
    assert.equal(after1.length, 7);
    assert.deepEqual(
      after1.find(({ ID }) => ID === 'media'),
      theirs,
    );
    assert.equal(after1.find(({ ID }) => ID === 'mastodon-backup-daily')?.Expiration?.Days, 7);
    await runCommand(['lifecycle', 'apply'], environmentOf());
    const after2 = await rulesOfBucket();
    assert.equal(after2.length, 7);
    assert.equal(after2.find(({ ID }) => ID === 'mastodon-backup-daily')?.Expiration, undefined);
    assert.deepEqual(
      after2.find(({ ID }) => ID === 'media'),
      theirs,
    );
  });

  it('gives the rules as text to enter by hand when the token may not change the bucket', async () => {
    s3.rule(({ query }) =>
      query.has('lifecycle') ? { kind: 'answer', status: 403, code: 'AccessDenied' } : { kind: 'pass' },
    );
    const result = await runCommand(['lifecycle', 'apply'], environmentOf());
    s3.rule(() => ({ kind: 'pass' }));
    assert.equal(result.status, 12);
    assert.match(
      result.stdout,
      /mastodon-backup-daily: prefix 'daily\/', abort incomplete multipart uploads after 2 days/,
    );
    assert.match(result.stderr, /Enter the rules above in the bucket's dashboard/);
  });

  it('says that a directory has no rules', async () => {
    const result = await runCommand(['lifecycle'], { DB_HOST: '127.0.0.1', BACKUP_LOCAL_DIR: scratch.path });
    assert.equal(result.status, 2);
    assert.match(result.stderr, /a directory has no rules/);
  });
});
