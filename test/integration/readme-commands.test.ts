// What the README tells people without Docker to type, taken from the README and typed into a shell. Its Docker commands are
// typed by the tests of the image, its stock commands by those of the recovery kit.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { it } from 'node:test';
import { databaseEnvironment, temporaryDirectory } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres } from '../support/postgres-server.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const blocks = [...readFileSync(path.join(root, 'README.md'), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms)].map(
  (match) => match[1] ?? '',
);

function block(words: string): string {
  const found = blocks.filter((text) => text.includes(words));
  assert.equal(found.length, 1, `one block of the README has '${words}'`);
  return found[0] ?? '';
}

function type(lines: string, cwd: string): string {
  return execFileSync('bash', ['-euo', 'pipefail', '-c', lines], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
  });
}

it('every block of commands is typed by a test', () => {
  const here = ['npm start -- doctor', 'age-keygen -o'];
  const byImageTests = [
    'docker build',
    '/dev/stdin backup-secrets',
    'COMPOSE_FILE=',
    '--label before-upgrade',
    '--to-database mastodon_production',
    '--secrets-output -',
    '> kit.html',
  ];
  const byStockCommands = ['createdb -T template0'];
  const byContinuousIntegration = ['npm run demo', 'npm test'];
  const typed = [here, byImageTests, byStockCommands, byContinuousIntegration].flat();
  for (const words of typed) block(words);
  const others = blocks.filter((text) => !typed.some((words) => text.includes(words)));
  assert.deepEqual(others, []);
});

it('the commands for a checkout back up and list', async () => {
  using scratch = temporaryDirectory();
  await using server = await startPostgres({ major: 15 });
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
  mkdirSync(`${scratch.path}/backups`);
  const write = (name: string, variables: Readonly<Record<string, string>>): void => {
    const lines = Object.entries(variables).map(([key, value]) => `${key}='${value}'\n`);
    writeFileSync(path.join(scratch.path, name), lines.join(''));
  };
  write('.env.production', {
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    LOCAL_DOMAIN: 'social.example',
  });
  write('.env.backup', {
    BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
    BACKUP_STATE_DIR: `${scratch.path}/state`,
    BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
  });
  // Whoever runs this test has installed already.
  const lines = block('npm start -- doctor').replaceAll('/path/to', scratch.path).replace('npm install\n', '');
  const said = type(lines, root);
  assert.match(said, /ok +database:/);
  assert.match(said, /^weekly\/\S+ .* full/m);
});

it('the commands for a key make one, and show its public half', () => {
  using scratch = temporaryDirectory();
  assert.match(type(block('age-keygen -o'), scratch.path), /^age1\w+$/m);
});
