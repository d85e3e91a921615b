// The restore drill against real servers: a good backup passes, and everything that is wrong with one is found and named.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DrillDocument } from '../../src/drill/drill-record.ts';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { databaseEnvironment, followCommand, runCommand, startCommand, lastSentence } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';
import { manifestFrom } from '../support/manifests.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe('the restore drill', () => {
  let server: PostgresServer;
  let environment: Readonly<Record<string, string>>;
  const scratch = temporaryDirectory();
  const backups = `${scratch.path}/backups`;
  const drills = `${scratch.path}/scratch`;
  const small = { DB_NAME: 'small' };
  let names = 0;
  before(async () => {
    // The server of a drill does not run as root.
    chmodSync(scratch.path, 0o755);
    server = await startPostgres({ major: 15 });
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 3 });
    // For what Mastodon's tables have no part in: to restore those takes a server a second.
    await server.createDatabase('small');
    await server.query('create table things (id integer primary key); insert into things values (1), (2)', 'small');
    await server.query('grant select on things to mastodon', 'small');
    environment = {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_SCRATCH_DIR: drills,
      BACKUP_PG_BIN: linkPrograms(`${scratch.path}/bin`, 15),
      BACKUP_COMPRESSION_LEVEL: '1',
    };
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  // Directories of its own, so that `latest` is the snapshot just made, whether it is encrypted or not.
  const backUp = async (more: Readonly<Record<string, string>> = {}): Promise<Readonly<Record<string, string>>> => {
    names += 1;
    const directory = `${backups}-${names}`;
    mkdirSync(directory);
    const state = `${scratch.path}/state-${names}`;
    const settings = { ...environment, BACKUP_LOCAL_DIR: directory, BACKUP_STATE_DIR: state, ...more };
    const result = await runCommand(['run'], settings);
    assert.equal(result.status, 0, result.stderr);
    return settings;
  };
  const drill = async (
    settings: Readonly<Record<string, string>>,
    { args = [], status = 0 }: { readonly args?: readonly string[]; readonly status?: number } = {},
  ): Promise<DrillDocument & { readonly stderr: string }> => {
    const result = await runCommand(['drill', '--json', ...args], settings);
    assert.equal(result.status, status, result.stderr + result.stdout);
    assert.deepEqual(leftovers(), [], 'the throw-away server is gone');
    return { ...(JSON.parse(result.stdout) as DrillDocument), stderr: result.stderr };
  };
  const leftovers = (): readonly string[] => (existsSync(drills) ? readdirSync(drills) : []);
  const failures = ({ checks }: DrillDocument): readonly string[] =>
    checks.filter(({ status }) => status === 'failed').map(({ check, detail }) => `${check}: ${detail}`);
  const changeManifest = (directory: string, change: (manifest: Manifest) => object): void => {
    const [name] = readdirSync(`${directory}/daily`).filter((one) => one.endsWith('.json'));
    const file = `${directory}/daily/${name}`;
    const manifest = manifestFrom(JSON.parse(readFileSync(file, 'utf8')));
    writeFileSync(file, JSON.stringify({ ...manifest, ...change(manifest) }));
  };

  it('passes on a good backup, stores what it found, and shows it in health', async () => {
    const settings = await backUp();
    const report = await drill(settings);
    assert.equal(report.status, 'passed', JSON.stringify(report.checks));
    assert.ok((report.durationMs ?? 0) > 0);
    for (const check of [
      'restore',
      'rows',
      'indexes',
      'constraints',
      'materialised views',
      'sequences',
      'schema',
      'ids',
      'newest post',
    ])
      assert.equal(report.checks.find((one) => one.check === check)?.status, 'ok', check);
    const [stored] = readdirSync(`${settings['BACKUP_LOCAL_DIR']}/drills`);
    const { stderr: _stderr, ...document } = report;
    assert.deepEqual(JSON.parse(readFileSync(`${settings['BACKUP_LOCAL_DIR']}/drills/${stored}`, 'utf8')), document);
    const health = JSON.parse((await runCommand(['health', '--json'], settings)).stdout) as {
      drill: { status: string; lastSuccessAt: string };
    };
    assert.equal(health.drill.status, 'passed');
    assert.equal(health.drill.lastSuccessAt, report.endedAt);
    const listed = await runCommand(['list', '--json'], settings);
    assert.deepEqual((JSON.parse(listed.stdout) as { foreign: unknown[] }).foreign, []);
  });

  it('of the backup of another instance is no news of ours', async () => {
    const ours = await backUp(small);
    const theirs = { ...ours, LOCAL_DOMAIN: 'other.example', BACKUP_STATE_DIR: `${ours['BACKUP_STATE_DIR']}-other` };
    assert.equal((await runCommand(['run'], theirs)).status, 0);
    await drill(ours, { args: ['--instance', 'other.example'] });
    const health = JSON.parse((await runCommand(['health', '--json'], ours)).stdout) as { drill: unknown };
    assert.equal(health.drill, null);
  });

  it('opens an encrypted backup with an identity, and is skipped without one', async () => {
    const { execFileSync } = await import('node:child_process');
    const key = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const identity = `${scratch.path}/key.txt`;
    writeFileSync(identity, key);
    const settings = await backUp({
      BACKUP_AGE_RECIPIENTS: /age1\w+/.exec(key)?.[0] ?? '',
      SECRET_KEY_BASE: 'a'.repeat(40),
    });
    const skipped = await drill(settings, { status: 22 });
    assert.equal(skipped.status, 'skipped');
    assert.match(skipped.checks[0]?.detail ?? '', /no private key is on this machine/);
    const report = await drill(settings, { args: ['--identity', identity] });
    assert.equal(report.status, 'passed', JSON.stringify(report.checks));
    assert.equal(report.checks.find(({ check }) => check === 'secrets')?.status, 'ok');
    const other = await drill(
      { ...settings, SECRET_KEY_BASE: 'b'.repeat(40) },
      { args: ['--identity', identity], status: 21 },
    );
    assert.match(failures(other).join(), /secrets: .*SECRET_KEY_BASE changed/);
  });

  it('takes a wrong key that is typed for a slip of the hand, and keeps nothing of it', async () => {
    const { execFileSync } = await import('node:child_process');
    const [own, other] = ['own', 'other'].map((name) => {
      const key = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
      writeFileSync(`${scratch.path}/${name}.txt`, key);
      return { file: `${scratch.path}/${name}.txt`, recipient: /age1\w+/.exec(key)?.[0] ?? '' };
    });
    const settings = await backUp({ ...small, BACKUP_AGE_RECIPIENTS: own?.recipient ?? '' });
    const wrong = await runCommand(['drill', '--identity', other?.file ?? ''], settings);
    assert.equal(wrong.status, 2, wrong.stderr);
    assert.match(wrong.stderr, /no identity matched.*--identity/);
    assert.equal(existsSync(`${settings['BACKUP_LOCAL_DIR']}/drills`), false);
    // With both the right one is found.
    await drill(settings, { args: ['--identity', other?.file ?? '', '--identity', own?.file ?? ''] });
  });

  it('names the duplicates that a corrupted unique index let in, table, index and keys', async () => {
    await createMastodonDatabase(server, { name: 'corrupted', megabytes: 1 });
    // The index of Mastodon's that most often breaks; it stands on lower(name).
    await server.query(
      `update pg_index set indisready = false where indexrelid = 'index_tags_on_name_lower_btree'::regclass;
       insert into tags (name, created_at) select upper(name), now() from tags order by id limit 2;
       update pg_index set indisready = true where indexrelid = 'index_tags_on_name_lower_btree'::regclass;`,
      'corrupted',
    );
    const [first] = await server.query('select name from tags order by id limit 1', 'corrupted');
    const settings = await backUp({ DB_NAME: 'corrupted' });
    const report = await drill(settings, { status: 21 });
    assert.equal(report.status, 'failed');
    const found = report.checks.find(({ check }) => check === 'duplicate keys');
    assert.ok(found !== undefined, JSON.stringify(report.checks));
    assert.match(found.detail, /public\.tags has duplicate keys.*index_tags_on_name_lower_btree.*2 times/);
    assert.ok(found.detail.toLowerCase().includes(String(first?.['name']).toLowerCase()), found.detail);
    assert.match(found.remedy ?? '', /tootctl maintenance fix-duplicates/);
    const health = await runCommand(['health', '--json'], settings);
    assert.equal(health.status, 1);
    assert.equal((JSON.parse(health.stdout) as { status: string }).status, 'failed');

    // What is kept beside an encrypted backup does not tell what is in it.
    const { execFileSync } = await import('node:child_process');
    const key = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    writeFileSync(`${scratch.path}/private.txt`, key);
    const encrypted = await backUp({ DB_NAME: 'corrupted', BACKUP_AGE_RECIPIENTS: /age1\w+/.exec(key)?.[0] ?? '' });
    const onTerminal = await drill(encrypted, { status: 21, args: ['--identity', `${scratch.path}/private.txt`] });
    const name = String(first?.['name']).toLowerCase();
    assert.ok(JSON.stringify(onTerminal.checks).toLowerCase().includes(name));
    const [stored] = readdirSync(`${encrypted['BACKUP_LOCAL_DIR']}/drills`);
    const kept = readFileSync(`${encrypted['BACKUP_LOCAL_DIR']}/drills/${stored}`, 'utf8');
    assert.match(kept, /index_tags_on_name_lower_btree.* forbids: 2 of them, which the command drill shows/);
    assert.ok(!kept.toLowerCase().includes(name), kept);
    assert.ok(!readFileSync(`${encrypted['BACKUP_STATE_DIR']}/attempts.json`, 'utf8').toLowerCase().includes(name));
  });

  it('notices a table with other rows than the manifest says, and posts from after the snapshot', async () => {
    const settings = await backUp();
    changeManifest(settings['BACKUP_LOCAL_DIR'] ?? '', (manifest) => ({
      dataAt: '2020-01-01T00:00:00.000Z',
      database: { ...manifest.database, rows: { ...manifest.database.rows, 'public.accounts': 1 } },
    }));
    const report = await drill(settings, { status: 21 });
    assert.match(failures(report).join('\n'), /rows: public\.accounts has \d+ instead of 1/);
    assert.match(failures(report).join('\n'), /newest post: .* after the snapshot of 2020/);
  });

  it('finds a flipped bit and a missing object', async () => {
    const settings = await backUp();
    const folder = `${settings['BACKUP_LOCAL_DIR']}/daily`;
    const [object] = readdirSync(folder).filter((one) => one.endsWith('.xz'));
    const content = readFileSync(`${folder}/${object}`);
    const middle = Math.floor(content.length / 2);
    content.writeUInt8(content.readUInt8(middle) ^ 1, middle);
    chmodSync(`${folder}/${object}`, 0o600);
    writeFileSync(`${folder}/${object}`, content);
    const report = await drill(settings, { status: 21 });
    assert.match(failures(report).join(), /snapshot: .*(not what its manifest says|cannot be opened)/);
  });

  it('takes another collation where the source’s does not exist, and says so', async () => {
    const settings = await backUp(small);
    changeManifest(settings['BACKUP_LOCAL_DIR'] ?? '', (manifest) => ({
      database: { ...manifest.database, locale: { ...manifest.database.locale, collation: 'xx_XX.utf8' } },
    }));
    const report = await drill(settings);
    assert.equal(report.status, 'passed', JSON.stringify(report.checks));
    assert.match(
      report.checks.find(({ check }) => check === 'collation')?.detail ?? '',
      /'xx_XX\.utf8' .*does not exist here; 'C/,
    );
  });

  it('is incomplete without an extension, which it names', async () => {
    const settings = await backUp(small);
    changeManifest(settings['BACKUP_LOCAL_DIR'] ?? '', (manifest) => ({
      database: {
        ...manifest.database,
        extensions: ['plpgsql', 'pg_repack'].map((name) => ({ name, version: '1', schema: 'public' })),
      },
    }));
    const report = await drill(settings, { status: 22 });
    assert.equal(report.status, 'incomplete');
    assert.match(report.checks[0]?.detail ?? '', /pg_repack/);
  });

  it('says of another database that it is no Mastodon, and makes the general checks', async () => {
    const report = await drill(await backUp(small));
    assert.equal(report.status, 'passed');
    assert.match(report.checks.find(({ check }) => check === 'Mastodon')?.detail ?? '', /no Mastodon database/);
  });

  it('is incomplete where a statement names a role of the source’s server', async () => {
    await server.createDatabase('policies');
    await server.query(
      `create role "odd reader"; create table things (id integer primary key); alter table things owner to mastodon;
       create policy reading on things to "odd reader" using (true)`,
      'policies',
    );
    const report = await drill(await backUp({ DB_NAME: 'policies' }), { status: 22 });
    assert.equal(report.status, 'incomplete', JSON.stringify(report.checks));
    assert.match(report.checks[0]?.detail ?? '', /1 statement names roles that this server lacks: "odd reader"/);
  });

  it('is skipped with the figures when there is too little space', async () => {
    const settings = await backUp(small);
    changeManifest(settings['BACKUP_LOCAL_DIR'] ?? '', (manifest) => ({
      database: { ...manifest.database, sizeBytes: 10 ** 15 },
    }));
    const report = await drill(settings, { status: 22 });
    assert.equal(report.status, 'skipped');
    assert.match(report.checks[0]?.detail ?? '', /909\.5 TiB are predicted; of .* free/);
  });

  it('breaks off with a next step, and disproves nothing, when its server dies', async () => {
    const settings = await backUp(small);
    await using running = followCommand(['drill'], settings);
    await running.saw('Drill started');
    const processId = await until('the throw-away server', {
      seconds: 30,
      look: async () => {
        try {
          const text = readFileSync(`${drills}/${leftovers()[0]}/data/postmaster.pid`, 'utf8');
          return /^ready\s*$/m.test(text) && Number.parseInt(text, 10);
        } catch {
          return undefined;
        }
      },
    });
    process.kill(processId, 'SIGQUIT');
    const result = await running.result;
    assert.equal(result.status, 21, result.stderr);
    assert.match(lastSentence(result), /^mastodon-backup: .*\. \S.*[.:]$/);
    assert.deepEqual(leftovers(), []);
  });

  it('leaves nothing behind when it is interrupted, and removes what a killed one left', async () => {
    const settings = await backUp(small);
    await using stopped = startCommand(['drill'], settings);
    await stopped.saw('Drill started');
    while (leftovers().length === 0) await sleep(20);
    await sleep(200);
    stopped.child.kill('SIGTERM');
    assert.equal((await stopped.result).status, 130);
    assert.deepEqual(leftovers(), []);

    // Also where the directory is reached through a symbolic link.
    symlinkSync(drills, `${drills}-link`);
    const linked = { ...settings, BACKUP_SCRATCH_DIR: `${drills}-link` };
    await using killed = startCommand(['drill'], linked);
    await killed.saw('Drill started');
    // initdb keeps a postmaster.pid too for moments; only that of a server that takes connections says "ready".
    const postmaster = (): string => {
      try {
        return readFileSync(`${drills}/${leftovers()[0]}/data/postmaster.pid`, 'utf8');
      } catch {
        return '';
      }
    };
    while (!/^ready\s*$/m.test(postmaster())) await sleep(10);
    const processId = Number.parseInt(postmaster(), 10);
    killed.child.kill('SIGKILL');
    await killed.result;
    assert.equal(leftovers().length, 1);
    const { stdout, stderr } = await runCommand(['drill'], linked);
    assert.match(stdout, /^Drill of daily\/\S+ into PostgreSQL 15\.\S+: passed, recovered in /);
    assert.match(stderr, /interrupted drill left behind/);
    assert.deepEqual(leftovers(), []);
    assert.equal(
      existsSync(`/proc/${processId}/cwd`) && readFileSync(`/proc/${processId}/comm`, 'utf8') === 'postgres\n',
      false,
    );
  });
});
