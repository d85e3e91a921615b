// What bucket rules do on a server that carries them out, and not only remembers them: on Ceph's gateway a lifecycle day can
// be ten seconds. Runs only where the environment names such a server.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, CreateMultipartUploadCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3';
import { createS3Store } from '../../src/storage/s3-store.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { runCommand } from '../support/command.ts';
import { putSnapshot } from '../support/manifests.ts';
import { lifecycleDayMs, realS3 } from '../support/real-s3.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const server = realS3();
const dayMs = lifecycleDayMs();
const skip = server === undefined || dayMs === undefined ? 'no server with short lifecycle days is named' : false;

describe('bucket rules on a real server', { skip }, () => {
  it('expire a tier when its age has come, and nothing else, and abort an unfinished upload', async (context) => {
    assert.ok(server !== undefined && dayMs !== undefined);
    const signal = AbortSignal.timeout(60 * dayMs);
    using scratch = temporaryDirectory();
    const settings = { ...server, bucket: `${server.bucket}-lifecycle-${randomBytes(4).toString('hex')}` };
    const { bucket: Bucket, endpoint, region, accessKeyId, secretAccessKey } = settings;
    const admin = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    });
    await admin.send(new CreateBucketCommand({ Bucket }));
    const store = createS3Store(settings);
    const environment = {
      DB_HOST: '127.0.0.1',
      BACKUP_S3_ENDPOINT: endpoint,
      BACKUP_S3_BUCKET: Bucket,
      BACKUP_S3_ACCESS_KEY_ID: accessKeyId,
      BACKUP_S3_SECRET_ACCESS_KEY: secretAccessKey,
      BACKUP_STATE_DIR: scratch.path,
      BACKUP_RETENTION: 'lifecycle',
      BACKUP_KEEP_DAILY: '3d',
      BACKUP_KEEP_WEEKLY: '2w',
    };
    const keys = async (): Promise<readonly string[]> => {
      const found: string[] = [];
      for await (const { key } of store.list('', { signal })) found.push(key);
      return found;
    };
    const uploads = async (): Promise<number> => {
      let count = 0;
      for await (const _upload of store.listUnfinished('', { signal })) count += 1;
      return count;
    };
    try {
      const startedAt = performance.now();
      const daily = await putSnapshot(store, { tier: 'daily' });
      for (const tier of ['weekly', 'yearly', 'labelled'] as const) await putSnapshot(store, { tier });
      const foreign = 'dailyish/2023-12-29.sql.xz' as ObjectKey;
      await store.putDocument(foreign, Buffer.from('of somebody else'), { signal });
      const { UploadId } = await admin.send(
        new CreateMultipartUploadCommand({ Bucket, Key: 'daily/2026-01-02T000000Z-aaaaaa.dump.xz' }),
      );
      const part = { Bucket, Key: 'daily/2026-01-02T000000Z-aaaaaa.dump.xz', UploadId, PartNumber: 1 };
      await admin.send(new UploadPartCommand({ ...part, Body: randomBytes(100_000) }));
      assert.equal(await uploads(), 1);
      const all = await keys();
      assert.equal(all.length, 9);

      const applied = await runCommand(['lifecycle', 'apply'], environment);
      assert.equal(applied.status, 0, applied.stderr);
      assert.match(applied.stdout, /They are in place/);

      while ((await keys()).some((key) => key.startsWith(`daily/${daily.id}`))) {
        assert.ok(performance.now() - startedAt < 12 * dayMs, `after twelve days: ${(await keys()).join(' ')}`);
        await sleep(dayMs / 10);
      }
      const days = (performance.now() - startedAt) / dayMs;
      context.diagnostic(`the daily, kept for 3 days, expired after ${days.toFixed(1)}`);
      assert.ok(days >= 3, `expired after ${days.toFixed(1)} days instead of three`);
      assert.deepEqual(
        await keys(),
        all.filter((key) => !key.startsWith(`daily/`)),
        'the rest stays',
      );
      while ((await uploads()) > 0) {
        assert.ok(performance.now() - startedAt < 12 * dayMs, 'the unfinished upload is still there');
        await sleep(dayMs / 10);
      }

      context.diagnostic(
        `the unfinished upload was gone after ${((performance.now() - startedAt) / dayMs).toFixed(1)} days`,
      );

      // Left to this program again, the rules expire nothing more.
      const back = await runCommand(['lifecycle', 'apply'], { ...environment, BACKUP_RETENTION: 'prune' });
      assert.equal(back.status, 0, back.stderr);
      assert.equal(performance.now() - startedAt < 14 * dayMs, true, 'too slow to see the weekly stay');
      await sleep(Math.max(0, startedAt + 18 * dayMs - performance.now()));
      assert.equal((await keys()).filter((key) => key.startsWith('weekly/')).length, 2);
    } finally {
      await store.close();
      admin.destroy();
    }
  });
});
