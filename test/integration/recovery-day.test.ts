// The day the server is gone: a kit that is made with nothing but the bucket's settings, typed line by line into a shell on an
// empty machine, once by its stock commands and once with this program.

import assert from 'node:assert/strict';
import { execSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { restoreScript, restoreScriptName } from '../../src/kit/restore-script.ts';
import { shellQuote } from '../../src/kit/shell-word.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { countRows } from '../support/mastodon-data.ts';
import { createMastodonVariant } from '../support/mastodon-variants.ts';
import { startPostgres, testPassword, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { commandBlocks, createStockShell, type StockShell } from '../support/stock-tools.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const name = 'mastodon_production';
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const access = {
  AWS_ACCESS_KEY_ID: 'test-key-id',
  AWS_SECRET_ACCESS_KEY: 'test-secret-key',
  no_proxy: '127.0.0.1',
};

/** What nobody types: a choice that was not taken, and what installs. */
const passedOver = [
  /^This prints the fingerprint/,
  /^Debian or Ubuntu/,
  /^With Docker/,
  /^or without Docker/,
  /^or from a checkout, with a password/,
  /with the AWS client/,
  /with rclone/,
];

describe('a kit from the bucket alone', () => {
  const scratch = temporaryDirectory();
  let source: PostgresServer;
  let s3: S3TestServer;
  let shell: StockShell;
  let bucketAlone: Record<string, string>;
  let whole: Record<string, string>;
  before(async () => {
    source = await startPostgres({ major: 15 });
    s3 = await startS3();
    await createMastodonVariant(source, { name, variant: 'extensions-apart', megabytes: 1 });
    // What has no room, goes down or round stays where it is.
    const odd = { small: 'as smallint', down: 'increment by -1', round: 'maxvalue 9000000 cycle' };
    for (const [sequence, how] of Object.entries(odd)) {
      await source.query(`create sequence ${sequence} ${how}; alter sequence ${sequence} owner to mastodon`, name);
      await source.query(`select nextval('${sequence}')`, name);
    }
    shell = createStockShell(scratch.path);
    execSync(`age-keygen -o ${shell.directory}/key.txt 2>/dev/null`);
    bucketAlone = { ...s3.environment, BACKUP_S3_PREFIX: 'masto/', BACKUP_STATE_DIR: path.join(scratch.path, 'fresh') };
    const compose = path.join(scratch.path, 'docker-compose.yml');
    writeFileSync(compose, 'services: {}\n');
    whole = {
      ...databaseEnvironment(source.mastodon(name)),
      ...bucketAlone,
      LOCAL_DOMAIN: 'social.example',
      SECRET_KEY_BASE: 'secret-key-base',
      OTP_SECRET: `it's "a" $secret`,
      BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
      BACKUP_COMPRESSION_LEVEL: '1',
      BACKUP_EXTRA_FILES: compose,
      BACKUP_MASTODON_IMAGE: 'ghcr.io/mastodon/mastodon:v4.4.3',
      BACKUP_AGE_RECIPIENTS: execSync(`age-keygen -y ${shell.directory}/key.txt`).toString().trim(),
    };
    const run = await runCommand(['run', 'weekly'], whole);
    assert.equal(run.status, 0, run.stderr);
  });
  after(async () => {
    await source[Symbol.asyncDispose]();
    await s3[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  /** The lines that somebody types who goes through the kit from its first page to its last. */
  async function lines(way: 'stock' | 'tool' | 'script'): Promise<readonly string[]> {
    const kit = await runCommand(['recovery-kit'], bucketAlone);
    assert.equal(kit.status, 0, kit.stderr);
    return commandBlocks(kit.stdout)
      .filter(({ label }) => !passedOver.some((pattern) => pattern.test(label)))
      .filter(({ heading }) => !/with this tool/.test(heading) || way === 'tool')
      .filter(({ heading }) => !/by one script/.test(heading) || way === 'script')
      .filter(({ heading }) => !/^Step [2-4]/.test(heading) || way === 'stock')
      .flatMap((block) => block.lines);
  }

  const superuser = ({ port }: PostgresServer): Readonly<Record<string, string>> => ({
    PGHOST: '127.0.0.1',
    PGPORT: String(port),
    PGUSER: 'postgres',
    PGPASSWORD: testPassword,
  });

  async function positions(server: PostgresServer): Promise<ReadonlyMap<string, bigint>> {
    const rows = await server.query(
      `select schemaname || '.' || sequencename as sequence, last_value::text as last
         from pg_sequences where last_value is not null`,
      name,
    );
    return new Map(rows.map(({ sequence, last }) => [String(sequence), BigInt(String(last))]));
  }

  async function assertIsBack(target: PostgresServer): Promise<void> {
    assert.deepEqual(await countRows(target.superuser(name)), await countRows(source.superuser(name)));
    const before_ = await positions(source);
    const now = await positions(target);
    assert.ok(before_.size > 5);
    for (const [sequence, last] of before_) {
      const ahead = /\.(?:small|down|round)$/.test(sequence) ? 0n : 1_000_000n;
      assert.equal(now.get(sequence), last + ahead, sequence);
    }
    const [database] = await target.query(
      `select datcollate as collation, pg_get_userbyid(datdba) as owner from pg_database where datname = '${name}'`,
    );
    const [origin] = await source.query(`select datcollate as collation from pg_database where datname = '${name}'`);
    assert.deepEqual(database, { collation: origin?.['collation'], owner: 'mastodon' });
    const restored = readFileSync(path.join(shell.directory, '.env.production.restored'), 'utf8');
    assert.match(restored, /^LOCAL_DOMAIN=social\.example$/m);
    execSync(`cd ${shell.directory} && rm -rf extra .env* restore.sh hourly daily weekly monthly`);
  }

  it('says what a kit of the whole settings says', async () => {
    const alone = await runCommand(['recovery-kit'], bucketAlone);
    const all = await runCommand(['recovery-kit'], whole);
    // Those are what the settings alone know.
    const rest = (text: string): readonly string[] =>
      text
        .split('\n')
        .filter((line) => !/^Made |age1|recipients were not set|fingerprint of a private|age-keygen/.test(line));
    assert.deepEqual(
      rest(alone.stdout).filter((line) => line !== ''),
      rest(all.stdout).filter((line) => line !== ''),
    );
    assert.match(alone.stdout, /^Recovery kit of social\.example$/m);
    assert.match(alone.stdout, /weekly\/.* data of /);
    assert.match(alone.stdout, /^ {2}extensions +.*pg_trgm in tools/m);
    assert.match(
      alone.stdout,
      /^ {2}Mastodon +ghcr\.io\/mastodon\/mastodon:v4\.4\.3, with all migrations up to \d{14}$/m,
    );
    assert.match(alone.stdout, /^- Mastodon: start ghcr\.io\/mastodon\/mastodon:v4\.4\.3, the one that made/m);
    assert.match(alone.stdout, /, encoding UTF8, locale \S+$/m);
  });

  for (const [way, words] of [
    ['stock', 'its stock commands'],
    ['script', 'the script that lies beside the backups'],
  ] as const) {
    it(`brings all of it back by ${words}`, async (t) => {
      await using target = await startPostgres({ major: 15 });
      await target.query('drop role mastodon');
      const typed = await lines(way);
      const startedAt = performance.now();
      const result = await shell.run(typed, { ...access, ...superuser(target) });
      assert.equal(result.status, 0, result.stdout + result.stderr);
      t.diagnostic(`${typed.join('\n').length} characters, ${Math.round(performance.now() - startedAt)} ms`);
      await assertIsBack(target);
    });
  }

  it('runs no script that is not the one on its pages', async () => {
    const typed = await lines('script');
    await s3.overwrite(`masto/${restoreScriptName}`, Buffer.from('#!/bin/sh\ntouch forged\n'));
    const result = await shell.run(typed, access);
    assert.notEqual(result.status, 0);
    assert.match(result.stdout, /^restore\.sh: FAILED$/m);
    assert.doesNotMatch(result.stdout, /1\. Fetch/);
    await s3.overwrite(`masto/${restoreScriptName}`, Buffer.from(restoreScript));
  });

  it('brings all of it back with this program', async (t) => {
    await using target = await startPostgres({ major: 15 });
    await target.query('drop role mastodon');
    const program = path.join(scratch.path, 'stock-bin', 'mastodon-backup');
    writeFileSync(
      program,
      `#!/bin/sh\nPATH='${process.env['PATH'] ?? ''}' BACKUP_STATE_DIR='${scratch.path}/new' exec ${shellQuote(process.execPath)} ${shellQuote(main)} "$@"\n`,
    );
    chmodSync(program, 0o755);
    const place = `postgresql://postgres:${encodeURIComponent(testPassword)}@127.0.0.1:${target.port}/postgres`;
    const typed = await lines('tool');
    const startedAt = performance.now();
    const result = await shell.run(typed, { ...access, BACKUP_DATABASE_URL: place });
    assert.equal(result.status, 0, result.stderr);
    t.diagnostic(`${typed.join('\n').length} characters, ${Math.round(performance.now() - startedAt)} ms`);
    await assertIsBack(target);
  });

  it('is made of a directory alone just as well', async () => {
    using folder = temporaryDirectory();
    const run = await runCommand(['run', 'monthly'], { ...whole, BACKUP_LOCAL_DIR: folder.path });
    assert.equal(run.status, 0, run.stderr);
    const kit = await runCommand(['recovery-kit'], { BACKUP_LOCAL_DIR: folder.path });
    assert.equal(kit.status, 0, kit.stderr);
    assert.match(kit.stdout, /^Recovery kit of social\.example$/m);
    assert.match(kit.stdout, /^ {2}newest backup +monthly\//m);
    assert.match(kit.stdout, /ONE recipient opens the backups/);
    assert.ok(kit.stdout.includes(`cp "$DIR/${restoreScriptName}" restore.sh`));
  });

  it('asks which instance, where several are stored', async () => {
    const run = await runCommand(['run', 'daily'], { ...whole, LOCAL_DOMAIN: 'other.example' });
    assert.equal(run.status, 0, run.stderr);
    const asked = await runCommand(['recovery-kit'], bucketAlone);
    assert.equal(asked.status, 2);
    assert.match(asked.stderr, /Several instances are stored there: other\.example, social\.example/);
    assert.match(asked.stderr, /recovery-kit --instance other\.example/);
    const named = await runCommand(['recovery-kit', '--instance', 'social.example'], bucketAlone);
    assert.match(named.stdout, /^Recovery kit of social\.example$/m);
    assert.match(named.stdout, /weekly\//);
    const unknown = await runCommand(['recovery-kit', '--instance', 'typo.example'], bucketAlone);
    assert.equal(unknown.status, 4);
    assert.match(unknown.stderr, /No backup of 'typo\.example' is stored there; there is: other\.example/);
    // One that says who it is needs not be asked, and an empty place asks nobody.
    assert.match((await runCommand(['recovery-kit'], whole)).stdout, /^Recovery kit of social\.example$/m);
    const another = await runCommand(['recovery-kit'], { ...bucketAlone, LOCAL_DOMAIN: 'new.example' });
    assert.match(another.stdout, /^Recovery kit of new\.example$/m);
    assert.match(
      another.stderr,
      /No backup of 'new\.example' is stored there; there is: other\.example, social\.example/,
    );
    const empty = await runCommand(['recovery-kit'], { ...bucketAlone, BACKUP_S3_PREFIX: 'empty/' });
    assert.equal(empty.status, 0, empty.stderr);
  });
});
