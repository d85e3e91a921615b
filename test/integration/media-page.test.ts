// The page about uploaded files: its script copies them from a directory and from bucket to bucket with rclone as Debian has it, and
// brings them back; what is removed is kept aside, and an empty source is no reason to remove.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { commandBlock } from '../support/documentation.ts';
import { outputOf } from '../support/output.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const script = fileURLToPath(new URL('../../docs/media/media-backup.sh', import.meta.url));
const key = { accessKeyId: 'test-key-id', secretAccessKey: 'test-secret-key' };

function remote(name: string, endpoint: string): Readonly<Record<string, string>> {
  const settings = {
    TYPE: 's3',
    PROVIDER: 'Other',
    ENDPOINT: endpoint,
    REGION: 'us-east-1',
    ACCESS_KEY_ID: key.accessKeyId,
    SECRET_ACCESS_KEY: key.secretAccessKey,
    NO_CHECK_BUCKET: 'true',
  };
  return Object.fromEntries(Object.entries(settings).map(([part, value]) => [`RCLONE_CONFIG_${name}_${part}`, value]));
}

describe('the copy of uploaded files', () => {
  const scratch = temporaryDirectory();
  const system = path.join(scratch.path, 'system');
  const pings: string[] = [];
  const pingServer = createServer((request, response) => {
    pings.push(request.url ?? '');
    response.end('OK');
  });
  let s3: S3TestServer;
  let client: S3Client;
  let environment: Record<string, string>;
  before(async () => {
    s3 = await startS3();
    client = new S3Client({ endpoint: s3.endpoint, region: 'us-east-1', forcePathStyle: true, credentials: key });
    for (const Bucket of ['media', 'copies']) await client.send(new CreateBucketCommand({ Bucket }));
    await new Promise<void>((resolve) => pingServer.listen(0, '127.0.0.1', resolve));
    const address = pingServer.address();
    assert.ok(typeof address === 'object' && address !== null);
    environment = {
      PATH: process.env['PATH'] ?? '',
      HOME: scratch.path,
      no_proxy: '127.0.0.1',
      ...remote('MEDIA', s3.endpoint),
      ...remote('COPY', s3.endpoint),
      PING_URL: `http://127.0.0.1:${address.port}/check`,
      RCLONE_S3_MAX_UPLOAD_PARTS: '1000',
    };
  });
  after(async () => {
    pingServer.close();
    client.destroy();
    await s3[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });
  beforeEach(() => void (pings.length = 0));

  async function run(
    command: readonly [string, ...string[]],
    more: Readonly<Record<string, string>>,
  ): Promise<Awaited<ReturnType<typeof outputOf>>> {
    const [program, ...args] = command;
    const env = { ...environment, ...more };
    return outputOf(spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 }));
  }

  const copy = async (more: Readonly<Record<string, string>>): Promise<Awaited<ReturnType<typeof outputOf>>> =>
    run(['sh', script], more);

  async function keys(bucket: string): Promise<readonly string[]> {
    const { Contents: contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    return contents.map(({ Key }) => Key ?? '').toSorted();
  }

  function put(name: string, content: string): void {
    const file = path.join(system, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  }

  it('takes public/system without its cache, and brings it back', async () => {
    put('media_attachments/files/1/original/a.png', 'picture');
    put('accounts/avatars/1/original/ä ö.png', 'face');
    put('cache/media_attachments/files/2/original/b.png', 'of others');
    const to = { MEDIA: system, COPY: 'copy:copies/one' };
    const first = await copy(to);
    assert.equal(first.status, 0, first.stderr);
    assert.deepEqual(await keys('copies'), [
      'one/files/accounts/avatars/1/original/ä ö.png',
      'one/files/media_attachments/files/1/original/a.png',
    ]);
    assert.deepEqual(pings, ['/check/start', '/check']);
    const back = path.join(scratch.path, 'back');
    const typed = commandBlock('--entrypoint rclone')
      .replace('docker compose run --rm --entrypoint rclone media-backup', 'rclone')
      .replace('copy:social-media-backups/media', 'copy:copies/one')
      .replace(' /system ', ` '${back}' `);
    const restored = await run(['sh', '-ec', typed], { RCLONE_CONFIG: '/dev/null' });
    assert.equal(restored.status, 0, restored.stderr);
    assert.equal(readFileSync(path.join(back, 'accounts/avatars/1/original/ä ö.png'), 'utf8'), 'face');
  });

  it('keeps what was removed aside until its time is over, and nothing that was not', async () => {
    const to = { MEDIA: system, COPY: 'copy:copies/one' };
    rmSync(path.join(system, 'media_attachments'), { recursive: true });
    const second = await copy(to);
    assert.equal(second.status, 0, second.stderr);
    const kept = (await keys('copies')).filter((one) => one.startsWith('one/removed/'));
    assert.equal(kept.length, 1);
    assert.match(kept[0] ?? '', /^one\/removed\/media_attachments\/files\/1\/original\/a\.png\.\d{8}T\d{6}Z$/);
    await new Promise((resolve) => void setTimeout(resolve, 2_100));
    const third = await copy({ ...to, KEEP: '1s' });
    assert.equal(third.status, 0, third.stderr);
    assert.deepEqual(await keys('copies'), ['one/files/accounts/avatars/1/original/ä ö.png']);
  });

  it('copies from bucket to bucket, and refuses a source with nothing in it', async () => {
    const to = { MEDIA: 'media:media', COPY: 'copy:copies/two' };
    const empty = await copy(to);
    assert.equal(empty.status, 1);
    assert.match(empty.stderr, /There is nothing in media:media/);
    assert.deepEqual(pings, ['/check/start', '/check/fail']);
    for (const [Key, Body] of [
      ['media_attachments/files/1/original/a.png', 'picture'],
      ['cache/accounts/avatars/2/original/b.png', 'of others'],
    ] as const)
      await client.send(new PutObjectCommand({ Bucket: 'media', Key, Body }));
    const full = await copy(to);
    assert.equal(full.status, 0, full.stderr);
    assert.deepEqual(
      (await keys('copies')).filter((one) => one.startsWith('two/')),
      ['two/files/media_attachments/files/1/original/a.png'],
    );
    const gone = await copy({ ...to, MEDIA: path.join(scratch.path, 'not-mounted') });
    assert.equal(gone.status, 1);
    assert.equal((await keys('copies')).filter((one) => one.startsWith('two/')).length, 1);
    assert.ok(readdirSync(scratch.path).every((one) => one !== 'not-mounted'));
  });

  it('says that it failed where the copy cannot be written', async () => {
    const { status } = await copy({
      MEDIA: system,
      COPY: 'copy:no-such-bucket/x',
      RCLONE_RETRIES: '1',
      RCLONE_LOW_LEVEL_RETRIES: '1',
    });
    assert.equal(status, 1);
    assert.deepEqual(pings, ['/check/start', '/check/fail']);
  });
});
