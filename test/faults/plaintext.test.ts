// Where backups are encrypted, one in the clear is nobody's: whoever may write the bucket, or has Mastodon's database role, can
// make one that looks like ours. It is not the latest, not restored, not drilled and not copied, unless a person says so.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { DrillDocument } from '../../src/drill/drill-record.ts';
import { snapshotName } from '../../src/snapshots/manifest.ts';
import { openApp } from '../support/app.ts';
import { databaseEnvironment, runCommand, type CommandResult } from '../support/command.ts';
import { forge, readStoredManifest } from '../support/forgeries.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

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

describe('a run whose recipients were lost', () => {
  let server: PostgresServer;
  const scratch = temporaryDirectory();
  const recipient = /age1\w+/.exec(
    execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  )?.[0];
  let states = 0;
  before(async () => {
    server = await startPostgres({ major: 15 });
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });
  const newState = (): Settings => {
    states += 1;
    return { BACKUP_STATE_DIR: path.join(scratch.path, `state-${states}`) };
  };
  const settingsFor = (s3: S3TestServer): Settings => ({
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    ...s3.environment,
    ...newState(),
    LOCAL_DOMAIN: 'social.example',
    BACKUP_COMPRESSION: 'none',
    BACKUP_SECRETS: 'off',
  });
  /** The bucket takes objects and gives them, but does not list them: as a proxy does that knows some requests alone. */
  const refuseToList = (s3: S3TestServer): void =>
    s3.rule(({ method, path: at, query }) =>
      method === 'GET' && (query.has('list-type') || at.endsWith('/backups/'))
        ? { kind: 'answer', status: 403, code: 'AccessDenied' }
        : { kind: 'pass' },
    );
  const clear = async (s3: S3TestServer): Promise<readonly string[]> =>
    (await s3.keys()).filter((key) => key.endsWith('.dump'));

  it('stores nothing in the clear where encrypted backups were made, though nobody can be asked', async () => {
    await using s3 = await startS3();
    const settings = settingsFor(s3);
    const encrypted = await runCommand(['run'], { ...settings, BACKUP_AGE_RECIPIENTS: recipient ?? '' });
    assert.equal(encrypted.status, 0, encrypted.stderr);
    refuseToList(s3);
    const remembered = await runCommand(['run'], settings);
    assert.equal(remembered.status, 2, remembered.stderr);
    assert.match(remembered.stderr, /the last backup that was made here was encrypted.*BACKUP_ALLOW_PLAINTEXT=true/);
    const elsewhere = path.join(scratch.path, 'elsewhere');
    mkdirSync(elsewhere);
    const besideDirectory = await runCommand(['run'], { ...settings, BACKUP_LOCAL_DIR: elsewhere });
    assert.equal(besideDirectory.status, 2, besideDirectory.stderr);
    assert.deepEqual(readdirSync(elsewhere), []);
    const forgotten = await runCommand(['run'], { ...settings, ...newState() });
    assert.equal(forgotten.status, 12, forgotten.stderr);
    assert.match(
      forgotten.stderr,
      /Nothing is stored unencrypted in .*cannot be asked: .*403.*; or set BACKUP_AGE_RECIPIENTS, or BACKUP_ALLOW_PLAINTEXT=true/,
    );
    const alone = Object.fromEntries(Object.entries(settings).filter(([name]) => !name.startsWith('BACKUP_S3_')));
    const unmounted = { ...alone, ...newState(), BACKUP_LOCAL_DIR: path.join(scratch.path, 'unmounted') };
    const gone = await runCommand(['run'], unmounted);
    assert.equal(gone.status, 12, gone.stderr);
    assert.match(gone.stderr, /The directory '.*unmounted' does not exist/);
    assert.doesNotMatch(gone.stderr, /PLAINTEXT/, 'no guard need be switched off');
    assert.deepEqual(await clear(s3), []);
    const allowed = await runCommand(['run'], { ...settings, BACKUP_ALLOW_PLAINTEXT: 'true' });
    assert.equal(allowed.status, 0, allowed.stderr);
    assert.equal((await clear(s3)).length, 1);
    // From now on it is what is usual here.
    const usual = await runCommand(['run'], settings);
    assert.equal(usual.status, 0, usual.stderr);
  });

  it('spares the place that gives no answer alone, when nothing is remembered of any', async () => {
    await using s3 = await startS3();
    refuseToList(s3);
    const directory = path.join(scratch.path, 'beside');
    mkdirSync(directory);
    const settings = { ...settingsFor(s3), BACKUP_LOCAL_DIR: directory };
    const run = await runCommand(['run', '--json'], settings);
    assert.equal(run.status, 12, run.stderr);
    const { destinations } = JSON.parse(run.stdout) as { destinations: { store: string; status: string }[] };
    assert.deepEqual(
      destinations.map(({ store, status }) => `${store} ${status}`),
      ['s3 failed', 'local stored'],
    );
    assert.deepEqual(await clear(s3), []);
    // Now it is known that backups here are not encrypted.
    const next = await runCommand(['run'], settings);
    assert.equal(next.status, 0, next.stderr);
    assert.equal((await clear(s3)).length, 1);
  });

  it('is announced by doctor, and list shows what is encrypted', async () => {
    await using s3 = await startS3();
    const settings = settingsFor(s3);
    const encrypted = { ...settings, BACKUP_AGE_RECIPIENTS: recipient ?? '' };
    for (const one of [encrypted, { ...settings, BACKUP_ALLOW_PLAINTEXT: 'true' }]) {
      const run = await runCommand(['run'], one);
      assert.equal(run.status, 0, run.stderr);
    }
    const listed = await runCommand(['list'], settings);
    assert.deepEqual(
      listed.stdout.split('\n').map((line) => / (?:age|NO|ENCRYPTED) /.exec(line)?.[0]?.trim()),
      ['ENCRYPTED', 'NO', 'age', undefined],
    );
    const doctor = async (one: Settings): Promise<readonly string[]> => {
      const result = await runCommand(['doctor', '--json'], one);
      return (JSON.parse(result.stdout) as { check: string; status: string; detail: string }[])
        .filter(({ check }) => check === 'encryption')
        .map(({ status, detail }) => `${status} ${detail}`);
    };
    assert.match(
      (await doctor(encrypted)).join('\n'),
      /^ok age, 1 recipient;.* holds 1 encrypted and 1 in the clear\nwarning in the clear, and later than encrypted ones: daily\//,
    );
    assert.match(
      (await doctor(settings)).join('\n'),
      /^warning backups are stored unencrypted.* holds 1 encrypted and 1 in/,
    );
    const run = await runCommand(['run'], encrypted);
    assert.equal(run.status, 0, run.stderr);
    assert.match(
      (await doctor(settings)).join('\n'),
      /^problem BACKUP_AGE_RECIPIENTS is not set, but .* the next run is refused$/,
    );
  });

  it('is not what one forged encrypted manifest makes of a backup that never was encrypted', async () => {
    await using s3 = await startS3();
    const settings = settingsFor(s3);
    const first = await runCommand(['run'], settings);
    assert.equal(first.status, 0, first.stderr);
    const [ours] = (await s3.keys()).filter((key) => key.endsWith('.json'));
    const like = await readStoredManifest(s3.store(), ours ?? '');
    const forgeEncrypted = async (): Promise<string> => {
      const content = Buffer.alloc(49);
      return snapshotName(await forge(s3.store(), { like, at: new Date(), content, encryption: 'age' }));
    };
    const forged = await forgeEncrypted();
    const second = await runCommand(['run', '--json'], settings);
    assert.equal(second.status, 0, second.stderr);
    assert.match(second.stderr, new RegExp(`${forged}, is encrypted, and backups that are made here are not`));
    const another = await forgeEncrypted();
    const doctor = await runCommand(['doctor'], settings);
    assert.match(doctor.stdout, new RegExp(`warning +encryption: .*${another}, is encrypted`));
    // Where nothing is remembered nobody can tell; one run that a person allows is enough for all that follow.
    const forgetful = { ...settings, ...newState() };
    const refused = await runCommand(['run'], forgetful);
    assert.equal(refused.status, 2, refused.stderr);
    assert.match(refused.stderr, /or BACKUP_ALLOW_PLAINTEXT=true/);
    const allowed = await runCommand(['run'], { ...forgetful, BACKUP_ALLOW_PLAINTEXT: 'true' });
    assert.equal(allowed.status, 0, allowed.stderr);
    await forgeEncrypted();
    const usual = await runCommand(['run'], forgetful);
    assert.equal(usual.status, 0, usual.stderr);
  });

  it('is refused also where somebody has put one in the clear that is dated in the future', async () => {
    await using s3 = await startS3();
    const settings = settingsFor(s3);
    const encrypted = await runCommand(['run'], { ...settings, BACKUP_AGE_RECIPIENTS: recipient ?? '' });
    assert.equal(encrypted.status, 0, encrypted.stderr);
    const [ours] = (await s3.keys()).filter((key) => key.endsWith('.json'));
    const like = await readStoredManifest(s3.store(), ours ?? '');
    const content = Buffer.from('PGDMP');
    await forge(s3.store(), { like, at: new Date('2090-01-01T00:00:00Z'), content, encryption: null });
    const refused = await runCommand(['run'], { ...settings, ...newState() });
    assert.equal(refused.status, 2, refused.stderr);
    assert.match(refused.stderr, /BACKUP_AGE_RECIPIENTS is not set, but the newest backup in .* is encrypted/);
  });
});
