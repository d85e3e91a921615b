// The whole thing against real servers: back up, read back, restore with stock tools, compare every table's rows.

import assert from 'node:assert/strict';
import { execFileSync, execSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { dumpOf, type Manifest } from '../../src/snapshots/manifest.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { databaseEnvironment, runCommand, runProcess } from '../support/command.ts';
import { countRows, createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, testPassword, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { dumpKey, manifestFrom } from '../support/manifests.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);

/** Restores a plain archive with the stock pg_restore into a new database and counts its rows. */
async function restoreStock(
  server: PostgresServer,
  { archive, name }: { readonly archive: string; readonly name: string },
): Promise<Record<string, number>> {
  await server.createDatabase(name);
  execFileSync(
    'pg_restore',
    [
      '--exit-on-error',
      '--no-owner',
      '-h',
      '127.0.0.1',
      '-p',
      String(server.port),
      '-U',
      'mastodon',
      '-d',
      name,
      archive,
    ],
    {
      env: { PATH: process.env['PATH'], PGPASSWORD: testPassword },
    },
  );
  const counts = await countRows(server.mastodon(name));
  await server.query(`drop database "${name}"`);
  return counts;
}

for (const major of [14, 15] as const) {
  describe(`a backup of PostgreSQL ${major}`, () => {
    let server: PostgresServer;
    let s3: S3TestServer;
    let counts: Record<string, number>;
    let environment: Record<string, string>;
    const scratch = temporaryDirectory();
    before(async () => {
      server = await startPostgres({ major });
      s3 = await startS3();
      await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 2, withOddities: true });
      counts = await countRows(server.mastodon('mastodon_production'));
      environment = {
        ...databaseEnvironment(server.mastodon('mastodon_production')),
        ...s3.environment,
        BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
        BACKUP_COMPRESSION_LEVEL: '1',
        LOCAL_DOMAIN: 'social.example',
      };
    });
    after(async () => {
      await s3[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      scratch[Symbol.dispose]();
    });

    async function fetchObject(key: ObjectKey, file: string): Promise<void> {
      writeFileSync(file, await buffer(await s3.store().get(key, { signal })));
    }

    /** The library that `config` names; undefined: none. */
    async function shownCompressor(settings: Readonly<Record<string, string>>): Promise<string | undefined> {
      const on = { ...environment, BACKUP_COMPRESSION_LEVEL: '', ...settings };
      const [document, text] = [await runCommand(['config', '--json'], on), await runCommand(['config'], on)];
      const shown = JSON.parse(document.stdout) as { name: string; by?: string }[];
      const { by } = shown.find(({ name }) => name === 'BACKUP_COMPRESSION') ?? {};
      assert.equal(/^BACKUP_COMPRESSION .*\((\w+ [\d.]+)\)$/m.exec(text.stdout)?.[1], by);
      return by;
    }

    async function newest(): Promise<Manifest> {
      const listed = await runCommand(['list', '--json'], environment);
      const [manifest] = (JSON.parse(listed.stdout) as { snapshots: unknown[] }).snapshots.map(manifestFrom);
      assert.ok(manifest);
      return manifest;
    }

    it('is stored, verified, listed, and restores with stock xz and pg_restore to the rows of the manifest', async () => {
      const run = await runCommand(['run', 'weekly', '--json'], environment);
      assert.equal(run.status, 0, run.stderr);
      const manifest = await newest();
      assert.equal(manifest.tier, 'weekly');
      assert.equal(manifest.instance, 'social.example');
      assert.equal(manifest.verified.method, 'full');
      assert.equal(manifest.mastodon?.schemaVersion, '20251023160000');
      assert.deepEqual(manifest.database.rows, counts);
      assert.equal(dumpOf(manifest).compressor, await shownCompressor({}));
      const archive = path.join(scratch.path, 'archive');
      await fetchObject(dumpKey(manifest), `${archive}.xz`);
      execSync(`xz -d -c ${archive}.xz > ${archive}`);
      assert.deepEqual(await restoreStock(server, { archive, name: 'restored' }), counts);
      const verified = await runCommand(['verify', 'latest:weekly'], environment);
      assert.equal(verified.status, 0, verified.stderr);
      assert.match(verified.stdout, /decoded to the end/);
    });

    it('is encrypted with only the public key here, read back all the same, and opened by stock age', async () => {
      const identity = path.join(scratch.path, 'identity');
      execSync(`age-keygen -o ${identity} 2>/dev/null`);
      const recipient = execSync(`age-keygen -y ${identity}`).toString().trim();
      const encrypted = { ...environment, BACKUP_AGE_RECIPIENTS: recipient };
      const run = await runCommand(['run', 'monthly', '--json'], encrypted);
      assert.equal(run.status, 0, run.stderr);
      const manifest = await newest();
      assert.equal(dumpOf(manifest).encryption, 'age');
      assert.equal(manifest.verified.method, 'full');
      const archive = path.join(scratch.path, 'archive-age');
      await fetchObject(dumpKey(manifest), `${archive}.xz.age`);
      execSync(`age -d -i ${identity} ${archive}.xz.age | xz -d > ${archive}`);
      assert.deepEqual(await restoreStock(server, { archive, name: 'restored_age' }), counts);

      const hashedOnly = await runCommand(['verify', 'latest'], encrypted);
      assert.equal(hashedOnly.status, 0, hashedOnly.stderr);
      assert.match(hashedOnly.stdout, /NOT decoded/);
      const decoded = await runCommand(['verify', 'latest', '--identity', identity], encrypted);
      assert.match(decoded.stdout, /decoded to the end/);

      const plain = await runCommand(['run'], environment);
      assert.equal(plain.status, 2);
      assert.match(plain.stderr, /newest backup .* is encrypted/);
      const allowed = await runCommand(['run', 'yearly'], { ...environment, BACKUP_ALLOW_PLAINTEXT: 'true' });
      assert.equal(allowed.status, 0, allowed.stderr);
    });

    it('goes to a bucket and a directory from one dump, with a manifest in each', async () => {
      const directory = path.join(scratch.path, 'nas');
      mkdirSync(directory, { recursive: true });
      const both = { ...environment, BACKUP_LOCAL_DIR: directory, BACKUP_ALLOW_PLAINTEXT: 'true' };
      const run = await runCommand(['run', '--label', 'before the upgrade', '--json'], both);
      assert.equal(run.status, 0, run.stderr);
      const { destinations } = JSON.parse(run.stdout) as { destinations: { store: string; status: string }[] };
      assert.deepEqual(
        destinations.map(({ store, status }) => `${store} ${status}`),
        ['s3 stored', 'local stored'],
      );
      assert.equal(readdirSync(path.join(directory, 'labelled')).length, 2);
      for (const from of ['s3', 'local']) {
        const verified = await runCommand(['verify', 'latest:labelled', '--from', from], both);
        assert.equal(verified.status, 0, verified.stderr);
      }
    });

    it('uses zstd and no compression just as well', async () => {
      for (const [kind, decode] of [
        ['zstd', 'zstd -d --long=27 -c'],
        ['none', 'cat'],
      ] as const) {
        const run = await runCommand(['run', 'hourly', '--json'], {
          ...environment,
          BACKUP_COMPRESSION: kind,
          BACKUP_COMPRESSION_LEVEL: '',
          BACKUP_ALLOW_PLAINTEXT: 'true',
        });
        assert.equal(run.status, 0, run.stderr);
        const manifest = await newest();
        assert.equal(dumpOf(manifest).compression, kind);
        assert.equal(dumpOf(manifest).compressor, await shownCompressor({ BACKUP_COMPRESSION: kind }));
        const archive = path.join(scratch.path, `archive-${kind}`);
        await fetchObject(dumpKey(manifest), `${archive}.stored`);
        execSync(`${decode} ${archive}.stored > ${archive}`);
        assert.deepEqual(await restoreStock(server, { archive, name: `restored_${kind}` }), counts);
      }
    });

    it('compares the ETag of a multipart upload when it is told not to read back', async () => {
      // More than the 8 MiB of a part.
      await server.query(
        `create table noise as select repeat(md5(n::text), 1000) as text from generate_series(1, 280) n; alter table noise owner to mastodon`,
        'mastodon_production',
      );
      const run = await runCommand(['run', 'daily', '--json'], {
        ...environment,
        BACKUP_VERIFY: 'etag',
        BACKUP_COMPRESSION: 'none',
        BACKUP_COMPRESSION_LEVEL: '',
        BACKUP_ALLOW_PLAINTEXT: 'true',
      });
      assert.equal(run.status, 0, run.stderr);
      const manifest = await newest();
      assert.equal(manifest.verified.method, 'etag');
      assert.match(dumpOf(manifest).etag ?? '', /^[0-9a-f]{32}-2$/);
      await server.query('drop table noise', 'mastodon_production');
    });

    it('leaves no unfinished upload and no process behind', async () => {
      assert.deepEqual(await s3.unfinishedUploads(), []);
      const backends = await server.query(
        "select count(*)::int as n from pg_stat_activity where application_name = 'mastodon-backup'",
      );
      assert.deepEqual(backends, [{ n: 0 }]);
    });

    it("uses none of the media's AWS settings and touches no foreign object", async () => {
      const store = s3.store();
      const foreign = 'daily/2023-12-29.sql.xz' as ObjectKey;
      await store.putDocument(foreign, Buffer.from('the classic script was here'), { signal });
      const awsConfig = path.join(scratch.path, 'aws-config');
      writeFileSync(
        awsConfig,
        '[default]\nendpoint_url = http://127.0.0.1:9\nregion = nowhere-1\nuse_fips_endpoint = true\n',
      );
      const misleading = {
        AWS_ENDPOINT_URL: 'http://127.0.0.1:9',
        AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9',
        AWS_ACCESS_KEY_ID: 'media-key',
        AWS_SECRET_ACCESS_KEY: 'media-secret',
        AWS_CONFIG_FILE: awsConfig,
        AWS_SHARED_CREDENTIALS_FILE: awsConfig,
        AWS_USE_FIPS_ENDPOINT: 'true',
        AWS_USE_DUALSTACK_ENDPOINT: 'true',
        AWS_MAX_ATTEMPTS: '1',
        AWS_REGION: 'nowhere-2',
        S3_ENABLED: 'true',
        S3_BUCKET: 'media',
        S3_ENDPOINT: 'http://127.0.0.1:9',
      };
      const run = await runProcess(['run', 'daily'], { ...environment, ...misleading, BACKUP_ALLOW_PLAINTEXT: 'true' });
      assert.equal(run.status, 0, run.stderr);
      const listed = await runProcess(['list'], { ...environment, ...misleading });
      assert.match(listed.stdout, /Foreign, never touched:\n.*daily\/2023-12-29\.sql\.xz/);
      assert.equal((await buffer(await store.get(foreign, { signal }))).toString(), 'the classic script was here');
    });

    it('finds nothing wrong with doctor, and leaves no probe behind', async () => {
      const doctor = await runCommand(['doctor', '--json'], environment);
      assert.equal(doctor.status, 0, doctor.stdout + doctor.stderr);
      const findings = JSON.parse(doctor.stdout) as { check: string; status: string }[];
      assert.ok(findings.some(({ check, status }) => check === 's3' && status === 'ok'));
      assert.deepEqual(
        (await s3.keys()).filter((key) => key.includes('probe')),
        [],
      );
    });

    it('keeps the manifest readable for people who have nothing but it', async () => {
      const manifest = await newest();
      assert.equal(dumpOf(manifest).compression, 'xz');
      assert.ok(manifest.database.serverVersion.startsWith(String(major)));
      assert.ok(readFileSync(new URL('../../package.json', import.meta.url), 'utf8').includes('"version"'));
    });
  });
}
