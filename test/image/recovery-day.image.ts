// The day the server is gone, on an empty Debian: a kit that is made with nothing but the bucket's settings, pasted line by line into the
// shell of a new machine. Once without Docker, PostgreSQL from Debian's packages; and with Docker, where the compose file itself comes
// out of the backup and Mastodon lives where its wizard puts it, by each of the kit's three ways.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { commandBlocks, type CommandBlock } from '../support/stock-tools.ts';
import { docker, dockerOutput } from './support/docker.ts';
import { createProject, image, secretKey, startGround, type MastodonProject } from './support/mastodon-project.ts';

const debian = 'mastodon-backup-test/debian:trixie';
/** What must be the same again. */
const facts =
  "select (select count(*) from statuses) || ' ' || (select max(id) from statuses) || ' ' || (select md5(string_agg(a::text, ',' order by id)) from accounts a)";

type Way = 'stock' | 'script' | 'tool';

/** What nobody types who goes this way, by headings and labels of blocks: how objects are got is a choice of three, too. */
const passedOver: Readonly<Record<'docker' | 'bare' | Way, readonly RegExp[]>> = {
  docker: [
    /^Debian or Ubuntu/,
    /^With Docker, where it is not there/,
    /without Docker/,
    /checkout/,
    /AWS client|rclone|elsewhere/,
  ],
  bare: [/^Debian or Ubuntu/, /^With Docker/, /AWS client|rclone|elsewhere/],
  stock: [/with this tool/, /by one script/],
  script: [/with this tool/, /^Step [234]/],
  tool: [/by one script/, /^Step [234]/],
};

describe('the day that the server is gone', () => {
  let project: MastodonProject;
  let bucket: Readonly<Record<string, string>>;
  const prepared = `mastodon-backup-test/day-${randomBytes(4).toString('hex')}`;
  const key = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  before(async () => {
    project = createProject({
      major: 17,
      mastodonEnvironment: {
        DB_USER: 'postgres',
        DB_NAME: 'postgres',
        REDIS_HOST: 'redis',
        OTP_SECRET: `it's "a" one`,
      },
      backupEnvironment: {
        BACKUP_AGE_RECIPIENTS: /age1\w+/.exec(key)?.[0] ?? '',
        BACKUP_EXTRA_FILES: '/extra/docker-compose.yml',
        BACKUP_COMPRESSION_LEVEL: '1',
      },
    });
    const { Gateway, Subnet } = JSON.parse(
      await dockerOutput(['network', 'inspect', 'bridge', '-f', '{{json (index .IPAM.Config 0)}}']),
    ) as { Gateway?: string; Subnet: string };
    // An engine that has just made the bridge does not name its own address: it is the first one.
    const gateway = Gateway ?? Subnet.replace(/\.0\/\d+$/, '.1');
    const file = (name: string): string => path.join(project.directory, name);
    writeFileSync(file('travelling.yml'), travellingFile());
    writeFileSync(
      file('more.yml'),
      `services:\n  s3:\n    ports: ['${gateway}::7480']\n  backup:\n    volumes:\n      - ./travelling.yml:/extra/docker-compose.yml:ro\n`,
    );
    writeFileSync(file('.env'), readFileSync(file('.env'), 'utf8').replace(/^COMPOSE_FILE=.*$/m, '$&:more.yml'));
    await startGround(project, { megabytes: 4, wizard: true });
    const connection = await project.database('mastodon');
    await createMastodonDatabase(
      {
        createDatabase: async (name) =>
          void (await project.query(`create database ${name} owner mastodon template template0`)),
        mastodon: (database) => ({ ...connection, database }),
      },
      { name: 'mastodon_production', megabytes: 4 },
    );
    bucket = {
      BACKUP_S3_ENDPOINT: `http://${(await project.composed(['port', 's3', '7480'])).trim()}`,
      BACKUP_S3_BUCKET: 'backups',
      BACKUP_S3_ACCESS_KEY_ID: 'testkey',
      BACKUP_S3_SECRET_ACCESS_KEY: secretKey,
    };
    const bare: Readonly<Record<string, string>> = {
      BACKUP_S3_PREFIX: 'bare',
      LOCAL_DOMAIN: 'bare.example',
      DB_NAME: 'mastodon_production',
      DB_USER: 'mastodon',
    };
    for (const more of [{}, bare]) {
      const set = Object.entries(more).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
      await project.composed(['run', '--rm', '-T', ...set, 'backup', 'run']);
    }
  });
  after(async () => {
    await docker(['image', 'rm', '-f', prepared]);
    await project[Symbol.asyncDispose]();
  });

  async function kit(more: Readonly<Record<string, string>> = {}): Promise<readonly CommandBlock[]> {
    const set = Object.entries({ ...bucket, ...more }).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
    return commandBlocks(await dockerOutput(['run', '--rm', ...set, image, 'recovery-kit']));
  }

  it('begins with what an empty Debian lacks', async (t) => {
    await using machine = await startMachine({ key, from: debian });
    const [block] = (await kit()).filter(({ label }) => label.startsWith('Debian or Ubuntu'));
    await machine.paste(t, block?.lines ?? []);
    await machine.keepAs(prepared);
  });

  it('ends without Docker with all of it, from Debian and the kit alone', async (t) => {
    await using machine = await startMachine({ key, from: prepared });
    // What Mastodon's own installation brings.
    await machine.run(['sh', '-c', bareMastodon]);
    const said = await machine.paste(t, linesOf(await kit({ BACKUP_S3_PREFIX: 'bare' }), ['bare', 'stock']));
    assert.match(said, /^redis-cli flushall\nsystemctl start mastodon-web .*\ntootctl feeds build in production\nok$/m);
    const psql = ['runuser', '-u', 'postgres', '--', 'psql', '-tA', '-d', 'mastodon_production', '-c', facts];
    assert.equal(await machine.run(psql), await factsOf('mastodon_production'));
  });

  for (const way of ['stock', 'script', 'tool'] as const)
    it(`ends with Docker with the stock instance: ${way}`, async (t) => {
      await using machine = await startMachine({ key, from: prepared, withDocker: true });
      const said = await machine.paste(t, linesOf(await kit(), ['docker', way]));
      assert.match(said, /tootctl feeds build: \d+ accounts, 0 keys in Redis/);
      const psql = ['docker', 'compose', 'exec', '-T', 'db', 'psql', '-U', 'postgres', '-tA', '-c', facts];
      assert.equal(await machine.run(psql), await factsOf('postgres'));
    });

  async function factsOf(database: string): Promise<string> {
    const [row] = await project.query(facts, database);
    return `${String(Object.values(row ?? {})[0])}\n`;
  }
});

const bareMastodon = `
  useradd --create-home --shell /bin/bash mastodon
  mkdir -p /home/mastodon/live/bin
  printf '#!/bin/sh\\necho tootctl "$@" in "$RAILS_ENV"\\n' > /home/mastodon/live/bin/tootctl
  for name in redis-cli systemctl; do printf '#!/bin/sh\\necho %s "$@"\\n' $name > /usr/local/bin/$name; done
  chmod +x /home/mastodon/live/bin/tootctl /usr/local/bin/redis-cli /usr/local/bin/systemctl`;

function linesOf(blocks: readonly CommandBlock[], ways: readonly (keyof typeof passedOver)[]): readonly string[] {
  const patterns = ways.flatMap((way) => passedOver[way]);
  const typed = blocks.filter(
    ({ heading, label }) => !patterns.some((pattern) => pattern.test(heading) || pattern.test(label)),
  );
  // What is done line by line comes last on paper, and after it one goes on with the fifth step.
  const isLater = ({ heading }: CommandBlock): boolean => /^Step [56]/.test(heading);
  return [...typed.filter((one) => !isLater(one)), ...typed.filter(isLater)].flatMap(({ lines }) => lines);
}

// Mastodon's file as an administrator has it who pasted our service into it, with images that are to be had here.
function travellingFile(): string {
  const stock = readFileSync(new URL('mastodon-compose.yml', import.meta.url), 'utf8');
  const service = `  backup:\n    image: mastodon-postgres-backup\n    env_file: [.env.production, .env.backup]\n    secrets: [backup_key]\n    networks: [internal_network, external_network]\n\nsecrets:\n  backup_key:\n    file: ./backup-secrets/key\n\n`;
  return stock
    .replace('postgres:14-alpine', 'mastodon-backup-test/postgres:17')
    .replace("'pg_isready', '-U', 'postgres']", '$&\n      interval: 1s\n      retries: 60')
    .replace('redis:7-alpine', "mastodon-backup-test/mastodon\n    command: [redis-server, --protected-mode, 'no']")
    .replaceAll(/ghcr\.io\/mastodon\/\S+/g, 'mastodon-backup-test/mastodon')
    .replace(/^networks:/m, `${service}networks:`);
}

interface Machine extends AsyncDisposable {
  /** Pastes them all at once, as into a terminal, and answers what was said; each block that should says ok. */
  paste(t: TestContext, lines: readonly string[]): Promise<string>;
  run(command: readonly string[]): Promise<string>;
  keepAs(name: string): Promise<void>;
}

/** An empty Debian with the private key in an empty directory; with Docker its engine is this machine's. */
async function startMachine({
  key,
  from,
  withDocker = false,
}: {
  readonly key: string;
  readonly from: string;
  readonly withDocker?: boolean;
}): Promise<Machine> {
  const directory = mkdtempSync(path.join(tmpdir(), 'mastodon-backup-day-'));
  const name = `mastodon-backup-test-${randomBytes(4).toString('hex')}`;
  const mounts = ['/var/run/docker.sock', '/usr/bin/docker', `${homedir()}/.docker/cli-plugins`];
  mkdirSync(directory, { recursive: true });
  writeFileSync(path.join(directory, 'key.txt'), key);
  await dockerOutput([
    ...`run -d --init --name ${name} --workdir ${directory} -v ${directory}:${directory}`.split(' '),
    ...(withDocker ? mounts.flatMap((mount) => ['-v', `${mount}:${mount.replace(homedir(), '/root')}`]) : []),
    from,
    'sleep',
    'infinity',
  ]);
  const run = async (command: readonly string[]): Promise<string> => dockerOutput(['exec', name, ...command]);
  // In the place of an init system, packages may start what they bring.
  await run(['sh', '-c', `printf '#!/bin/sh\\nexit 0\\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d`]);
  return {
    run,
    keepAs: async (kept) => void (await dockerOutput(['commit', name, kept])),
    async paste(t, lines) {
      const text = [`export AWS_ACCESS_KEY_ID=testkey AWS_SECRET_ACCESS_KEY=${secretKey}`, ...lines]
        .join('\n')
        .replaceAll('image: mastodon-postgres-backup', `image: ${image}`);
      const startedAt = performance.now();
      const { stdout, stderr } = await docker(['exec', '-i', name, 'bash'], { input: `${text}\n` });
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
      t.diagnostic(`${lines.join('\n').length} characters, ${seconds} s`);
      // The script finds no server at first, and says ok itself when it has found one.
      const asked = lines.filter((line) => line.endsWith('&& echo ok')).length;
      assert.equal(stdout.match(/^ok$/gm)?.length, asked, `${stdout}\n${stderr}`);
      return stdout;
    },
    async [Symbol.asyncDispose]() {
      if (withDocker)
        await docker(['exec', name, 'docker', 'compose', 'down', '--volumes', '--remove-orphans', '-t', '1']);
      // What the server wrote there belongs to its user.
      await docker(['exec', name, 'find', directory, '-mindepth', '1', '-delete']);
      await docker(['rm', '-f', '-v', name]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
