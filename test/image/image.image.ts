// The image by itself: what it declares, any user id in a sandbox, no shell, the compiled compressor, and an older image over
// what a newer one left behind.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createDatabaseNetwork, type DatabaseNetwork } from './support/database-container.ts';
import { docker, dockerOutput } from './support/docker.ts';
import { image } from './support/mastodon-project.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };

describe('the image', () => {
  const major = 15;
  let network: DatabaseNetwork;
  before(async () => {
    network = await createDatabaseNetwork();
    await network.start(major);
  });
  after(async () => network[Symbol.asyncDispose]());

  // Those in the folders of tiers: beside them lies the marker of the place.
  const files = async (backups: string): Promise<readonly string[]> => {
    const found = await network.run(['-c', 'cd /var/lib/mastodon-backup; find . -type f -path "./*/*" | sort'], {
      major,
      backups,
      more: ['--entrypoint=sh'],
    });
    return found.stdout.split('\n').filter((name) => name !== '');
  };

  it('declares how it is run, looked after and ended', async () => {
    const [inspected] = JSON.parse(await dockerOutput(['image', 'inspect', image])) as {
      Config: Readonly<Record<string, unknown>> & { Healthcheck: { Test: string[]; StartPeriod: number } };
      Size: number;
    }[];
    assert.ok(inspected !== undefined);
    const { Config: config } = inspected;
    assert.equal(config['User'], '10001:10001');
    assert.equal(config['StopSignal'], 'SIGTERM');
    assert.deepEqual(config['Entrypoint'], ['tini', '--', 'mastodon-backup']);
    assert.deepEqual(config['Cmd'], ['daemon']);
    assert.deepEqual(config.Healthcheck.Test, ['CMD', 'mastodon-backup', 'health']);
    assert.ok(config.Healthcheck.StartPeriod > 0);
    assert.equal((config['Labels'] as Record<string, string>)['org.opencontainers.image.version'], version);
    assert.equal((await dockerOutput(['run', '--rm', image, '--version'])).trim(), version);
    console.log(`${Math.round(inspected.Size / 1e6)} MB`);
    console.log(await dockerOutput(['history', '--format', '{{.Size}}\t{{.CreatedBy}}', image]));
    assert.ok(inspected.Size < 450e6, `${inspected.Size} bytes`);
  });

  for (const user of ['10001', '1000:1000', '23456:34567']) {
    it(`backs up and drills as user ${user}, read-only, without capabilities, privileges and a name`, async () => {
      const on = { major, backups: `as-${user.replace(':', '-')}`, more: [`--user=${user}`] };
      for (const args of [['run'], ['list'], ['verify'], ['drill']]) {
        const { status, stdout, stderr } = await network.run(args, on);
        assert.equal(status, 0, `${args[0]}: ${stderr}${stdout}`);
        if (args[0] === 'drill') assert.match(stdout, /: passed/);
      }
    });
  }

  it('has compiled what is started again and again, for its own user and for root, and nobody can change it', async () => {
    for (const user of ['10001', '0'])
      for (const command of ['health', 'list']) {
        const told = [
          '--read-only',
          `--user=${user}`,
          '--env=NODE_DEBUG_NATIVE=COMPILE_CACHE',
          '--env=BACKUP_LOCAL_DIR=/var/tmp',
        ];
        const { stdout, stderr } = await docker(['run', '--rm', ...told, image, command]);
        const found = [...`${stdout}${stderr}`.matchAll(/V8 code cache for .* was ([^,]*),/g)].map(([, what]) => what);
        assert.ok(found.length > 100, `${command} as ${user}: ${stderr}`);
        assert.deepEqual([...new Set(found)], ['accepted'], `${command} as ${user}`);
      }
    const writable = ['-c', 'find /app -writable ! -type l'];
    assert.equal(await dockerOutput(['run', '--rm', '--entrypoint=sh', image, ...writable]), '');
  });

  it('backs up without a shell: nothing is handed to one', async () => {
    const noShell = ['dash', 'bash'].map((shell) => `--volume=/dev/null:/usr/bin/${shell}:ro`);
    const on = { major, backups: 'no-shell', more: noShell };
    const shell = await network.run(['-c', 'true'], { ...on, more: [...noShell, '--entrypoint=sh'] });
    assert.notEqual(shell.status, 0, 'there is one after all');
    for (const args of [['run'], ['list'], ['verify'], ['doctor']]) {
      const { status, stdout, stderr } = await network.run(args, on);
      assert.equal(status, 0, `${args[0]}: ${stderr}${stdout}`);
    }
  });

  it('says whose a secret file is and what mends it, when only root may read it', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'mastodon-backup-secret-'));
    try {
      chmodSync(folder, 0o755);
      const file = path.join(folder, 'database_password');
      writeFileSync(file, 'hush-hush\n', { mode: 0o600 });
      const { status, stdout, stderr } = await network.run(['run'], {
        major,
        backups: 'secret',
        more: [
          `--volume=${file}:/run/secrets/database_password:ro`,
          '-e',
          'DB_PASS_FILE=/run/secrets/database_password',
        ],
      });
      assert.equal(status, 2, stderr);
      assert.match(stderr, /DB_PASS_FILE/);
      assert.match(stderr, /0600/);
      assert.match(stderr, /chown 10001/);
      assert.ok(!`${stdout}${stderr}`.includes('hush-hush'));
      console.log(stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('backs up over manifests of a newer version and a setting it does not know, and deletes nothing of them', async () => {
    const on = { major, backups: 'newer', more: ['-e', 'BACKUP_KEEP_DAILY=1', '-e', 'BACKUP_FROM_THE_FUTURE=yes'] };
    const run = async (): Promise<void> => {
      const { status, stderr } = await network.run(['run'], on);
      assert.equal(status, 0, stderr);
      assert.match(stderr, /BACKUP_FROM_THE_FUTURE/);
    };
    await run();
    const newer = await files('newer');
    assert.equal(newer.length, 2);
    const change = `const fs = require('fs'), file = '/var/lib/mastodon-backup/${newer.find((name) => name.endsWith('.json'))}';
      fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(fs.readFileSync(file, 'utf8')), format: 2 }))`;
    const changed = await network.run(['-e', change], { ...on, more: ['--entrypoint=node'] });
    assert.equal(changed.status, 0, changed.stderr);
    await run();
    await run();
    const left = await files('newer');
    assert.deepEqual(
      newer.filter((name) => !left.includes(name)),
      [],
      'of the newer version nothing is gone',
    );
    assert.equal(left.length, 4, 'and of our own two backups retention kept one');
    const listed = await network.run(['list', '--json'], on);
    const { snapshots, unreadable } = JSON.parse(listed.stdout) as { snapshots: unknown[]; unreadable: unknown[] };
    assert.deepEqual([snapshots.length, unreadable.length], [1, 1]);
  });

  it('compresses with the lzma-native that was compiled for it, which is faster than the prebuilt one', async () => {
    // Words and random parts, as a dump has them. Seconds of the processor: other work on this machine does not count.
    const program = `
      const { randomBytes } = require('crypto');
      const lzma = require('/app/node_modules/lzma-native');
      const words = 'the quick brown fox jumps over a lazy dog while Grüße aus Köln 日本 привет мастодонт'.split(' ');
      const word = () => words[Math.floor(Math.random() * words.length)];
      let text = '';
      for (let n = 0; text.length < 6e6; n += 1)
        text += n + '\\t' + Array.from({ length: 12 }, word).join(' ') + '\\t' + randomBytes(12).toString('hex') + '\\n';
      const encoder = lzma.createStream('easyEncoder', { preset: 6, threads: 1 });
      const before = process.cpuUsage();
      let bytes = 0;
      encoder.on('data', (chunk) => { bytes += chunk.length; });
      encoder.on('end', () => console.log(JSON.stringify({
        library: process.report.getReport().sharedObjects.find((name) => name.includes('lzma')),
        seconds: process.cpuUsage(before).user / 1e6,
        bytes,
      })));
      encoder.end(Buffer.from(text));`;
    const compress = async (more: readonly string[]): Promise<{ library: string; seconds: number; bytes: number }> =>
      JSON.parse(await dockerOutput(['run', '--rm', ...more, '--entrypoint=node', image, '-e', program])) as {
        library: string;
        seconds: number;
        bytes: number;
      };
    const compiled = await compress([]);
    assert.match(compiled.library, /build\/Release\/lzma_native\.node$/);
    assert.ok(compiled.bytes > 100_000);
    const prebuilds = path.join(root, 'node_modules/lzma-native/prebuilds');
    // The prebuilt one for arm64 is of another architecture.
    if (process.arch !== 'x64' || !existsSync(prebuilds)) return;
    const target = '/app/node_modules/lzma-native/prebuilds';
    const prebuilt = await compress([`--volume=${prebuilds}:${target}:ro`, '-e', 'PREBUILDS_ONLY=1']);
    assert.match(prebuilt.library, /\/prebuilds\//);
    console.log(
      `compiled ${compiled.seconds.toFixed(2)} s, prebuilt ${prebuilt.seconds.toFixed(2)} s of processor time: ${(prebuilt.seconds / compiled.seconds).toFixed(2)} times as fast`,
    );
  });

  it('holds neither a compiler nor package managers of languages, and every library it loads', async () => {
    const { status, stdout, stderr } = await docker([
      'run',
      '--rm',
      '--entrypoint=sh',
      image,
      '-c',
      "for name in npm gcc make perl5 python3 llvm-config; do command -v $name; done; find /usr/lib /usr/local /app -type f \\( -name '*.so*' -o -name '*.node' -o -path '*/bin/*' \\) -exec ldd {} + 2>/dev/null | grep 'not found'; true",
    ]);
    assert.deepEqual([status, stdout], [0, ''], stderr);
  });
});
