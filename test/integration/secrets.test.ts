// Mastodon's settings beside each backup, against real servers: encrypted, opened with stock age, compared from run to run,
// and never anywhere in the clear.

import assert from 'node:assert/strict';
import { execFileSync, execSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { partOf, type Manifest } from '../../src/snapshots/manifest.ts';
import { readAll } from '../../src/snapshots/document-reading.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { readAsCompose } from '../support/compose-env-file.ts';
import { databaseEnvironment, runCommand, type CommandResult } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { manifestFrom, secretsKey } from '../support/manifests.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);

/** What an instance has in its .env.production; values that must be seen nowhere. */
const mastodon = {
  LOCAL_DOMAIN: 'social.example',
  SECRET_KEY_BASE: 'skb-0123456789abcdef',
  OTP_SECRET: 'otp-0123456789abcdef',
  VAPID_PRIVATE_KEY: 'vapid-private-0123456789=',
  VAPID_PUBLIC_KEY: 'vapid-public-0123456789=',
  ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY: 'are-primary-0123456789',
  ACTIVE_RECORD_ENCRYPTION_DETERMINISTIC_KEY: 'are-deterministic-0123456789',
  ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT: 'are-salt-0123456789',
  SMTP_PASSWORD: ` a # "quoted" $HOME it's\\`,
  SAML_CERT: '-----BEGIN CERTIFICATE-----\nsaml-certificate\n-----END CERTIFICATE-----',
  AWS_SECRET_ACCESS_KEY: 'media-secret-0123456789',
  ES_USER: '',
};
const hiddenValues = Object.entries(mastodon).flatMap(([name, value]) =>
  name === 'LOCAL_DOMAIN' || value === '' ? [] : [value],
);

interface Finding {
  readonly check: string;
  readonly status: string;
  readonly detail: string;
  readonly remedy: string | null;
}

for (const major of [14, 15] as const) {
  describe(`Mastodon's settings beside a backup of PostgreSQL ${major}`, () => {
    let server: PostgresServer;
    let s3: S3TestServer;
    let recipient: string;
    let environment: Record<string, string>;
    const scratch = temporaryDirectory();
    const directory = path.join(scratch.path, 'backups');
    const identity = path.join(scratch.path, 'key.txt');
    before(async () => {
      server = await startPostgres({ major });
      s3 = await startS3();
      await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
      execSync(`mkdir ${directory} && age-keygen -o ${identity} 2>/dev/null`);
      recipient = execSync(`age-keygen -y ${identity}`).toString().trim();
      environment = {
        ...databaseEnvironment(server.mastodon('mastodon_production')),
        ...s3.environment,
        ...mastodon,
        BACKUP_LOCAL_DIR: directory,
        BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
        BACKUP_COMPRESSION_LEVEL: '1',
      };
    });
    after(async () => {
      await s3[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      scratch[Symbol.dispose]();
    });

    const encrypted = (): Record<string, string> => ({ ...environment, BACKUP_AGE_RECIPIENTS: recipient });

    async function succeeds(args: readonly string[], variables: Record<string, string>): Promise<CommandResult> {
      const result = await runCommand(args, variables);
      assert.equal(result.status, 0, result.stderr);
      for (const value of hiddenValues) assert.ok(!(result.stdout + result.stderr).includes(value));
      return result;
    }

    async function newest(from: 's3' | 'local'): Promise<Manifest> {
      const { stdout } = await succeeds(['list', '--json', '--from', from], encrypted());
      const [manifest] = (JSON.parse(stdout) as { snapshots: unknown[] }).snapshots.map(manifestFrom);
      assert.ok(manifest);
      return manifest;
    }

    async function secretsFindings(variables: Record<string, string>): Promise<readonly Finding[]> {
      const { stdout } = await runCommand(['doctor', '--json'], variables);
      return (JSON.parse(stdout) as Finding[]).filter(({ check }) => check === 'secrets');
    }

    it('do not travel without recipients, which the run and doctor say', async () => {
      const run = await succeeds(['run', 'daily'], environment);
      assert.match(run.stderr, /secrets are not stored with this backup, for they would be in the clear/);
      assert.equal((await newest('s3')).secrets, null);
      assert.deepEqual(
        [...(await s3.keys()), ...readdirSync(directory, { recursive: true, encoding: 'utf8' })].filter((key) =>
          key.includes('secrets'),
        ),
        [],
      );
      const [finding] = await secretsFindings(environment);
      assert.equal(finding?.status, 'warning');
      assert.match(finding.detail, /do not travel with the backups/);
    });

    it('travel encrypted to each destination, and come back unchanged with stock age', async () => {
      const run = await succeeds(['run', 'weekly', '--json'], encrypted());
      assert.deepEqual((JSON.parse(run.stdout) as { warnings: string[] }).warnings, []);
      const wanted = { ...databaseEnvironment(server.mastodon('mastodon_production')), ...mastodon };
      for (const from of ['s3', 'local'] as const) {
        const manifest = await newest(from);
        assert.ok(manifest.secrets);
        const part = partOf(manifest, 'secrets');
        assert.equal(part?.name, `${manifest.id}.secrets.env.age`);
        assert.equal(Object.keys(manifest.secrets.fingerprints).length, 8);
        const object = path.join(scratch.path, `${from}.age`);
        const content =
          from === 's3'
            ? await readAll(await s3.store().get(secretsKey(manifest), { signal }))
            : readFileSync(path.join(directory, secretsKey(manifest)));
        assert.equal(content.length, part.bytes);
        writeFileSync(object, content);
        const opened = execFileSync('age', ['-d', '-i', identity, object]).toString();
        assert.deepEqual(readAsCompose(opened), wanted);
      }
      const [finding, ...more] = await secretsFindings(encrypted());
      assert.ok(finding);
      assert.equal(finding.status, 'ok', finding.detail);
      assert.match(finding.detail, /^17 of Mastodon's settings travel encrypted/);
      assert.deepEqual(more, []);
    });

    it('are nowhere in the clear: no stored byte and no manifest holds a value', async () => {
      for (const key of await s3.keys()) {
        const content = (await readAll(await s3.store().get(key as ObjectKey, { signal }))).toString('latin1');
        for (const value of hiddenValues) assert.ok(!content.includes(value), key);
      }
    });

    it('are verified with the dump, as far as there is an identity', async () => {
      const closed = await succeeds(['verify', 'latest:weekly', '--json'], encrypted());
      assert.equal((JSON.parse(closed.stdout) as { secrets: string }).secrets, 'hashed');
      const opened = await succeeds(['verify', 'latest:weekly', '--identity', identity], encrypted());
      assert.match(opened.stdout, /settings beside it: opened, its secrets are those of the manifest/);
    });

    it('are left out with BACKUP_SECRETS=off, without a warning', async () => {
      const off = { ...encrypted(), BACKUP_SECRETS: 'off' };
      const run = await succeeds(['run', 'monthly'], off);
      assert.doesNotMatch(run.stderr, /secrets/i);
      assert.equal((await newest('local')).secrets, null);
      assert.equal((await secretsFindings(off))[0]?.status, 'ok');
    });

    it('that changed or are missing are told at once by the run and by doctor, with what that means', async () => {
      const { OTP_SECRET: _lost, ...left } = encrypted();
      const changed = { ...left, ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY: 'are-primary-another-0123456789' };
      const findings = await secretsFindings(changed);
      const warnings = findings.filter(({ status }) => status === 'warning').map(({ detail }) => detail);
      assert.equal(warnings.length, 3, warnings.join('\n'));
      assert.match(warnings[0] ?? '', /not in our environment and so not in the backups: OTP_SECRET/);
      const run = await succeeds(['run', 'weekly', '--json'], changed);
      const told = (JSON.parse(run.stdout) as { warnings: string[] }).warnings;
      assert.deepEqual(told, warnings.slice(1));
      assert.match(told[0] ?? '', /ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY changed since the backup weekly\/.*two-factor/);
      assert.match(told[1] ?? '', /OTP_SECRET came with the backup weekly\/.* not set here any more/);
      assert.ok(!(run.stdout + run.stderr).includes('are-primary-another'));
      // The next run compares with that one, and has nothing to tell.
      const again = await succeeds(['run', 'weekly', '--json'], changed);
      assert.deepEqual((JSON.parse(again.stdout) as { warnings: string[] }).warnings, []);
    });

    it('that are missing in the store leave the dump a backup, and verify and list say so', async () => {
      const manifest = await newest('local');
      const { tier, id } = manifest;
      const file = path.join(directory, secretsKey(manifest));
      const content = readFileSync(file);
      rmSync(file);
      const listed = await succeeds(['list', '--json', '--from', 'local'], encrypted());
      const { withoutSecrets, damaged } = JSON.parse(listed.stdout) as Record<string, unknown[]>;
      assert.deepEqual([withoutSecrets, damaged], [[{ tier, id }], []]);
      const text = await succeeds(['list', '--from', 'local'], encrypted());
      assert.match(text.stdout, new RegExp(`settings beside them are missing:\n +${tier}/${id}\n`));
      const verified = await runCommand(['verify', 'latest', '--from', 'local'], encrypted());
      assert.equal(verified.status, 13);
      assert.match(verified.stderr, /secrets\.env\.age' in directory .* failed verification: it is missing/);
      for (const [broken, says] of [
        [Buffer.from(content).fill(0x7a, content.length - 1), /its SHA-256 differs/],
        [content.subarray(0, -1), /has \d+ bytes instead of/],
      ] as const) {
        writeFileSync(file, broken);
        const run = await runCommand(['verify', 'latest', '--from', 'local', '--identity', identity], encrypted());
        assert.equal(run.status, 13);
        assert.match(run.stderr, says);
      }
      writeFileSync(file, content);
    });

    it('that cannot be stored make the destination fail without a manifest, and the other one finishes', async () => {
      const committed = (await s3.keys()).filter((key) => key.endsWith('.json'));
      s3.rule(({ method, path: at }) =>
        method === 'PUT' && at.endsWith('.secrets.env.age')
          ? { kind: 'answer', status: 403, code: 'AccessDenied' }
          : { kind: 'pass' },
      );
      const run = await runCommand(['run', 'yearly', '--json'], encrypted());
      s3.rule(() => ({ kind: 'pass' }));
      assert.equal(run.status, 12, run.stderr);
      const { destinations } = JSON.parse(run.stdout) as { destinations: { store: string; status: string }[] };
      assert.deepEqual(
        destinations.map(({ store, status }) => [store, status]),
        [
          ['s3', 'failed'],
          ['local', 'stored'],
        ],
      );
      assert.deepEqual(
        (await s3.keys()).filter((key) => key.endsWith('.json')),
        committed,
      );
      assert.equal((await newest('local')).tier, 'yearly');
    });
  });
}
