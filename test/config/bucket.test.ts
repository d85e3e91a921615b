import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bucketOf } from '../../src/config/settings.ts';
import { aws, localOnly, problemsOf, r2, read, settingsOf } from './environments.ts';

const { BACKUP_R2_ACCOUNT_ID: account, ...keys } = r2;

const addressOf = (endpoint: string, region?: string): unknown => {
  const s3 = bucketOf(settingsOf({ ...keys, BACKUP_S3_ENDPOINT: endpoint, BACKUP_S3_REGION: region }));
  return [s3?.endpoint, s3?.profile, s3?.region, s3?.concurrency];
};

const namesOf = (variables: Readonly<Record<string, string>>): readonly string[] =>
  read(variables).problems.map(({ variable }) => variable);

const warnsOfHttp = (endpoint: string): boolean =>
  read({ ...keys, BACKUP_S3_ENDPOINT: endpoint }).warnings.some((line) => line.includes('plain http'));

describe('the bucket', () => {
  it('builds the endpoint of R2 from account and jurisdiction', () => {
    const plain = bucketOf(settingsOf(r2));
    assert.deepEqual(
      [plain?.endpoint, plain?.region, plain?.profile, plain?.concurrency],
      [`https://${account}.r2.cloudflarestorage.com`, 'auto', 'r2', 2],
    );
    assert.equal(
      bucketOf(settingsOf({ ...r2, BACKUP_R2_JURISDICTION: 'eu' }))?.endpoint,
      `https://${account}.eu.r2.cloudflarestorage.com`,
    );
    assert.equal(problemsOf({ ...r2, BACKUP_R2_JURISDICTION: 'us' }).length, 1);
  });

  it('treats an endpoint by what it is, however it was written', () => {
    assert.deepEqual(addressOf(`https://${account}.r2.cloudflarestorage.com/`), [
      `https://${account}.r2.cloudflarestorage.com`,
      'r2',
      'auto',
      2,
    ]);
    assert.deepEqual(addressOf('HTTPS://S3.Example.com:443'), ['https://s3.example.com', 'other', 'us-east-1', 4]);
    assert.deepEqual(addressOf('https://s3.eu-central-1.amazonaws.com', 'eu-central-1'), [
      'https://s3.eu-central-1.amazonaws.com',
      'aws',
      'eu-central-1',
      4,
    ]);
    assert.deepEqual(addressOf('https://amazonaws.com.example.com'), [
      'https://amazonaws.com.example.com',
      'other',
      'us-east-1',
      4,
    ]);
  });

  it('needs a region on AWS, and a real one', () => {
    assert.deepEqual([bucketOf(settingsOf(aws))?.endpoint, bucketOf(settingsOf(aws))?.profile], [null, 'aws']);
    assert.match(problemsOf(keys)[0] ?? '', /BACKUP_S3_REGION: missing, and AWS needs it/);
    assert.match(problemsOf({ ...aws, BACKUP_S3_REGION: 'auto' })[0] ?? '', /no region 'auto' on AWS/);
    assert.equal(problemsOf({ ...aws, BACKUP_S3_REGION: 'eu central' }).length, 1);
  });

  it('names what is missing of a bucket that is half set', () => {
    assert.deepEqual(namesOf({ ...localOnly, BACKUP_S3_BUCKET: 'my-backups', BACKUP_S3_REGION: 'x1' }), [
      'BACKUP_S3_ACCESS_KEY_ID',
      'BACKUP_S3_SECRET_ACCESS_KEY',
    ]);
    assert.deepEqual(namesOf({ ...localOnly, BACKUP_R2_ACCOUNT_ID: account }).length, 3);
    assert.deepEqual(namesOf({ ...localOnly, ...r2, BACKUP_S3_BUCKET: '' }), ['BACKUP_S3_BUCKET']);
  });

  it('adds no false problem to one that is wrong already', () => {
    assert.equal(problemsOf({ ...r2, BACKUP_R2_ACCOUNT_ID: 'short' }).length, 1);
    assert.equal(problemsOf({ ...keys, BACKUP_S3_ENDPOINT: 'minio:9000' }).length, 1);
    assert.equal(problemsOf({ ...r2, BACKUP_S3_BUCKET: 's3://x' }).length, 1);
  });

  it('refuses an account and an endpoint together, and a jurisdiction alone', () => {
    assert.match(
      problemsOf({ ...r2, BACKUP_S3_ENDPOINT: 'https://s3.example.com' })[0] ?? '',
      /set together with BACKUP_R2_ACCOUNT_ID/,
    );
    assert.match(
      problemsOf({ ...aws, BACKUP_R2_JURISDICTION: 'eu' })[0] ?? '',
      /no meaning without BACKUP_R2_ACCOUNT_ID/,
    );
  });

  it('warns about plain http to other networks alone', () => {
    assert.deepEqual(
      [warnsOfHttp('http://s3.example.com'), warnsOfHttp('http://minio:9000'), warnsOfHttp('https://s3.example.com')],
      [true, false, false],
    );
  });

  it('explains an endpoint that holds the bucket in its host', () => {
    assert.match(
      read({ ...keys, BACKUP_S3_ENDPOINT: 'https://my-backups.s3.example.com' }).warnings.join('\n'),
      /begins with the bucket's name/,
    );
  });

  it('sees that key id and secret were exchanged, and shows neither', () => {
    const secret = 'f'.repeat(64);
    const lines = problemsOf({ ...r2, BACKUP_S3_ACCESS_KEY_ID: secret, BACKUP_S3_SECRET_ACCESS_KEY: 'a'.repeat(32) });
    assert.match(lines[0] ?? '', /Exchange the two/);
    assert.ok(!lines.join('').includes(secret));
  });

  it("never takes Mastodon's keys or endpoint for its own", () => {
    const mastodon = {
      AWS_ACCESS_KEY_ID: 'x',
      AWS_SECRET_ACCESS_KEY: 'x',
      S3_ENDPOINT: 'https://media.example',
      S3_REGION: 'x',
      AWS_REGION: 'x',
      AWS_ENDPOINT_URL_S3: 'https://x',
    };
    assert.deepEqual(bucketOf(settingsOf({ ...r2, ...mastodon })), bucketOf(settingsOf(r2)));
    assert.match(
      problemsOf({ ...mastodon, BACKUP_S3_BUCKET: 'my-backups' }).join('\n'),
      /BACKUP_S3_ACCESS_KEY_ID: missing/,
    );
  });

  it('says that a prefix alone makes no bucket', () => {
    assert.match(read({ ...localOnly, BACKUP_S3_PREFIX: 'a' }).warnings.join('\n'), /BACKUP_S3_PREFIX has no effect/);
  });
});
