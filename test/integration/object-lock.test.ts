// Buckets in which nobody can delete before a time is over: they take what we send, what is locked stays and is said to, and a bucket
// that only seems to free what is deleted is known for it.

import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { Readable } from 'node:stream';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { examineAccess, examineStore } from '../../src/doctor/store-check.ts';
import { wantedRules } from '../../src/retention/lifecycle.ts';
import { readSettings } from '../../src/config/settings.ts';
import { createEnvironment } from '../../src/config/environment.ts';
import { removeSnapshot } from '../../src/snapshots/deletion-law.ts';
import { createRepository, type Repository } from '../../src/snapshots/repository.ts';
import { createS3Store } from '../../src/storage/s3-store.ts';
import type { ObjectKey, RemovableStore } from '../../src/storage/store.ts';
import { openApp } from '../support/app.ts';
import { aManifest, dumpKey, putSnapshot } from '../support/manifests.ts';
import { createLockedBucket } from '../support/providers/object-lock.ts';
import { quietLog } from '../support/quiet-log.ts';
import { realS3 } from '../support/real-s3.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { keep } from '../support/status-facts.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const dayMs = 86_400_000;
const partBytes = 5 * 1024 * 1024;

/** Stores, copies and documents one of each kind, as a run does. */
async function storeAll(store: RemovableStore, folder: string): Promise<readonly ObjectKey[]> {
  const key = (name: string): ObjectKey => `${folder}${name}` as ObjectKey;
  const options = { signal, partBytes, retained: true };
  for (const [name, bytes] of [
    ['small', 10],
    ['large', partBytes + 1],
  ] as const) {
    const { etag } = await store.put(key(name), Readable.from([randomBytes(bytes)]), options);
    await store.copy(key(name), {
      to: key(`${name}-copy`),
      source: { bytes, etag, partBytes },
      signal,
      retained: true,
    });
  }
  await store.putDocument(key('manifest.json'), Buffer.from('{}'), { signal, retained: true });
  return ['small', 'small-copy', 'large', 'large-copy', 'manifest.json'].map(key);
}

async function findings(
  repository: Repository,
  objectLockDays: number | null,
): Promise<Readonly<Record<string, string>>> {
  const found = await examineStore(repository, { now: () => new Date(), keep, objectLockDays, signal });
  return Object.fromEntries(found.map(({ check, status, detail }) => [check, `${status}: ${detail}`]));
}

describe('a bucket with Object Lock', () => {
  let server: S3TestServer;
  before(async () => {
    server = await startS3();
  });
  after(async () => server[Symbol.asyncDispose]());

  it('takes every part and object, for each comes with its MD5', async () => {
    const seen: string[] = [];
    const { rule } = createLockedBucket({ deletes: 'refused' });
    server.rule((request) => {
      if (request.method === 'PUT') seen.push(String(request.headers['content-md5']));
      return rule(request);
    });
    const store = server.storeBehindDoor();
    await storeAll(store, 'md5/');
    assert.ok(seen.includes(createHash('md5').update('{}').digest('base64')));
  });

  it('locks what is retained for as long as the settings say, and nothing else', async () => {
    const { rule, locks } = createLockedBucket({ deletes: 'refused' });
    server.rule(rule);
    const store = server.storeBehindDoor({ objectLockDays: 30 });
    const begun = Date.now();
    const keys = await storeAll(store, 'locked/');
    await store.putDocument('locked/mastodon-backup.place' as ObjectKey, Buffer.from('x'), { signal });
    assert.deepEqual([...locks.keys()].toSorted(), keys.map((key) => `/backups/${key}`).toSorted());
    for (const end of locks.values()) {
      const days = (Date.parse(end) - begun) / dayMs;
      assert.ok(days >= 30 && days < 30.01, end);
    }
    const until = (await store.head('locked/large' as ObjectKey, { signal }))?.lockedUntil;
    assert.equal(until?.toISOString(), new Date(locks.get('/backups/locked/large') ?? 0).toISOString());
  });

  for (const deletes of ['refused', 'marked'] as const) {
    it(`keeps what is locked out of retention where a deletion is ${deletes}, and says so`, async () => {
      await using own = await startS3();
      const { rule, locks } = createLockedBucket({ deletes });
      own.rule(rule);
      using folder = temporaryDirectory();
      const made = [];
      for (const days of [1, 2, 3, 40, 50, 60])
        made.push(await putSnapshot(own.store(), { dataAt: new Date(Date.now() - days * dayMs) }));
      const [, , , first, second] = made;
      assert.ok(first !== undefined && second !== undefined);
      const end = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + dayMs).toISOString();
      // Of one the dump alone, of another one whose lock is over.
      locks.set(`/backups/${dumpKey(first)}`, end);
      locks.set(`/backups/${dumpKey(second)}`, new Date(Date.now() - dayMs).toISOString());
      if (deletes === 'refused') locks.delete(`/backups/${dumpKey(second)}`);
      await using app = openApp({
        ...own.environment,
        LOCAL_DOMAIN: 'social.example',
        BACKUP_STATE_DIR: folder.path,
        BACKUP_KEEP_DAILY: '7d',
        DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none',
      });
      for (const dryRun of [true, false]) {
        const [result] = await app.prune({ dryRun, acceptNewServer: false, signal });
        assert.equal(result?.error, null);
        const verdict: { readonly keep: boolean; readonly reason: string } | undefined = result.plan?.verdicts.find(
          ({ snapshot }) => snapshot.id === first.id,
        );
        assert.deepEqual([verdict?.keep, verdict?.reason.startsWith(`locked until ${end}, `)], [true, true]);
        assert.equal(result.plan?.remove.length, 2);
        assert.equal(result.removed.length, dryRun ? 0 : 2);
      }
      assert.equal((await own.keys()).filter((key) => key.endsWith('.json')).length, 4);
      assert.ok((await own.keys()).includes(dumpKey(first)), 'none of its objects went');
      assert.deepEqual(
        (await app.health()).warnings.filter((text) => /Retention/.test(text)),
        [],
      );
    });
  }

  it('is told by doctor, with what it means for what is deleted', async () => {
    const repository = createRepository(server.storeBehindDoor());
    server.rule(createLockedBucket({ deletes: 'marked' }).rule);
    const locked = await findings(repository, 30);
    assert.match(locked['s3 lock'] ?? '', /^ok: nobody can delete a backup for 30 days \(COMPLIANCE\)/);
    assert.match(locked['s3 versions'] ?? '', /^warning: the bucket keeps versions: .* frees nothing/);
    server.rule(() => ({ kind: 'pass' }));
    const { settings } = readSettings(createEnvironment({ BACKUP_LOCAL_DIR: '/nas' }, { uid: 0 }));
    assert.ok(settings !== null);
    await server
      .store()
      .replaceLifecycleRules(wantedRules(settings, { prefix: '', isVersioned: true }), { idPrefix: 'x', signal });
    server.rule(createLockedBucket({ deletes: 'marked' }).rule);
    assert.match((await findings(repository, null))['s3 versions'] ?? '', /^ok: older versions/);
    server.rule(({ query }) =>
      query.has('object-lock')
        ? { kind: 'answer', status: 404, code: 'ObjectLockConfigurationNotFoundError' }
        : { kind: 'pass' },
    );
    const without = await findings(repository, 30);
    assert.match(without['s3 lock'] ?? '', /^problem: .*has no Object Lock/);
    assert.equal(without['s3 versions'], undefined);
    server.rule(({ query }) =>
      query.has('object-lock') || query.has('versioning')
        ? { kind: 'answer', status: 403, code: 'AccessDenied' }
        : { kind: 'pass' },
    );
    assert.match((await findings(repository, 30))['s3 lock'] ?? '', /^warning: the token may not look/);
  });
});

const real = realS3();
if (real !== undefined)
  describe('a real bucket with Object Lock', () => {
    const bucket = `lock-${randomUUID()}`;
    const { accessKeyId, secretAccessKey, endpoint } = real;
    const credentials = { accessKeyId, secretAccessKey };
    const admin = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
    before(async () => admin.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true })));
    after(() => admin.destroy());

    it('locks parts, copies and documents, so that no version of them can be deleted', async () => {
      const store = createS3Store({ ...real, bucket, objectLockDays: 1 });
      for (const key of await storeAll(store, 'locked/')) {
        const until = (await store.head(key, { signal }))?.lockedUntil;
        assert.ok(until !== undefined && until.getTime() > Date.now() + dayMs - 60_000, key);
        const { Versions } = await admin.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: key }));
        const VersionId = Versions?.find(({ Key }) => Key === key)?.VersionId;
        await assert.rejects(admin.send(new DeleteObjectCommand({ Bucket: bucket, Key: key, VersionId })), /./, key);
      }
      await store.close();
    });

    it('keeps a snapshot that the law is asked to remove, and lets an unlocked one go', async () => {
      const locking = createS3Store({ ...real, bucket, objectLockDays: 1 });
      const plain = createS3Store({ ...real, bucket });
      const manifest = aManifest();
      await locking.put(dumpKey(manifest), Readable.from(['content']), { signal, partBytes, retained: true });
      const other = await putSnapshot(plain, { tier: 'weekly' });
      const { encodeManifest } = await import('../../src/snapshots/manifest.ts');
      await plain.putDocument(`daily/${manifest.id}.json` as ObjectKey, encodeManifest(manifest), { signal });
      const options = { instance: 'social.example', now: new Date(), log: quietLog, signal };
      await assert.rejects(removeSnapshot(createRepository(plain), { ...options, manifest }), { reason: 'locked' });
      assert.ok((await plain.head(`daily/${manifest.id}.json` as ObjectKey, { signal })) !== null);
      await removeSnapshot(createRepository(plain), { ...options, manifest: other });
      assert.equal(await plain.head(`weekly/${other.id}.json` as ObjectKey, { signal }), null);
      await Promise.all([locking.close(), plain.close()]);
    });

    it('is known for what it is, and for what it is not', async () => {
      const locked = createRepository(createS3Store({ ...real, bucket }));
      assert.deepEqual(await locked.store.protection({ signal }), { versioning: 'on', lock: 'on' });
      assert.match((await findings(locked, 1))['s3 versions'] ?? '', /frees nothing/);
      const plain = createRepository(createS3Store(real));
      assert.deepEqual(await plain.store.protection({ signal }), { versioning: 'off', lock: 'off' });
      assert.match((await findings(plain, 1))['s3 lock'] ?? '', /^problem: .*has no Object Lock/);
      const refused = createS3Store({ ...real, objectLockDays: 1 });
      await assert.rejects(refused.putDocument('x' as ObjectKey, Buffer.from('x'), { signal, retained: true }), {
        hint: /must have Object Lock/,
      });
      for (const { store } of [locked, plain, { store: refused }]) await store.close();
    });

    // A second user, whom the gateway of the image's tests has.
    const other = process.env['TEST_S3_LIMITED_USER'];
    it(
      'lets a user who is limited to a prefix back up there',
      { skip: other === undefined && 'no such user' },
      async () => {
        const [user, limitedKey, limitedSecret] = (other ?? '').split(':');
        const resource = `arn:aws:s3:::${bucket}`;
        const statement = { Effect: 'Allow', Principal: { AWS: [`arn:aws:iam:::user/${user}`] } };
        const Policy = JSON.stringify({
          Version: '2012-10-17',
          Statement: [
            {
              ...statement,
              Action: ['s3:ListBucket'],
              Resource: resource,
              Condition: { StringLike: { 's3:prefix': ['own/*'] } },
            },
            {
              ...statement,
              Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'],
              Resource: `${resource}/own/*`,
            },
          ],
        });
        await admin.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
        const limited = { accessKeyId: limitedKey ?? '', secretAccessKey: limitedSecret ?? '' };
        const store = createS3Store({ ...real, ...limited, bucket, prefix: 'own/' });
        await assert.rejects(
          (async () => {
            for await (const _one of store.list('others/', { signal }));
          })(),
          { reason: 'access-denied' },
        );
        const skewMs = Math.abs(((await store.now({ signal }))?.getTime() ?? 0) - Date.now());
        assert.ok(skewMs < 60_000, String(skewMs));
        const limitedPlace = createRepository(store, { prefix: 'own/' });
        const found = await findings(limitedPlace, null);
        assert.equal((await examineAccess(limitedPlace, { signal })).status, 'ok');
        assert.match(found['s3 clock'] ?? '', /^ok: /);
        await store.close();
      },
    );
  });
