// The page docs/upgrading-postgresql.md, typed from top to bottom in a compose project that runs 14: with somebody who writes until he is
// stopped, a kill in the middle, a new server without room, the move, and the way back.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Client } from 'pg';
import { commandBlock } from '../support/documentation.ts';
import { docker, until } from './support/docker.ts';
import { createProject, startGround, type MastodonProject } from './support/mastodon-project.ts';

const database = 'mastodon_production';

describe('an upgrade of the database server', () => {
  let project: MastodonProject;
  let service = '';
  before(async () => {
    const key = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    project = createProject({
      backupEnvironment: {
        BACKUP_AGE_RECIPIENTS: /age1\w+/.exec(key)?.[0] ?? '',
        BACKUP_AGE_IDENTITY: /AGE-SECRET-KEY-\w+/.exec(key)?.[0] ?? '',
        BACKUP_COMPRESSION_LEVEL: '1',
        BACKUP_SCHEDULE_DRILL: 'off',
      },
    });
    await startGround(project, { megabytes: 8 });
    await project.composed(['up', '-d', 'backup']);
    await until('a first backup', {
      withinMs: 180_000,
      ask: async () => (await project.exec(['list'])).stdout.includes('daily/'),
    });
  });
  after(async () => project[Symbol.asyncDispose]());

  // The block as it is typed here: without a terminal, the new server under the name of its major, and no Mastodon to be had.
  const block = (words: string): readonly string[] =>
    commandBlock(words)
      .replaceAll('db18', service)
      .replaceAll('exec backup', 'exec -T backup')
      .split('\n')
      .filter((line) => line !== '' && !/ (stop|up -d)( web .*)?$/.test(line));
  const type = async (words: string): Promise<string> => {
    let said = '';
    for (const line of block(words)) {
      const { status, stdout, stderr } = await docker(line.split(' ').slice(1), { cwd: project.directory });
      assert.equal(status, 0, `${line}\n${stdout}${stderr}`);
      said += stdout;
    }
    return said;
  };
  const settings = (name: string): string => path.join(project.directory, name);
  const changeHost = (host: string): void => {
    const text = readFileSync(settings('.env.production'), 'utf8');
    writeFileSync(settings('.env.production'), text.replace(/^DB_HOST=.*$/m, `DB_HOST=${host}`));
  };
  const connectTo = async (name: string): Promise<Client> => {
    const id = (await project.composed(['ps', '-q', name])).trim();
    const format = `{{(index .NetworkSettings.Networks "${project.name}_internal_network").IPAddress}}`;
    const { stdout } = await docker(['inspect', '-f', format, id]);
    const client = new Client({
      host: stdout.trim(),
      user: 'mastodon',
      database,
      ssl: false,
      application_name: 'puma',
    });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const askIn = async (name: string, sql: string): Promise<readonly unknown[]> => {
    const client = await connectTo(name);
    const { rows } = await client.query<Record<string, unknown>>(sql);
    await client.end();
    return rows;
  };
  const facts = 'select (select count(*) from statuses) as statuses, (select max(id) from statuses) as newest';

  it('has the new service printed, which starts as it stands', async () => {
    const { stdout, stderr, status } = await project.exec(['upgrade', 'check']);
    assert.equal(status, 0, stderr);
    const [text = '', name = ''] = /^ {2}(db\d+):\n(?: {4}.*\n)+/m.exec(stdout) ?? [];
    assert.match(name, /^db\d+$/, stdout);
    service = name;
    const here = text.replace(/postgres:(\d+)-alpine/, 'mastodon-backup-test/postgres:$1');
    writeFileSync(settings('new.yml'), `services:\n${here}`);
    writeFileSync(
      settings('sooner.yml'),
      `services:\n  ${service}:\n    healthcheck:\n      interval: 1s\n      retries: 60\n`,
    );
    const files = readFileSync(settings('.env'), 'utf8');
    writeFileSync(settings('.env'), files.replace(/^COMPOSE_FILE=.*$/m, '$&:new.yml:sooner.yml'));
    await project.composed(['up', '-d', '--wait', service]);
    assert.match(await type('up -d db18'), /ok +target version +PostgreSQL/);
  });

  it('is refused where the volume of 18 is at the former place, or none is there', async () => {
    const mounts = { dbformer: ['./postgresformer:/var/lib/postgresql/data'], dbbare: [] };
    for (const [name, volumes] of Object.entries(mounts)) {
      const text = readFileSync(settings('new.yml'), 'utf8')
        .replace(`  ${service}:`, `  ${name}:`)
        .replace(/image: .*/, 'image: mastodon-backup-test/postgres:18')
        .replace(/ {4}healthcheck:\n.*\n/, '$&      interval: 1s\n      retries: 60\n')
        .replace(/ {4}volumes:\n.*\n/, volumes.map((one) => `    volumes:\n      - ${one}\n`).join(''));
      writeFileSync(settings(`${name}.yml`), text);
      const files = ['-f', 'docker-compose.yml', '-f', `${name}.yml`];
      await project.composed([...files, 'up', '-d', '--wait', name]);
      const { stdout, status } = await project.exec(['upgrade', 'check', '--to', name]);
      assert.equal(status, 5, stdout);
      assert.match(
        stdout,
        /FAILED +target directory +\/var\/lib\/postgresql\/18\/docker is in a volume without a name: the database would\s+go with the container/,
      );
      assert.match(stdout, /Mount a directory at\s+\/var\/lib\/postgresql in/);
      await project.composed([...files, 'rm', '-sfv', name]);
    }
  });

  it('is rehearsed while people write', async () => {
    const writer = await connectTo('db');
    const said = await type('upgrade rehearse --to db18');
    assert.match(said, /^Restored daily\/\S+ into PostgreSQL/);
    await writer.query('select 1');
    await writer.end();
    const client = await connectTo(service).catch((error: unknown) => error);
    assert.match(String(client), /database "mastodon_production" does not exist/);
  });

  it('is refused while somebody stays, who is named', async () => {
    const writer = await connectTo('db');
    const { status, stderr } = await project.exec(['upgrade', 'run', '--to', service]);
    await writer.end();
    assert.equal(status, 2, stderr);
    assert.match(stderr, /puma \(1\)/);
  });

  it('fails without harm where the new server has no room', async () => {
    const full = readFileSync(settings('new.yml'), 'utf8')
      .replace('services:\n', '')
      .replace(`  ${service}:`, '  dbfull:')
      .replace(/ {4}volumes:\n.*:(\/.*)\n/, '    tmpfs:\n      - $1:size=75m\n');
    appendFileSync(settings('new.yml'), full);
    appendFileSync(settings('sooner.yml'), '  dbfull:\n    healthcheck:\n      interval: 1s\n      retries: 60\n');
    await project.composed(['up', '-d', '--wait', 'dbfull']);
    const untouched = await askIn('db', facts);
    const { status, stderr } = await project.exec(['upgrade', 'run', '--to', 'dbfull']);
    assert.ok(status === 20 || status === 10, `${status} ${stderr}`);
    assert.match(stderr, /No space left on device|could not|terminat|cannot be reached/);
    assert.deepEqual(await askIn('db', facts), untouched);
    await project.composed(['rm', '-sf', 'dbfull']);
  });

  it('goes on after a kill in the middle, moves the database, and leaves the old server as it was', async () => {
    const untouched = await askIn('db', facts);
    const cut = project.exec(['upgrade', 'run', '--to', service]);
    await until('a temporary database', {
      withinMs: 120_000,
      ask: async () => {
        const { stdout } = await project.compose([
          'exec',
          '-T',
          service,
          'psql',
          '-U',
          'mastodon',
          '-h',
          '/tmp',
          '-lqt',
          'postgres',
        ]);
        return stdout.includes('mastodon_production');
      },
    });
    await project.composed(['kill', '-s', 'KILL', 'backup']);
    await cut;
    await project.composed(['up', '-d', 'backup']);
    const said = await type('upgrade run --to db18');
    assert.match(said, new RegExp(`Change in \\.env\\.production, and start Mastodon:\n {2}DB_HOST=${service}\n`));
    assert.match(said, /To go back[^\n]*\n {2}DB_HOST=db\n/);
    assert.deepEqual(await askIn(service, facts), untouched);
    assert.deepEqual(await askIn('db', facts), untouched);
  });

  it('is followed by backups of the new server, and back again', async () => {
    changeHost(service);
    await project.composed(['up', '-d', 'backup']);
    const run = await project.exec(['run', '--wait']);
    assert.equal(run.status, 0, run.stderr);
    await type('prune --accept-new-server');
    changeHost('db');
    await project.composed(['up', '-d', 'backup']);
    const { stdout } = await project.exec(['doctor']);
    assert.match(stdout, /PostgreSQL 14\./);
  });
});
