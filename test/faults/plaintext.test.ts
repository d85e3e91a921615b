// Where backups are encrypted, one in the clear is nobody's: whoever may write the bucket, or has Mastodon's database role, can
// make one that looks like ours. It is not the latest, not restored, not drilled and not copied, unless a person says so.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { DrillDocument } from '../../src/drill/drill-record.ts';
import { openApp } from '../support/app.ts';
import { databaseEnvironment, runCommand, temporaryDirectory, type CommandResult } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';

type Settings = Readonly<Record<string, string>>;

describe('a snapshot in the clear beside encrypted ones', () => {
  let server: PostgresServer;
  let s3: S3TestServer;
  let encrypted: Settings;
  let identity: string;
  let ours: string;
  let forged: string;
  const scratch = temporaryDirectory();
  const nas = path.join(scratch.path, 'nas');
  const plain = (settings: Settings): Settings => {
    const { BACKUP_AGE_RECIPIENTS: _recipients, BACKUP_AGE_IDENTITY_FILE: _identity, ...others } = settings;
    return others;
  };
  const succeeds = async (args: readonly string[], settings: Settings): Promise<CommandResult> => {
    const result = await runCommand(args, settings);
    assert.equal(result.status, 0, result.stderr);
    return result;
  };
  const run = async (settings: Settings): Promise<string> => {
    const { stdout } = await succeeds(['run', '--json'], settings);
    const { tier, id } = JSON.parse(stdout) as { tier: string; id: string };
    return `${tier}/${id}`;
  };
  before(async () => {
    chmodSync(scratch.path, 0o755);
    mkdirSync(nas);
    server = await startPostgres({ major: 15 });
    await server.query('alter role mastodon createdb');
    s3 = await startS3();
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
    await createMastodonDatabase(server, { name: 'of_somebody_else', megabytes: 1 });
    const key = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    identity = path.join(scratch.path, 'key.txt');
    writeFileSync(identity, key);
    encrypted = {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      ...s3.environment,
      LOCAL_DOMAIN: 'social.example',
      BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
      BACKUP_SCRATCH_DIR: path.join(scratch.path, 'scratch'),
      BACKUP_PG_BIN: linkPrograms(path.join(scratch.path, 'bin'), 15),
      BACKUP_COMPRESSION: 'none',
      BACKUP_AGE_RECIPIENTS: /age1\w+/.exec(key)?.[0] ?? '',
      BACKUP_AGE_IDENTITY_FILE: identity,
    };
    ours = await run(encrypted);
    forged = await run({
      ...plain(encrypted),
      ...databaseEnvironment(server.mastodon('of_somebody_else')),
      BACKUP_STATE_DIR: path.join(scratch.path, 'elsewhere'),
      BACKUP_ALLOW_PLAINTEXT: 'true',
    });
  });
  after(async () => {
    await s3[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  it('is not the latest one, and whoever asks for that is told', async () => {
    for (const [index, settings] of [encrypted, plain(encrypted)].entries()) {
      const named = ['--identity', identity];
      const report = await succeeds(
        ['restore', 'latest', '--output', `${scratch.path}/a${index}`, '--json', ...named],
        settings,
      );
      assert.equal((JSON.parse(report.stdout) as { snapshot: string }).snapshot, ours);
      assert.match(report.stderr, new RegExp(`${forged}, was passed over: it is not encrypted`));
      const verified = await succeeds(['verify', '--json', ...named], settings);
      assert.equal((JSON.parse(verified.stdout) as { snapshot: string }).snapshot, ours);
    }
    const kit = await succeeds(['recovery-kit'], encrypted);
    assert.match(kit.stdout, new RegExp(`newest backup +${ours}`));
    const drilled = await succeeds(['drill', '--json'], encrypted);
    const document = JSON.parse(drilled.stdout) as DrillDocument;
    assert.deepEqual([document.status, document.snapshot], ['passed', ours], drilled.stdout);
    assert.ok(document.checks.some(({ check, detail }) => check === 'latest' && detail.includes(forged)));
  });

  it('is neither restored nor drilled by its name, unless that is allowed', async () => {
    for (const args of [
      ['restore', forged, '--to-database', 'restored'],
      ['restore', forged, '--output', `${scratch.path}/b`],
      ['restore', forged, '--secrets-output', `${scratch.path}/c`],
      ['drill', forged],
    ]) {
      const refused = await runCommand(args, encrypted);
      assert.equal(refused.status, 2, refused.stderr);
      assert.match(
        refused.stderr,
        /is refused: it is not encrypted, and backups here are.*BACKUP_ALLOW_PLAINTEXT=true/,
      );
      const named = await runCommand([...args, '--identity', identity], plain(encrypted));
      assert.equal(named.status, 2, named.stderr);
    }
    assert.deepEqual(await server.query("select from pg_database where datname = 'restored'"), []);
    const allowed = { ...encrypted, BACKUP_ALLOW_PLAINTEXT: 'true' };
    await succeeds(['restore', forged, '--to-database', 'restored'], allowed);
    await succeeds(['drill', forged], allowed);
    await succeeds(['verify', forged], encrypted);
  });

  it('is not copied to a destination that missed it, and hides none that is', async () => {
    const settings = { ...encrypted, BACKUP_LOCAL_DIR: nas };
    await using app = openApp(settings);
    assert.equal(await app.mend(AbortSignal.timeout(60_000)), true);
    const name = (snapshot: string): string => snapshot.replace('daily/', '');
    assert.deepEqual(
      readdirSync(path.join(nas, 'daily')).filter((file) => file.endsWith('.json')),
      [`${name(ours)}.json`],
    );
    assert.equal(await app.mend(AbortSignal.timeout(60_000)), false);
  });
});
