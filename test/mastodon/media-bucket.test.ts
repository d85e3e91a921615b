import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bucketOf } from '../../src/config/settings.ts';
import { findMediaBucketProblem } from '../../src/mastodon/media-bucket.ts';
import { aws, environmentOf, localOnly, r2, settingsOf } from '../config/environments.ts';

const r2Host = `${r2.BACKUP_R2_ACCOUNT_ID}.r2.cloudflarestorage.com`;
const { BACKUP_R2_ACCOUNT_ID: _account, ...keys } = r2;

function isRefused(variables: Readonly<Record<string, string>>): boolean {
  return findMediaBucketProblem(environmentOf(variables), bucketOf(settingsOf(variables))) !== undefined;
}

describe("Mastodon's media bucket", () => {
  it('is refused however its endpoint is written', () => {
    const ours = { ...keys, BACKUP_S3_ENDPOINT: 'https://s3.example.com', S3_BUCKET: 'my-backups' };
    for (const S3_ENDPOINT of [
      'https://s3.example.com',
      'https://s3.example.com/',
      'HTTPS://S3.EXAMPLE.COM:443',
      's3.example.com',
      'http://s3.example.com',
      '"https://s3.example.com"',
      'https://my-backups.s3.example.com',
      'https://s3.example.com/my-backups',
      'https://s3.example.com.',
    ]) {
      assert.equal(isRefused({ ...ours, S3_ENDPOINT }), true, S3_ENDPOINT);
    }
    assert.equal(isRefused({ ...ours, S3_HOSTNAME: 's3.example.com' }), true);
    assert.equal(isRefused({ ...ours, S3_ENDPOINT: 'https://s3.example.com', S3_HOSTNAME: 'files.example.com' }), true);
    assert.equal(isRefused({ ...ours, S3_ENDPOINT: 'https://s3.example.com', S3_BUCKET: 'MY-BACKUPS' }), true);
    assert.equal(isRefused({ ...ours, S3_ENDPOINT: 'https://s3.example.com', S3_ENABLED: 'false' }), true);
  });

  it('is refused on R2, whether by account or by endpoint', () => {
    const media = { S3_BUCKET: 'my-backups', S3_ENDPOINT: `https://${r2Host}` };
    assert.equal(isRefused({ ...r2, ...media }), true);
    assert.equal(isRefused({ ...keys, BACKUP_S3_ENDPOINT: `https://my-backups.${r2Host}`, ...media }), true);
    assert.equal(isRefused({ ...r2, BACKUP_R2_JURISDICTION: 'eu', ...media }), false);
  });

  it('is refused on AWS through any of its hosts, since names are unique there', () => {
    for (const media of [
      {},
      { S3_REGION: 'us-west-2' },
      { S3_HOSTNAME: 's3-eu-central-1.amazonaws.com' },
      { S3_ENDPOINT: 'https://s3.dualstack.eu-central-1.amazonaws.com' },
      { S3_HOSTNAME: 'my-backups.s3.amazonaws.com' },
    ]) {
      assert.equal(isRefused({ ...aws, S3_BUCKET: 'my-backups', ...media }), true, JSON.stringify(media));
    }
  });

  it('is another one when bucket, host or port is another', () => {
    const ours = { ...keys, BACKUP_S3_ENDPOINT: 'http://minio:9000' };
    assert.equal(isRefused({ ...ours, S3_BUCKET: 'media', S3_ENDPOINT: 'http://minio:9000' }), false);
    assert.equal(isRefused({ ...ours, S3_BUCKET: 'my-backups', S3_ENDPOINT: 'http://minio:9001' }), false);
    assert.equal(isRefused({ ...ours, S3_BUCKET: 'my-backups' }), false);
    assert.equal(isRefused({ ...ours, S3_ENDPOINT: 'http://minio:9000' }), false);
    assert.equal(isRefused({ ...localOnly, S3_BUCKET: 'my-backups' }), false);
  });

  it('is explained', () => {
    const variables = { ...aws, S3_BUCKET: 'my-backups' };
    const found = findMediaBucketProblem(environmentOf(variables), bucketOf(settingsOf(variables)));
    assert.match(found?.problem ?? '', /that bucket is public/);
  });
});
