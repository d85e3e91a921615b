// The main job on an embedded default: a throw-away PostgreSQL with a small realistic Mastodon database and a directory as
// destination; backed up, read back, restored with stock tools, the rows compared, and a restore drill at the end. Everything
// is gone afterwards.

import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { databaseEnvironment, runProcess } from '../support/command.ts';
import { countRows, createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres, testPassword } from '../support/postgres-server.ts';
import { dumpKey, manifestFrom } from '../support/manifests.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const megabytes = 10;

function say(text: string): void {
  console.log(`\n== ${text}`);
}

async function command(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<string> {
  console.log(`$ mastodon-backup ${args.join(' ')}`);
  const { status, stdout, stderr } = await runProcess(args, environment);
  if (status !== 0) throw new Error(`It ended with status ${status}:\n${stderr}`);
  return stdout;
}

const startedAt = performance.now();
using folder = temporaryDirectory();
// Root gives the server of a drill to another user, who must reach it.
chmodSync(folder.path, 0o755);
const backups = path.join(folder.path, 'backups');
mkdirSync(backups);
say(`Starting PostgreSQL 15 with about ${megabytes} MB of Mastodon`);
await using server = await startPostgres({ major: 15, auth: 'scram-sha-256' });
await createMastodonDatabase(server, { name: 'mastodon_production', megabytes });
const environment = {
  ...databaseEnvironment(server.mastodon('mastodon_production')),
  LOCAL_DOMAIN: 'social.example',
  BACKUP_LOCAL_DIR: backups,
  BACKUP_STATE_DIR: path.join(folder.path, 'state'),
  BACKUP_SCRATCH_DIR: path.join(folder.path, 'scratch'),
  BACKUP_PG_BIN: linkPrograms(path.join(folder.path, 'bin'), 15),
};

say('Taking a backup; it counts only when it has been read back');
process.stdout.write(await command(['run', 'weekly'], environment));
process.stdout.write(await command(['list'], environment));
process.stdout.write(await command(['verify', 'latest:weekly'], environment));

say('Restoring it without this program: xz -d | pg_restore');
const { snapshots } = JSON.parse((await runProcess(['list', '--json'], environment)).stdout) as {
  snapshots: unknown[];
};
const [manifest] = snapshots.map(manifestFrom);
if (manifest === undefined) throw new Error('There is no snapshot');
await server.createDatabase('mastodon_restored');
const archive = execFileSync('xz', ['-d', '-c', path.join(backups, dumpKey(manifest))], { maxBuffer: 2 ** 30 });
const restored = spawnSync(
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
    'mastodon_restored',
  ],
  { input: archive, env: { PATH: process.env['PATH'], PGPASSWORD: testPassword }, encoding: 'utf8' },
);
if (restored.status !== 0) throw new Error(`pg_restore failed: ${restored.stderr}`);

say('Comparing the rows of every table: source, manifest, restored');
const source = await countRows(server.mastodon('mastodon_production'));
const target = await countRows(server.mastodon('mastodon_restored'));
const wrong = Object.keys({ ...source, ...target, ...manifest.database.rows }).filter(
  (table) => source[table] !== target[table] || source[table] !== manifest.database.rows[table],
);
if (wrong.length > 0) throw new Error(`These tables differ: ${wrong.join(', ')}`);
for (const table of ['accounts', 'statuses', 'media_attachments', 'follows', 'favourites']) {
  console.log(`${table.padEnd(20)} ${String(source[`public.${table}`]).padStart(8)} rows in all three`);
}

say('The restore drill: a throw-away server, and what Mastodon itself would ask of the database');
const report = await command(['drill'], environment);
process.stdout.write(report);
// Skipped, with the figures, on a disk that is nearly full.
const verdict = /^Drill of .*: (passed|skipped|incomplete)/.exec(report)?.[1] ?? 'not understood';
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const seconds = Math.round((performance.now() - startedAt) / 1_000);
console.log(
  `\nAll ${Object.keys(source).length} tables are equal, the drill: ${verdict}. mastodon-postgres-backup ${version}, ${seconds} s.`,
);
