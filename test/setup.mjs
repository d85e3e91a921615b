// Installs what tests and demo need and is missing: Debian packages, then npm's. Plain JavaScript for old Node versions,
// because the Node that everything else runs on is one of the npm packages. Silent and fast when nothing is missing.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

function onPath(command) {
  return (process.env.PATH ?? '').split(':').some((folder) => folder !== '' && existsSync(path.join(folder, command)));
}

function hasPostgresClient() {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql') : [];
  return versions.some((major) => existsSync(`/usr/lib/postgresql/${major}/bin/pg_dump`)) || onPath('pg_dump');
}

function hasLibrary(name) {
  const folders = ['/lib', '/usr/lib', `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`];
  return process.platform !== 'linux' || folders.some((folder) => existsSync(path.join(folder, name)));
}

function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 2, 2], ...options });
  return error === undefined && status === 0;
}

function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(1);
}

/** Debian package → whether it is there. libatomic1 comes first: npm's Node needs it. */
const needed = [
  ['libatomic1', () => hasLibrary('libatomic.so.1')],
  ['postgresql-client', hasPostgresClient],
  ['xz-utils', () => onPath('xz')],
  ['zstd', () => onPath('zstd')],
  ['age', () => onPath('age')],
  ['curl', () => onPath('curl')],
];

const missing = needed.filter(([, present]) => !present()).map(([name]) => name);
if (missing.length > 0) {
  const install = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (process.getuid?.() !== 0 || !onPath('apt-get'))
    fail(`these are missing: ${missing.join(', ')}. Run: sudo ${install}`);
  console.error(`setup: installing ${missing.join(', ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const [command, ...args] = install.split(' ');
  const installed =
    run(command, args, { env }) || (run('apt-get', ['update', '-q'], { env }) && run(command, args, { env }));
  if (!installed) fail(`this failed: ${install}`);
}

/** What npm wrote about its last installation against what the lock file asks for. */
function packagesAreCurrent() {
  const hidden = path.join(root, 'node_modules/.package-lock.json');
  if (!existsSync(hidden)) return false;
  const wanted = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(hidden, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([name, { version, optional }]) =>
      name === '' || present[name]?.version === version || (optional === true && !present[name]),
  );
}

function nodeRuns() {
  return run(path.join(root, 'node_modules/.bin/node'), ['--version'], { stdio: 'ignore' });
}

if (!packagesAreCurrent() || !nodeRuns()) {
  // Not `npm ci`: npm 11 fails there on optional packages for other platforms. The lock file decides all the same.
  console.error('setup: installing npm packages');
  if (
    !run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root }) ||
    !nodeRuns()
  )
    fail('npm install failed');
}
