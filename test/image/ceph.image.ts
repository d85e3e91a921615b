// The tests that need a real S3 server, against Ceph's gateway: the contract that every store passes, and what bucket rules do
// where a lifecycle day takes ten seconds.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { dockerOutput, until } from './support/docker.ts';

const container = `mastodon-backup-test-ceph-${randomBytes(4).toString('hex')}`;

describe("on Ceph's gateway", () => {
  let endpoint: string;
  before(async () => {
    await dockerOutput(['run', '-d', '--name', container, 'mastodon-backup-test/ceph']);
    const format = '{{.NetworkSettings.IPAddress}}';
    endpoint = `http://${(await dockerOutput(['inspect', '-f', format, container])).trim()}:7480`;
    const admin = new S3Client({
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'testkey', secretAccessKey: 'testsecret' },
    });
    await until('the bucket can be created', {
      withinMs: 120_000,
      ask: async () =>
        admin.send(new CreateBucketCommand({ Bucket: 'contract' })).then(
          () => true,
          () => false,
        ),
    });
    admin.destroy();
  });
  after(async () => void (await dockerOutput(['rm', '-f', '-v', container])));

  // What the other tests print, told as one.
  const passes = async (file: string): Promise<void> => {
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', file], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: process.env['PATH'],
        TEST_S3_ENDPOINT: endpoint,
        TEST_S3_BUCKET: 'contract',
        TEST_S3_ACCESS_KEY_ID: 'testkey',
        TEST_S3_SECRET_ACCESS_KEY: 'testsecret',
        TEST_S3_LIMITED_USER: 'limited:limitedkey:limitedsecret',
        TEST_S3_LIFECYCLE_DAY_SECONDS: '10',
      },
    });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    const status = await new Promise((resolve) => child.once('close', resolve));
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^# skipped 0$/m, 'nothing was left out');
  };

  it('the store keeps its contract', async () => passes('test/storage/stores.test.ts'));

  it('what is locked stays, and a user limited to a prefix is one who can back up', async () =>
    passes('test/integration/object-lock.test.ts'));

  it('bucket rules expire what the policy would', async () => passes('test/integration/lifecycle-expiry.test.ts'));
});
