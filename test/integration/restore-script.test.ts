// restore.sh, run as it lies beside the backups: with stock tools alone, and against what somebody may have put into the place.

import assert from 'node:assert/strict';
import { execSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createSigningKey, publicKeyLine } from '../../src/config/ssh-keys.ts';
import { restoreScriptName } from '../../src/kit/restore-script.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { manifestFrom } from '../support/manifests.ts';
import { countRows } from '../support/mastodon-data.ts';
import { createMastodonVariant } from '../support/mastodon-variants.ts';
import { startPostgres, testPassword, type PostgresServer } from '../support/postgres-server.ts';
import { startS3 } from '../support/s3-server.ts';
import { createStockShell } from '../support/stock-tools.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const name = 'mastodon_production';

describe('restore.sh', () => {
  const scratch = temporaryDirectory();
  const place = path.join(scratch.path, 'back ups');
  const shell = createStockShell(scratch.path);
  const signing = createSigningKey('');
  let source: PostgresServer;
  let environment: Record<string, string>;
  before(async () => {
    source = await startPostgres({ major: 15 });
    await createMastodonVariant(source, { name, variant: 'own-schema', megabytes: 1 });
    mkdirSync(place);
    environment = {
      ...databaseEnvironment(source.mastodon(name)),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: place,
      BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
      BACKUP_COMPRESSION: 'zstd',
      BACKUP_SIGNING_KEY: signing.file,
    };
    await back();
  });
  after(async () => {
    await source[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  async function back(more: Readonly<Record<string, string>> = {}): Promise<string> {
    const run = await runCommand(['run', '--json'], { ...environment, ...more });
    assert.equal(run.status, 0, run.stderr);
    const { id } = JSON.parse(run.stdout) as { id: string };
    return `daily/${id}`;
  }

  function fresh(): void {
    for (const file of readdirSync(shell.directory)) rmSync(path.join(shell.directory, file), { recursive: true });
  }

  const script = async (
    { port }: { readonly port: number },
    more: Readonly<Record<string, string>> = {},
  ): Promise<Awaited<ReturnType<typeof shell.run>>> =>
    shell.run(['sh "$DIR/$SCRIPT"'], {
      SCRIPT: restoreScriptName,
      DIR: place,
      INSTANCE: 'social.example',
      PGHOST: '127.0.0.1',
      PGPORT: String(port),
      PGUSER: 'postgres',
      PGPASSWORD: testPassword,
      ...more,
    });

  it('restores from a directory, schemas of its own and all', async () => {
    fresh();
    await using target = await startPostgres({ major: 15 });
    await target.query('drop role mastodon');
    const result = await script(target);
    assert.equal(result.status, 0, result.stdout + result.stderr);
    assert.match(result.stdout, /^ok$/m);
    assert.deepEqual(await countRows(target.superuser(name)), await countRows(source.superuser(name)));
    const again = await script(target);
    assert.notEqual(again.status, 0, 'a database that is there is left alone');
    assert.match(again.stderr, /already exists/);
  });

  for (const [what, how] of [
    ['the characters of the source, which may be two', "lc_collate 'C' lc_ctype 'C.UTF-8'"],
    ['the rules of ICU', "lc_collate 'C' lc_ctype 'C.UTF-8' locale_provider icu icu_locale 'de-AT'"],
  ] as const)
    it(`restores in the collation and ${what}`, async () => {
      fresh();
      await using mixed = await startPostgres({ major: 15 });
      await mixed.query(`create database ${name} template template0 ${how} owner mastodon`);
      await back({ ...databaseEnvironment(mixed.mastodon(name)), LOCAL_DOMAIN: 'mixed.example' });
      await using target = await startPostgres({ major: 15 });
      const result = await script(target, { INSTANCE: 'mixed.example' });
      assert.equal(result.status, 0, result.stdout + result.stderr);
      const sorting = `select datcollate, datctype, datlocprovider, daticulocale from pg_database where datname = '${name}'`;
      assert.deepEqual(await target.query(sorting), await mixed.query(sorting));
    });

  it('says that no server answers when settings and files are unpacked, and what to do', async () => {
    fresh();
    const result = await script({ port: 9 });
    assert.notEqual(result.status, 0);
    assert.match(result.stdout, /^3\. Restore into.*\nNo server answers yet: start it/m);
  });

  it('says when it sorts otherwise than the source did, and when a role has no password yet', async () => {
    fresh();
    const manifest = await back({ LOCAL_DOMAIN: 'elsewhere.example' });
    const file = path.join(place, `${manifest}.json`);
    const foreign = readFileSync(file, 'utf8').replaceAll(/("(?:collation|ctype)": )"[^"]*"/g, '$1"xx_XX.utf8"');
    writeFileSync(file, foreign);
    writeFileSync(path.join(shell.directory, '.env.production.restored'), 'DB_PASS=secret\n');
    await using target = await startPostgres({ major: 15 });
    const result = await script(target, { INSTANCE: 'elsewhere.example' });
    assert.equal(result.status, 0, result.stdout + result.stderr);
    assert.match(result.stdout, /^It sorts by C\.UTF-8, for this server has not/m);
    assert.match(result.stdout, /^The role has no password yet; in psql: \\password mastodon\nok$/m);
  });

  it("moves the wizard's postgres aside, and does it in the clients of a container", async () => {
    fresh();
    await using wizard = await startPostgres({ major: 15 });
    await createMastodonVariant(wizard, { name: 'postgres', variant: 'wizard', megabytes: 1 });
    const manifest = await back({
      ...databaseEnvironment(wizard.superuser('postgres')),
      LOCAL_DOMAIN: 'wizard.example',
    });
    assert.equal(
      manifestFrom(JSON.parse(readFileSync(path.join(place, `${manifest}.json`), 'utf8'))).database.role,
      'postgres',
    );
    await using target = await startPostgres({ major: 15, keepsSession: false });
    const result = await script(target, {
      INSTANCE: 'wizard.example',
      PG: 'docker compose exec -T -e PGUSER=postgres db',
    });
    assert.equal(result.status, 0, result.stdout + result.stderr);
    assert.deepEqual(await countRows(target.superuser('postgres')), await countRows(wizard.superuser('postgres')));
    assert.equal(
      (await target.query("select from pg_database where datname = 'postgres_before'", 'template1')).length,
      1,
    );
    assert.ok(shell.dockerCalls().some((call) => / db env .* pg_restore /.test(call)));
  });

  for (const [what, lines, how] of [
    [
      'the superuser alone by the socket, as Debian does',
      ['local all postgres trust', 'host all all all scram-sha-256'],
      'well',
    ],
    ['nobody but the superuser', ['local all postgres trust'], 'refused'],
  ] as const)
    it(`needs no more than a server that lets in ${what}, or says what it needs`, async () => {
      fresh();
      await using target = await startPostgres({ major: 15 });
      const socket = { PGHOST: target.socketDirectory };
      const inside = async (sql: string, database = 'postgres'): Promise<string> => {
        const asked = await shell.run([`psql -qXAt -d ${database} -c "${sql}"`], {
          ...socket,
          PGPORT: String(target.port),
          PGUSER: 'postgres',
        });
        assert.equal(asked.status, 0, asked.stderr);
        return asked.stdout;
      };
      const rows = lines.map((line) => `('${line}')`).join(', ');
      const [{ hba_file: file = '' } = {}] = await target.query('show hba_file');
      const loaded = await inside('select pg_conf_load_time()');
      await target.query(`copy (values ${rows}) to '${String(file)}'; select pg_reload_conf()`);
      await until('the server has read who is let in', {
        seconds: 5,
        look: async () => (await inside('select pg_conf_load_time()')) !== loaded,
      });
      const result = await script(target, socket);
      const roles = await inside('select rolname from pg_roles order by 1');
      assert.doesNotMatch(roles, /mastodon_backup/, result.stdout + result.stderr);
      if (how === 'well') {
        assert.equal(result.status, 0, result.stdout + result.stderr);
        assert.equal(
          await inside(`select pg_get_userbyid(datdba) from pg_database where datname = '${name}'`),
          'mastodon\n',
        );
        return;
      }
      assert.notEqual(result.status, 0);
      assert.match(
        result.stdout,
        /^The server lets nobody in but the superuser.*\n {2}host all all 127\.0\.0\.1\/32 scram-sha-256$/m,
      );
      assert.equal(await inside(`select count(*) from pg_database where datname = '${name}'`), '0\n');
    });

  it('waits for its sessions, which own their temporary tables until they have dropped them', async () => {
    fresh();
    await using target = await startPostgres({ major: 15 });
    // Dropping so many takes longer than the next session needs to begin.
    const many =
      'do $$ begin for n in 1..1500 loop execute format($f$create temp table t%s ()$f$, n); end loop; end $$;';
    const slow = path.join(scratch.path, 'slow');
    writeFileSync(
      slow,
      `#!/bin/sh\ncase "$*" in *mastodon_backup_*' psql -qXAt '*' -d '${name}) { echo '${many}'; cat; } | "$@" ;; *) exec "$@" ;; esac\n`,
    );
    chmodSync(slow, 0o755);
    const result = await script(target, { PG: slow });
    assert.equal(result.status, 0, result.stdout + result.stderr);
    assert.deepEqual(await target.query("select rolname from pg_roles where rolname ~ '^mastodon_'"), []);
  });

  it("leaves no login behind where it ends early, and nothing that is not the role's", async () => {
    fresh();
    const manifest = await back({ LOCAL_DOMAIN: 'different.example' });
    const file = path.join(place, `${manifest}.json`);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/("[a-z.]+accounts": )\d+/, '$1 7777777'));
    await using target = await startPostgres({ major: 15 });
    const result = await script(target, { INSTANCE: 'different.example' });
    assert.notEqual(result.status, 0);
    assert.match(
      result.stdout,
      /^DIFFERENT: masto\.accounts\|\d+\|7777777\nmastodon_production is not whole: drop it/m,
    );
    assert.deepEqual(await target.query("select rolname from pg_roles where rolname ~ '^mastodon_'"), []);
    assert.deepEqual(await target.query("select distinct tableowner from pg_tables where schemaname = 'masto'", name), [
      { tableowner: 'mastodon' },
    ]);
  });

  it('takes only what a trusted key has signed, where one is named', async () => {
    fresh();
    const trusted = `mastodon-backup ${publicKeyLine(signing.publicKey)}\n`;
    writeFileSync(path.join(shell.directory, 'allowed_signers'), trusted);
    // Of another instance by another key, said to be ours.
    const forged = await back({
      BACKUP_SIGNING_KEY: createSigningKey('').file,
      BACKUP_STATE_DIR: path.join(scratch.path, 'theirs'),
    });
    const result = await script({ port: 9 });
    assert.doesNotMatch(result.stdout, new RegExp(forged));
    assert.match(result.stdout, /^daily\/\S+, data of/m);
    const named = await script({ port: 9 }, { MANIFEST: `${forged}.json` });
    assert.match(named.stdout, /Nobody who is trusted has signed it/);
    assert.notEqual(named.status, 0);
    // Names that split, or mean another file to some shells: what is signed is not what would be taken.
    const ours = /^(daily\/\S+), data of/m.exec(result.stdout)?.[1] ?? '';
    for (const trap of [
      `${forged}.json x.json`,
      `${forged.replace('2', String.raw`\062`)}.json`,
      `${forged}.json\nx.json`,
    ]) {
      for (const ending of ['', '.sig'])
        copyFileSync(path.join(place, `${ours}.json${ending}`), path.join(place, `${trap}${ending}`));
      const trapped = await script({ port: 9 });
      assert.match(trapped.stdout, new RegExp(`^${ours}, data of`, 'm'), trap);
      for (const ending of ['', '.sig']) rmSync(path.join(place, `${trap}${ending}`));
    }
    for (const ending of ['json', 'json.sig']) rmSync(path.join(place, `${forged}.${ending}`));
  });

  it('gives no settings and no files that are not those of the signed manifest', async () => {
    const key = path.join(scratch.path, 'key.txt');
    execSync(`age-keygen -o '${key}' 2>/dev/null`);
    const recipient = execSync(`age-keygen -y '${key}'`).toString().trim();
    const file = path.join(scratch.path, 'docker-compose.yml');
    writeFileSync(file, 'services: {}\n');
    const manifest = await back({
      LOCAL_DOMAIN: 'encrypted.example',
      BACKUP_AGE_RECIPIENTS: recipient,
      BACKUP_EXTRA_FILES: file,
      SECRET_KEY_BASE: 'secret',
    });
    for (const ending of ['secrets.env.age', 'extra.tar.age']) {
      fresh();
      const part = path.join(place, `${manifest}.${ending}`);
      const content = readFileSync(part);
      // Anybody can encrypt for a public key.
      execSync(`age -r ${recipient} -o '${part}' ${ending.startsWith('s') ? '/etc/hostname' : file}`);
      const swapped = await script({ port: 9 }, { INSTANCE: 'encrypted.example', KEY: key });
      assert.match(swapped.stdout, new RegExp(`^DAMAGED: .*${ending}$`, 'm'));
      assert.notEqual(swapped.status, 0);
      assert.ok(!existsSync(path.join(shell.directory, '.env.production.restored')));
      writeFileSync(part, content);
    }
    fresh();
    for (const time of ['first', 'second']) {
      const result = await script({ port: 9 }, { INSTANCE: 'encrypted.example', KEY: key });
      assert.match(result.stdout, /^3\. Restore into/m, `the ${time} time`);
    }
    assert.match(readFileSync(path.join(shell.directory, '.env.production.restored'), 'utf8'), /SECRET_KEY_BASE/);
    assert.equal(readFileSync(path.join(shell.directory, 'extra', file), 'utf8'), 'services: {}\n');
  });

  it('ends before the database where the dump is damaged, or a name is no plain one', async () => {
    fresh();
    const manifest = await back({ LOCAL_DOMAIN: 'damaged.example' });
    const dump = path.join(place, `${manifest}.dump.zst`);
    writeFileSync(dump, Buffer.concat([readFileSync(dump), Buffer.from('x')]));
    const damaged = await script({ port: 9 }, { INSTANCE: 'damaged.example' });
    assert.match(damaged.stdout, /^DAMAGED: /m);
    assert.notEqual(damaged.status, 0);
    const odd = await script({ port: 9 }, { DB: 'host=evil.example' });
    assert.match(odd.stdout, /Say what the database and its owner are to be called/);
    const nobody = await script({ port: 9 }, { INSTANCE: 'nobody.example' });
    assert.match(nobody.stdout, /There is no backup of nobody\.example that counts/);
  });

  it('sees more than a thousand objects, and writes nowhere else', async () => {
    fresh();
    await using s3 = await startS3();
    const bucket = Object.entries({ ...environment, ...s3.environment, BACKUP_S3_PREFIX: 'a/b/' });
    const made = await runCommand(
      ['run', 'yearly'],
      Object.fromEntries(bucket.filter(([variable]) => variable !== 'BACKUP_LOCAL_DIR')),
    );
    assert.equal(made.status, 0, made.stderr);
    const [manifest = ''] = (await s3.keys()).filter((key) => key.endsWith('.json'));
    for (let count = 0; count < 1_005; count += 1)
      await s3.overwrite(`a/b/yearly/0${String(count).padStart(4, '0')}.txt`, Buffer.from('x'));
    await s3.overwrite('a/b/yearly/../../../escaped.json', Buffer.from('x'));
    const scriptFile = path.join(scratch.path, 'restore.sh');
    execSync(`cp "${place}/${restoreScriptName}" ${scriptFile}`);
    const result = await shell.run([`sh ${scriptFile}`], {
      BUCKET: `${s3.endpoint}/${s3.bucket}`,
      PREFIX: 'a/b/',
      REGION: 'us-east-1',
      INSTANCE: 'social.example',
      AWS_ACCESS_KEY_ID: 'test-key-id',
      AWS_SECRET_ACCESS_KEY: 'test-secret-key',
      no_proxy: '127.0.0.1',
      PGHOST: '127.0.0.1',
      PGPORT: '9',
    });
    assert.match(
      result.stdout,
      new RegExp(`^${path.basename(path.dirname(manifest))}/${path.basename(manifest, '.json')}, data of`, 'm'),
      result.stderr,
    );
    assert.match(result.stdout, /^3\. Restore into/m);
    assert.ok(
      !existsSync(path.join(shell.directory, '../escaped.json')) &&
        !existsSync(path.join(scratch.path, 'escaped.json')),
    );
  });

  it('lies there once, readable, and is neither listed nor removed', async () => {
    const before_ = readFileSync(path.join(place, restoreScriptName), 'utf8');
    assert.match(before_, /^#!\/bin\/sh\n# Restores the newest backup/);
    const listed = await runCommand(['list'], environment);
    assert.doesNotMatch(listed.stdout, /restore-/);
    const pruned = await runCommand(['prune'], { ...environment, BACKUP_KEEP_DAILY: '1' });
    assert.equal(pruned.status, 0, pruned.stderr);
    assert.equal(readFileSync(path.join(place, restoreScriptName), 'utf8'), before_);
  });

  it('is looked at by every run, which says that it is another one and what to do', async () => {
    const file = path.join(place, restoreScriptName);
    const content = readFileSync(file);
    chmodSync(file, 0o644);
    writeFileSync(file, '#!/bin/sh\ntouch forged\n');
    const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
    const run = await runCommand(['run'], environment);
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stderr, new RegExp(`${restoreScriptName}.*${sha256}.*is another one: do not run it`));
    assert.equal(readFileSync(file, 'utf8'), '#!/bin/sh\ntouch forged\n', 'nothing there is written over');
    writeFileSync(file, content);
    const again = await runCommand(['run'], environment);
    assert.doesNotMatch(again.stderr, /is another one/);
  });
});
