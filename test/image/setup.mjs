// Installs and starts what the tests of the image need: a Docker engine with compose and buildx, stand-ins for the public base
// images, one for Mastodon's own, Ceph's gateway, and our image. Plain JavaScript for old Node versions. Each stage says how long it took.
//
// With IMAGE_TEST_BASES=public the images are the published ones instead, with all PostgreSQL majors, ours included.

import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const here = path.join(root, 'test/image');
const cache = path.join(tmpdir(), 'mastodon-backup-image-test');
const mirror = 'http://deb.debian.org/debian';
const bundle = '/etc/ssl/certs/ca-certificates.crt';
const isPublic = process.env.IMAGE_TEST_BASES === 'public';
// Names of our own: a stand-in must not be taken for the published image by anything else on this machine.
const images = 'mastodon-backup-test';
mkdirSync(cache, { recursive: true });

/** The exit status that says that there can be no engine on this machine. */
const noEngine = 77;

function fail(message) {
  console.error(`setup: ${message}`);
  return process.exit(1);
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 28, ...options });
  if (result.error !== undefined || result.status !== 0) {
    const words = `${result.stdout ?? ''}\n${result.stderr ?? ''}`.trim().split('\n').slice(-40).join('\n');
    fail(`this failed: ${command} ${args.join(' ')}\n${result.error?.message ?? words}`);
  }
  return result.stdout;
}

function succeeds(command, args) {
  const { error, status } = spawnSync(command, args, { stdio: 'ignore' });
  return error === undefined && status === 0;
}

function stage(name, work) {
  const startedAt = Date.now();
  if (work() !== false) console.error(`setup: ${name}: ${Math.round((Date.now() - startedAt) / 1000)} s`);
}

function hasImage(name) {
  return succeeds('docker', ['image', 'inspect', name]);
}

stage('npm and Debian packages', () => {
  run(process.execPath, [path.join(root, 'test/setup.mjs')]);
  const missing = [
    ['docker.io', () => existsSync('/usr/sbin/dockerd') || existsSync('/usr/bin/dockerd')],
    ['debootstrap', () => isPublic || existsSync('/usr/sbin/debootstrap')],
    ['iptables', () => existsSync('/usr/sbin/iptables')],
    ['ca-certificates', () => existsSync(bundle)],
  ]
    .filter(([, present]) => !present())
    .map(([name]) => name);
  if (missing.length === 0) return false;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['update', '-q'], { env });
  run('apt-get', ['install', '-y', '--no-install-recommends', ...missing], { env });
  return true;
});

stage('Docker engine', () => {
  if (succeeds('docker', ['info'])) return false;
  const log = openSync(path.join(cache, 'dockerd.log'), 'a');
  spawn('dockerd', ['--data-root', path.join(cache, 'docker')], {
    detached: true,
    stdio: ['ignore', log, log],
  }).unref();
  for (let attempt = 0; attempt < 120; attempt += 1) {
    if (succeeds('docker', ['info'])) return true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  }
  console.error(`setup: dockerd did not start:\n${readFileSync(path.join(cache, 'dockerd.log'), 'utf8').slice(-2000)}`);
  return process.exit(noEngine);
});

// trixie is the image's own; forky's PostgreSQL is 18, the newest, which trixie does not have.
const debian = path.join(cache, 'trixie');
function debootstrap(release) {
  const directory = path.join(cache, release);
  if (existsSync(directory)) return true;
  rmSync(`${directory}.partial`, { recursive: true, force: true });
  // A debootstrap may be older than the release; all of them are made like sid.
  const args = ['--variant=minbase', release, `${directory}.partial`, mirror, '/usr/share/debootstrap/scripts/sid'];
  const { status, stdout } = spawnSync('debootstrap', args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (status === 0) renameSync(`${directory}.partial`, directory);
  else console.error(`setup: debootstrap of ${release} failed:\n${stdout.split('\n').slice(-10).join('\n')}`);
  return status === 0;
}

function pull(from, to) {
  run('docker', ['pull', '--quiet', from]);
  run('docker', ['tag', from, `${images}/${to}`]);
}

// An image as slim as the published one.
function importDebian(release) {
  const left = [
    'usr/share/doc',
    'usr/share/man',
    'usr/share/info',
    'usr/share/locale',
    'var/lib/apt/lists',
    'var/cache/apt',
  ];
  const excluded = left.map((folder) => `--exclude=./${folder}/*`).join(' ');
  const command = `set -e; tar -C "$0" ${excluded} -c . | docker import - ${images}/debian:${release}`;
  run('sh', ['-c', command, path.join(cache, release)]);
}

stage('Debian trixie', () => {
  if (isPublic) return pull('debian:trixie-slim', 'debian:trixie');
  if (hasImage(`${images}/debian:trixie`)) return false;
  if (!debootstrap('trixie')) fail(`Debian trixie could not be had from ${mirror}`);
  importDebian('trixie');
  return true;
});

stage('compose and buildx', () => {
  if (succeeds('docker', ['compose', 'version']) && succeeds('docker', ['buildx', 'version'])) return false;
  // Debian's own, for whatever release this machine runs: they are single programs.
  if (!debootstrap('trixie')) fail(`Debian trixie could not be had from ${mirror}`);
  copyFileSync('/etc/resolv.conf', path.join(debian, 'etc/resolv.conf'));
  run('chroot', [
    debian,
    'sh',
    '-ec',
    'apt-get update -q; cd /tmp; apt-get download docker-compose docker-buildx; for f in docker-*.deb; do dpkg -x "$f" plugins; done',
  ]);
  const plugins = path.join(homedir(), '.docker/cli-plugins');
  mkdirSync(plugins, { recursive: true });
  for (const name of ['docker-compose', 'docker-buildx'])
    copyFileSync(path.join(debian, 'tmp/plugins/usr/libexec/docker/cli-plugins', name), path.join(plugins, name));
  return true;
});

function build(tag, { file, context, args = [] }) {
  const secret = existsSync(bundle) ? ['--secret', `id=ca,src=${bundle}`] : [];
  run('docker', ['buildx', 'build', '--quiet', '--load', '-t', tag, '-f', file, ...secret, ...args, context]);
}

stage('node:26-trixie-slim', () => {
  if (isPublic) return pull('node:26-trixie-slim', 'node:26');
  if (hasImage(`${images}/node:26`)) return false;
  const context = mkdtempSync(path.join(cache, 'node-'));
  const { optionalDependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const node = `node-linux-${process.arch === 'arm64' ? 'arm64' : 'x64'}`;
  for (const [name, wanted] of [
    ['node', `${node}@${optionalDependencies[node]}`],
    ['npm', 'npm@11'],
  ]) {
    const file = run('npm', ['pack', '--silent', wanted], { cwd: context }).trim().split('\n').at(-1);
    renameSync(path.join(context, file), path.join(context, `${name}.tgz`));
  }
  build(`${images}/node:26`, { file: path.join(here, 'stand-ins/node.Dockerfile'), context });
  rmSync(context, { recursive: true });
  return true;
});

for (const major of isPublic ? [14, 15, 16, 17, 18] : [14, 15, 17, 18]) {
  stage(`postgres:${major}-alpine`, () => {
    if (isPublic) return pull(`postgres:${major}-alpine`, `postgres:${major}`);
    if (hasImage(`${images}/postgres:${major}`)) return false;
    const context = mkdtempSync(path.join(cache, 'postgres-'));
    const native = path.join(root, `test/servers/node_modules/postgres-${major}-linux-${process.arch}/native`);
    cpSync(native, path.join(context, 'native'), { recursive: true, verbatimSymlinks: true });
    copyFileSync(path.join(here, 'stand-ins/postgres-entrypoint.sh'), path.join(context, 'postgres-entrypoint.sh'));
    // Since 18 one directory higher, and by version.
    const places = major < 18 ? [] : ['VOLUME=/var/lib/postgresql', `DATA=/var/lib/postgresql/${major}/docker`];
    build(`${images}/postgres:${major}`, {
      file: path.join(here, 'stand-ins/postgres.Dockerfile'),
      context,
      args: places.flatMap((one) => ['--build-arg', one]),
    });
    rmSync(context, { recursive: true });
    return true;
  });
}

stage('Mastodon and its Redis', () => {
  const context = path.join(here, 'stand-ins');
  build(`${images}/mastodon`, { file: path.join(context, 'mastodon.Dockerfile'), context });
});

stage("Ceph's object gateway", () => {
  build(`${images}/ceph`, { file: path.join(here, 'ceph/Dockerfile'), context: path.join(here, 'ceph') });
});

stage('Debian with systemd', () => {
  build(`${images}/systemd`, { file: path.join(here, 'systemd/Dockerfile'), context: path.join(here, 'systemd') });
});

function buildOurs(name, { release, source }) {
  const bases = [`NODE_IMAGE=${images}/node:26`, `RUNTIME_IMAGE=${images}/debian:${release}`];
  build(`${images}/${name}`, {
    file: path.join(root, 'docker/Dockerfile'),
    context: root,
    args: [...bases, ...source].flatMap((argument) => ['--build-arg', argument]),
  });
}

stage('our image', () => {
  buildOurs('mastodon-postgres-backup', { release: 'trixie', source: isPublic ? [] : ['PG_SOURCE=debian'] });
});

// Whether Debian can give its coming release and PostgreSQL 18 for it: that may be broken for a day, which is not our fault.
function hasForky() {
  const image = `${images}/debian:forky`;
  if (!hasImage(image)) {
    if (!debootstrap('forky')) return false;
    // A mirror that stands still for weeks is good enough here.
    writeFileSync(path.join(cache, 'forky/etc/apt/apt.conf.d/valid-until'), 'Acquire::Check-Valid-Until "false";\n');
    importDebian('forky');
  }
  const wanted = 'postgresql-18 postgresql-common libnss-wrapper tini';
  const simulated = `apt-get update -q && apt-get install -y --simulate --no-install-recommends ${wanted}`;
  return succeeds('docker', ['run', '--rm', image, 'sh', '-c', simulated]);
}

stage('our image with PostgreSQL 18', () => {
  if (isPublic) return false;
  const name = 'mastodon-postgres-backup-18';
  if (hasForky()) {
    buildOurs(name, { release: 'forky', source: ['PG_SOURCE=debian'] });
    return true;
  }
  spawnSync('docker', ['image', 'rm', '-f', `${images}/${name}`], { stdio: 'ignore' });
  console.error('setup: NOT RUN, our image with PostgreSQL 18: Debian forky cannot be had today');
  return false;
});
