// The recovery kit and the stock commands of the documentation are typed into a shell that has stock tools alone, and must bring back every row.

import assert from 'node:assert/strict';
import { execSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { escapeIdentifier } from 'pg';
import { qualifiedName } from '../../src/database/archive-contents.ts';
import { clientsHere, compareRows, defineSessions } from '../../src/kit/stock-database.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { readAsCompose } from '../support/compose-env-file.ts';
import { commandBlock } from '../support/documentation.ts';
import { countRows, createMastodonDatabase } from '../support/mastodon-data.ts';
import { createMastodonVariant } from '../support/mastodon-variants.ts';
import { startPostgres, testPassword, type PostgresServer } from '../support/postgres-server.ts';
import { startS3 } from '../support/s3-server.ts';
import { commandBlocks, createStockShell, type CommandBlock, type StockShell } from '../support/stock-tools.ts';
import { aManifest, dumpKey, manifestFrom } from '../support/manifests.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const name = 'mastodon_production';
const mastodon = {
  LOCAL_DOMAIN: 'social.example',
  SECRET_KEY_BASE: 'secret-key-base',
  SMTP_PASSWORD: `it's "a" $secret`,
};

/** Exactly one block with this label. */
function block(blocks: readonly CommandBlock[], label: RegExp): readonly string[] {
  const found = blocks.filter((one) => label.test(one.label));
  assert.equal(found.length, 1, `${label}: ${blocks.map((one) => one.label).join('\n')}`);
  return found[0]?.lines ?? [];
}

async function kitOf(environment: Readonly<Record<string, string>>): Promise<readonly CommandBlock[]> {
  const kit = await runCommand(['recovery-kit'], environment);
  assert.equal(kit.status, 0, kit.stderr);
  return commandBlocks(kit.stdout);
}

/** As superuser, by the variables that the kit tells of. */
function superuser(server: PostgresServer): Readonly<Record<string, string>> {
  return { PGHOST: '127.0.0.1', PGPORT: String(server.port), PGUSER: 'postgres', PGPASSWORD: testPassword };
}

for (const { major, oddities, clients, extra } of [
  { major: 15, oddities: false, clients: /^or with a server elsewhere/, extra: {} },
  {
    major: 14,
    oddities: true,
    clients: /^With Docker, in the directory of docker-compose/,
    extra: { BACKUP_COMPRESSION: 'zstd' },
  },
] as const) {
  describe(`the commands of the recovery kit for PostgreSQL ${major}`, () => {
    let source: PostgresServer;
    let target: PostgresServer;
    let shell: StockShell;
    let blocks: readonly CommandBlock[];
    let environment: Record<string, string>;
    const scratch = temporaryDirectory();
    const directory = path.join(scratch.path, 'back ups');
    const extraFile = path.join(scratch.path, 'docker-compose.yml');
    const script: string[] = [];
    before(async () => {
      source = await startPostgres({ major });
      target = await startPostgres({ major });
      await target.query('drop role mastodon');
      await createMastodonDatabase(source, { name, megabytes: 2, withOddities: oddities });
      shell = createStockShell(scratch.path);
      mkdirSync(directory);
      execSync(`age-keygen -o ${shell.directory}/key.txt 2>/dev/null`);
      writeFileSync(extraFile, 'services: {}\n');
      environment = {
        ...databaseEnvironment(source.mastodon(name)),
        ...mastodon,
        ...extra,
        BACKUP_LOCAL_DIR: directory,
        BACKUP_EXTRA_FILES: extraFile,
        BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
        BACKUP_COMPRESSION_LEVEL: '1',
        BACKUP_AGE_RECIPIENTS: execSync(`age-keygen -y ${shell.directory}/key.txt`).toString().trim(),
      };
      // Another instance in the same folder, newer: it must not be taken.
      for (const [domain, tier] of [
        ['social.example', 'daily'],
        ['social.example', 'weekly'],
        ['other.example', 'monthly'],
      ] as const) {
        const run = await runCommand(['run', tier], { ...environment, LOCAL_DOMAIN: domain });
        assert.equal(run.status, 0, run.stderr);
      }
      blocks = await kitOf(environment);
    });
    after(async () => {
      await source[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
      scratch[Symbol.dispose]();
    });

    async function type(lines: readonly string[]): Promise<string> {
      const result = await shell.run([...script, ...lines], superuser(target));
      assert.equal(result.status, 0, result.stderr);
      return result.stdout;
    }

    it('run without Node and without this program', async () => {
      for (const program of ['node', 'npm', 'mastodon-backup']) {
        assert.equal((await shell.run([`command -v ${program}`], {})).status, 127, program);
      }
    });

    it('name the private key that is needed', async () => {
      const kit = await runCommand(['recovery-kit'], environment);
      const fingerprint = (await type(block(blocks, /^This prints the fingerprint of a private key/))).trim();
      assert.match(fingerprint, /^[0-9a-f]{16}$/);
      assert.ok(kit.stdout.includes(`  ${fingerprint}  ${environment['BACKUP_AGE_RECIPIENTS']}\n`));
    });

    it("find this instance's newest backup and see that it is whole, or is not", async () => {
      script.push(
        ...block(blocks, /^Where you are/),
        ...block(blocks, /^On a machine where the directory is mounted/),
        ...block(blocks, /set MANIFEST to another one/),
      );
      const listed = await runCommand(['list', '--json'], environment);
      const newest = (JSON.parse(listed.stdout) as { snapshots: unknown[] }).snapshots
        .map(manifestFrom)
        .find(({ instance }) => instance === 'social.example');
      assert.ok(newest);
      assert.equal(newest.tier, 'weekly');
      assert.equal((await type(['echo "$MANIFEST"'])).split('\n').at(-2), `weekly/${newest.id}.json`);
      const check = block(blocks, /^Is the dump whole/);
      const file = path.join(directory, dumpKey(newest));
      const content = readFileSync(file);
      assert.ok((await type(check)).endsWith(`whole: ${file}\n`));
      writeFileSync(file, Buffer.concat([content.subarray(0, 1_000), Buffer.from('x'), content.subarray(1_001)]));
      const damaged = await shell.run([...script, ...check], superuser(target));
      assert.notEqual(damaged.status, 0, 'what is damaged is not ok');
      assert.ok(damaged.stdout.endsWith(`DAMAGED: ${file}\n`));
      writeFileSync(file, content);
      script.push(...check);
    });

    it("bring Mastodon's settings back, readable by their owner alone", async () => {
      for (const [ending, label] of [
        ['secrets.env.age', /^Secrets, domain, mail/],
        ['extra.tar.age', /^The files of your own/],
      ] as const) {
        // Anybody can encrypt for a public key: what the manifest does not name is not opened, and what cannot be read is not whole.
        const swap = `mv "$PART" "$PART.kept"; age -r ${environment['BACKUP_AGE_RECIPIENTS']} -o "$PART" "$FROM/$MANIFEST"`;
        for (const first of [swap, 'mv "$PART" "$PART.kept"']) {
          const swapped = await shell.run(
            [...script, `PART="$FROM/\${MANIFEST%.json}.${ending}"`, first, ...block(blocks, label)],
            superuser(target),
          );
          assert.notEqual(swapped.status, 0);
          assert.match(swapped.stdout, new RegExp(`^DAMAGED: .*${ending}$`, 'm'));
          await type([`PART="$FROM/\${MANIFEST%.json}.${ending}"`, 'mv "$PART.kept" "$PART"']);
        }
      }
      await type(block(blocks, /^Secrets, domain, mail/));
      const file = path.join(shell.directory, '.env.production.restored');
      assert.deepEqual(readAsCompose(readFileSync(file, 'utf8')), {
        ...databaseEnvironment(source.mastodon(name)),
        ...mastodon,
      });
      assert.equal(statSync(file).mode & 0o777, 0o600);
      await type(block(blocks, /^The files of your own/));
      assert.equal(readFileSync(path.join(shell.directory, 'extra', extraFile), 'utf8'), 'services: {}\n');
    });

    it('restore every row, with the role as owner', async () => {
      script.push(
        ...block(blocks, /^With Docker, how its project/),
        ...block(blocks, clients),
        ...block(blocks, /^then, for each of them/),
      );
      await type(block(blocks, /^and the database/));
      assert.deepEqual(await countRows(target.superuser(name)), await countRows(source.superuser(name)));
      const owners = await target.query(
        "select distinct tableowner from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
        name,
      );
      assert.deepEqual(owners, [{ tableowner: 'mastodon' }]);
      if (major === 14) {
        assert.deepEqual(shell.dockerCalls().slice(0, 2), [
          'compose stop web streaming sidekiq',
          'compose up -d --wait db',
        ]);
        assert.ok(
          shell.dockerCalls().some((call) => /^compose exec -T -e PGUSER=postgres db env .* pg_restore /.test(call)),
        );
      } else assert.deepEqual(shell.dockerCalls(), []);
    });

    it('compare the rows with the manifest: nothing is printed, or the tables that differ', async () => {
      const compare = block(blocks, /^Compare every table/);
      const quiet = await type([]);
      assert.equal(await type(compare), quiet);
      await target.query('truncate favourites', name);
      await target.query('drop table mutes', name);
      const told = await shell.run([...script, ...compare], superuser(target));
      assert.notEqual(told.status, 0, 'what differs is not ok');
      assert.deepEqual(told.stdout.slice(quiet.length).replaceAll(/\d+\n/g, 'N\n').trimEnd().split('\n').toSorted(), [
        'public.favourites|0|N',
        'public.mutes|missing|N',
      ]);
    });
  });
}

describe('the comparison with the manifest', () => {
  const directory = temporaryDirectory();
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres({ major: 14 });
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    directory[Symbol.dispose]();
  });

  async function compare(rows: Readonly<Record<string, unknown>>): Promise<string> {
    const manifest = { ...aManifest(), database: { ...aManifest().database, rows } };
    writeFileSync(path.join(directory.path, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    const place = [`FROM='${directory.path}'`, 'MANIFEST=manifest.json', clientsHere, ...defineSessions];
    const typed = await createStockShell(directory.path).run(
      [...place, `${compareRows({ name: 'postgres' }).join(' && ')} || echo stopped`],
      superuser(server),
    );
    assert.equal(typed.status, 0, typed.stderr);
    return typed.stdout;
  }

  it('reads odd names of tables as names', async () => {
    const names = ['My Table', 'a.b', 'q"uote', String.raw`back\slash`, 'dollar$$x', "o'clock", 'select'];
    const rows: Record<string, number> = { BLOBS: 3 };
    await server.query('create schema "odd.schema"');
    for (const [index, table] of names.entries()) {
      await server.query(`create table "odd.schema".${escapeIdentifier(table)} as select generate_series(1, ${index})`);
      rows[qualifiedName({ schema: 'odd.schema', name: table })] = index;
    }
    assert.equal(await compare(rows), '');
    const others = Object.fromEntries(Object.entries(rows).map(([table, count]) => [table, count + 1]));
    const told = (await compare(others)).split('\n').filter((line) => line !== '' && line !== 'stopped');
    assert.deepEqual(
      told.toSorted(),
      Object.entries(rows)
        .filter(([table]) => table !== 'BLOBS')
        .map(([table, count]) => `${table}|${count}|${count + 1}`)
        .toSorted(),
    );
  });

  it('runs nothing that a manifest says, whatever it calls a table or a count', async () => {
    const deed = 'create table pwned ()';
    const names = [
      `pg_class having false; ${deed}; --`,
      `public.x"; ${deed}; --`,
      `public."x$$; ${deed}; --"`,
      `public."x'; ${deed}; --"`,
      `public.x\n\\.\n${deed};\n`,
      String.raw`public."x\\.` + `\n${deed};"`,
      `public.x\t${deed};`,
    ];
    for (const one of names) await compare({ [one]: 1 });
    await compare({ 'pg_catalog.pg_class': `1; ${deed};` });
    await compare({ 'pg_catalog.pg_class': `1 \\gexec ${deed};` });
    assert.deepEqual(await server.query("select from pg_class where relname = 'pwned'"), []);
  });
});

describe('the commands of the recovery kit for a Mastodon that is not the stock one', () => {
  for (const variant of ['own-schema', 'extensions-apart', 'wizard'] as const) {
    it(`restore every row: ${variant}`, async () => {
      await using source = await startPostgres({ major: 15 });
      await using target = await startPostgres({ major: 15, keepsSession: false });
      using scratch = temporaryDirectory();
      const database = variant === 'wizard' ? 'postgres' : name;
      await createMastodonVariant(source, { name: database, variant, megabytes: 1 });
      const directory = path.join(scratch.path, 'backups');
      mkdirSync(directory);
      const environment = {
        ...databaseEnvironment(variant === 'wizard' ? source.superuser(database) : source.mastodon(database)),
        ...mastodon,
        BACKUP_LOCAL_DIR: directory,
        BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
        BACKUP_COMPRESSION: 'none',
      };
      const run = await runCommand(['run'], environment);
      assert.equal(run.status, 0, run.stderr);
      const blocks = await kitOf(environment);
      const typed = await createStockShell(scratch.path).run(
        [
          /^Where you are/,
          /^On a machine where the directory is mounted/,
          /set MANIFEST to another one/,
          /^Is the dump whole/,
          /^or with a server elsewhere/,
          /^then, for each of them/,
          /^and the database/,
          /^Compare every table/,
        ].flatMap((label) => block(blocks, label)),
        superuser(target),
      );
      assert.equal(typed.status, 0, typed.stderr);
      assert.match(typed.stdout, /whole: .*\.dump\n/);
      assert.doesNotMatch(typed.stdout, /\|\d+\|\d+$/m, 'no table differs from the manifest');
      assert.deepEqual(await countRows(target.superuser(database)), await countRows(source.superuser(database)));
      if (variant === 'wizard')
        assert.equal((await target.query("select from pg_database where datname = 'postgres_before'")).length, 1);
    });
  }
});

describe('the recovery kit with a bucket', () => {
  it('downloads a snapshot with each client that is installed', async (t) => {
    await using server = await startPostgres({ major: 15 });
    await using s3 = await startS3();
    await createMastodonDatabase(server, { name, megabytes: 1 });
    for (const [prefix, client, label] of [
      ['', 'curl', /with curl alone/],
      ['in/a folder', 'aws', /with the AWS client:$/],
      ['in/folders', 'curl', /with curl alone/],
      ['in/folders', 'aws', /with the AWS client:$/],
      ['in/folders', 'rclone', /^or with rclone/],
    ] as const) {
      await t.test(`${client}, ${prefix === '' ? 'no prefix' : `prefix '${prefix}'`}`, async (inner) => {
        using scratch = temporaryDirectory();
        const shell = createStockShell(scratch.path);
        if (!shell.has(client)) {
          inner.skip(`${client} is not installed`);
          return;
        }
        execSync(`age-keygen -o ${shell.directory}/key.txt 2>/dev/null`);
        const environment = {
          ...databaseEnvironment(server.mastodon(name)),
          ...s3.environment,
          ...mastodon,
          BACKUP_S3_PREFIX: prefix,
          BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
          BACKUP_COMPRESSION: 'none',
          BACKUP_AGE_RECIPIENTS: execSync(`age-keygen -y ${shell.directory}/key.txt`).toString().trim(),
        };
        const run = await runCommand(['run', 'daily'], environment);
        assert.equal(run.status, 0, run.stderr);
        const blocks = await kitOf(environment);
        const typed = await shell.run(
          [
            ...block(blocks, /^Where you are/),
            ...block(blocks, label),
            ...block(blocks, /^Get the manifests/),
            ...block(blocks, /set MANIFEST to another one/),
            ...block(blocks, /^Get its objects/),
            ...block(blocks, /^Is the dump whole/),
            ...block(blocks, /^Secrets, domain, mail/),
          ],
          {
            AWS_ACCESS_KEY_ID: 'test-key-id',
            AWS_SECRET_ACCESS_KEY: 'test-secret-key',
            AWS_EC2_METADATA_DISABLED: 'true',
            no_proxy: '127.0.0.1',
          },
        );
        assert.equal(typed.status, 0, typed.stderr);
        assert.match(typed.stdout, /whole: .*\.dump\.age\nwhole: .*\.secrets\.env\.age\n$/);
        const restored = readFileSync(path.join(shell.directory, '.env.production.restored'), 'utf8');
        assert.equal(readAsCompose(restored)['SMTP_PASSWORD'], mastodon.SMTP_PASSWORD);
      });
    }
  });
});

describe('the stock commands of the documentation', () => {
  for (const [major, variant] of [
    [14, 'stock'],
    [15, 'stock'],
    [15, 'own-schema'],
    [14, 'extensions-apart'],
  ] as const) {
    it(`restore every row into PostgreSQL ${major}: ${variant}`, async () => {
      await using source = await startPostgres({ major });
      await using target = await startPostgres({ major });
      using scratch = temporaryDirectory();
      await createMastodonVariant(source, { name, variant, megabytes: 2 });
      const shell = createStockShell(scratch.path);
      execSync(`age-keygen -o ${shell.directory}/key.txt 2>/dev/null`);
      const directory = path.join(scratch.path, 'backups');
      mkdirSync(directory);
      const environment = {
        ...databaseEnvironment(source.mastodon(name)),
        ...mastodon,
        BACKUP_LOCAL_DIR: directory,
        BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
        BACKUP_AGE_RECIPIENTS: execSync(`age-keygen -y ${shell.directory}/key.txt`).toString().trim(),
      };
      const run = await runCommand(['run', 'daily', '--json'], environment);
      assert.equal(run.status, 0, run.stderr);
      const { id } = JSON.parse(run.stdout) as { id: string };
      for (const suffix of ['.dump.xz.age', '.secrets.env.age', '.json']) {
        copyFileSync(path.join(directory, 'daily', `${id}${suffix}`), path.join(shell.directory, `${id}${suffix}`));
      }
      const lines = commandBlock('createdb -T template0').trimEnd().split('\n');
      const typed = await shell.run(
        lines.map((line) => line.replaceAll('2026-11-23T120000Z-4f1c2a', id)),
        superuser(target),
      );
      assert.equal(typed.status, 0, typed.stderr);
      assert.deepEqual(await countRows(target.superuser(name)), await countRows(source.superuser(name)));
      // Everything that is not an extension's is Mastodon's, and it may go on with it.
      const strangers = await target.query(
        `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and pg_get_userbyid(c.relowner) <> 'mastodon'
            and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
         union all select nspname from pg_namespace where nspname in ('masto', 'tools', 'words') and pg_get_userbyid(nspowner) <> 'mastodon'`,
        name,
      );
      assert.deepEqual(strangers, []);
      const settings = readAsCompose(readFileSync(path.join(shell.directory, '.env.production'), 'utf8'));
      assert.equal(settings['SECRET_KEY_BASE'], mastodon.SECRET_KEY_BASE);
    });
  }
});
