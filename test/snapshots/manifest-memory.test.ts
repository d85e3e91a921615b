// What one command has read of ten thousand manifests the next one need not read; and however wrong that memory is, or whoever wrote
// it, nothing counts by it that would not count without it.

import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { createSigningKey, parsePrivateKey, type SigningKey } from '../../src/config/ssh-keys.ts';
import { dumpOf, encodeManifest, type Manifest } from '../../src/snapshots/manifest.ts';
import { manifestKey } from '../../src/snapshots/object-keys.ts';
import { signatureKey } from '../../src/snapshots/origin.ts';
import { createSignature } from '../../src/snapshots/sshsig.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { pause } from '../../src/stream/patience.ts';
import { runCommand, runProcess } from '../support/command.ts';
import { putSnapshot } from '../support/manifests.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
/** More than are read anew each time, as few are. */
const many = 70;
const hourMs = 3_600_000;
const start = Date.parse('2026-01-01T00:00:00Z');
const pack = promisify(zstdCompress);
const unpack = promisify(zstdDecompress);
const place = { DB_HOST: '127.0.0.1', DB_PORT: '9', LOCAL_DOMAIN: 'social.example' };

async function fill(store: ObjectStore, key: SigningKey | null = null): Promise<readonly Manifest[]> {
  const all: Manifest[] = [];
  for (let at = 0; at < many; at += 1) {
    const manifest = await putSnapshot(store, { dataAt: new Date(start + at * hourMs), tier: 'hourly' });
    all.push(manifest);
    if (key === null) continue;
    const signature = Buffer.from(createSignature(encodeManifest(manifest), key));
    await store.putDocument(signatureKey(manifestKey('', manifest)), signature, { signal });
  }
  return all;
}

const manifestReads = (s3: S3TestServer): readonly string[] =>
  s3.seen.filter(({ method, path: at }) => method === 'GET' && at.endsWith('.json')).map(({ path: at }) => at);

const memoryIn = (state: string, uid = process.getuid?.() ?? 0): string => path.join(state, `manifests-s3.${uid}`);

describe('what was read of the manifests in a bucket', () => {
  let s3: S3TestServer;
  let all: readonly Manifest[];
  let environment: Readonly<Record<string, string>>;
  const folder = temporaryDirectory();
  const state = path.join(folder.path, 'state');
  let good: Buffer;
  let shown: string;

  before(async () => {
    s3 = await startS3();
    all = await fill(s3.store());
    environment = { ...s3.environment, ...place, BACKUP_STATE_DIR: state };
    shown = (await list()).shown;
    good = readFileSync(memoryIn(state));
  });
  after(async () => {
    await s3[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  async function list(
    changes: Readonly<Record<string, string>> = {},
    words: readonly string[] = [],
  ): Promise<{ readonly shown: string; readonly reads: readonly string[] }> {
    s3.seen.length = 0;
    const { stdout, stderr, status } = await runCommand(['list', '--json', ...words], { ...environment, ...changes });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '', 'nobody is told of it');
    return { shown: stdout, reads: manifestReads(s3) };
  }

  async function withMemory(content: Uint8Array): Promise<void> {
    rmSync(memoryIn(state), { force: true, recursive: true });
    writeFileSync(memoryIn(state), content, { mode: 0o600 });
  }

  it('is read by the next command, which shows the same', async () => {
    await withMemory(good);
    assert.deepEqual(await list(), { shown, reads: [] });
    assert.deepEqual((await list({}, ['--tier', 'hourly'])).reads, []);
    assert.deepEqual(readFileSync(memoryIn(state)), good, 'nothing new is nothing to write');
  });

  it('does not hide one that changed, came or went', async () => {
    await withMemory(good);
    const [first, second] = all;
    assert.ok(first !== undefined && second !== undefined);
    const changed = { ...first, label: 'changed since' };
    const key = manifestKey('', first);
    const original = encodeManifest(first);
    await s3.overwrite(key, encodeManifest(changed));
    const seen = await list();
    assert.deepEqual(seen.reads, [`/backups/${key}`]);
    assert.match(seen.shown, /changed since/);
    await s3.overwrite(key, original);
    const added = await putSnapshot(s3.store(), { dataAt: new Date(start - hourMs), tier: 'hourly' });
    const more = await list();
    assert.match(more.shown, new RegExp(added.id));
    assert.ok(more.reads.includes(`/backups/${manifestKey('', added)}`));
    await s3.store().remove(manifestKey('', added), { signal });
    await s3.store().remove(manifestKey('', second), { signal });
    assert.doesNotMatch((await list()).shown, new RegExp(`${second.id}|${added.id}`));
    await s3.store().putDocument(manifestKey('', second), encodeManifest(second), { signal });
    await withMemory(good);
    const { shown: now } = await list();
    assert.equal(now, shown);
    good = readFileSync(memoryIn(state));
  });

  it('is as good as none when it is damaged, of somebody else, or too large', async () => {
    const file = memoryIn(state);
    const text = (await unpack(good)).toString();
    const [title = '', ...lines] = text.split('\n');
    const other = path.join(folder.path, 'other');
    const cases: Readonly<Record<string, () => Promise<void>>> = {
      nothing: async () => withMemory(Buffer.alloc(0)),
      'cut off': async () => withMemory(good.subarray(0, good.length - 9)),
      'a bit flipped': async () => {
        const flipped = Buffer.from(good);
        flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 4;
        await withMemory(flipped);
      },
      'no such file': async () => withMemory(Buffer.from('{"format":2}')),
      'a bomb': async () => withMemory(await pack(Buffer.alloc(80 * 1024 * 1024))),
      'too large': async () => {
        await withMemory(good);
        truncateSync(file, 64 * 1024 * 1024 + 1);
      },
      'of another format': async () => withMemory(await pack(text.replace('"format":2', '"format":1'))),
      'of another version': async () => withMemory(await pack(text.replace('0.0.0-test', '0.0.1-test'))),
      'ending in a line': async () => withMemory(await pack(text.slice(0, -5))),
      'of other lines': async () => withMemory(await pack([title, ...lines.map(() => '["a",1]\t{}'), ''].join('\n'))),
      'of manifests that are none': async () =>
        withMemory(await pack(text.replaceAll('"format":1,"id"', '"format":3,"id"'))),
      'of manifests of others': async () =>
        withMemory(await pack(text.replaceAll('"tier":"hourly"', '"tier":"daily"'))),
      'one that others may write': async () => {
        await withMemory(good);
        chmodSync(file, 0o666);
      },
      'a link': async () => {
        rmSync(file, { force: true });
        writeFileSync(other, good, { mode: 0o600 });
        symlinkSync(other, file);
      },
      'a directory': async () => {
        rmSync(file, { force: true });
        mkdirSync(file);
      },
      ...(process.getuid?.() === 0
        ? {
            'of another user': async () => {
              await withMemory(good);
              chownSync(file, 12_345, 12_345);
            },
          }
        : {}),
    };
    for (const [name, make] of Object.entries(cases)) {
      await make();
      const { shown: found, reads } = await list();
      assert.equal(reads.length, many, name);
      assert.equal(found, shown, name);
      rmSync(file, { recursive: true, force: true });
    }
    assert.deepEqual(readdirSync(state), [], 'nothing half made is left');
  });

  it('says nothing of another bucket, another folder in it, or other keys', async () => {
    await withMemory(good);
    const { publicKey } = createSigningKey('other');
    const line = `ssh-ed25519 ${publicKey.blob.toString('base64')}`;
    const unsigned = JSON.parse((await list({ BACKUP_TRUSTED_SIGNERS: line })).shown) as Record<string, unknown[]>;
    assert.deepEqual([unsigned['snapshots']?.length, unsigned['unsigned']?.length], [0, many]);
    await withMemory(good);
    const elsewhere = await list({ BACKUP_S3_PREFIX: 'elsewhere' });
    assert.deepEqual((JSON.parse(elsewhere.shown) as { snapshots: unknown[] }).snapshots, []);
    await using second = await startS3();
    for (const manifest of all.slice(0, 65)) {
      await second.store().putDocument(manifestKey('', manifest), encodeManifest(manifest), { signal });
    }
    await runCommand(['list'], { ...second.environment, ...place, BACKUP_STATE_DIR: state });
    assert.equal(manifestReads(second).length, 65);
  });

  it('is not missed where nothing can be written, and where each of two writes it at once', async () => {
    const none = { BACKUP_STATE_DIR: path.join(folder.path, 'a-file') };
    writeFileSync(none.BACKUP_STATE_DIR, '');
    assert.equal((await list(none)).shown, shown);
    rmSync(memoryIn(state), { force: true });
    const both = await Promise.all([1, 2].map(async () => runProcess(['list', '--json'], environment)));
    assert.deepEqual(
      both.map(({ stdout }) => stdout),
      [shown, shown],
    );
    // A process has a version of its own in it.
    s3.seen.length = 0;
    assert.equal((await runProcess(['list', '--json'], environment)).stdout, shown);
    assert.deepEqual(manifestReads(s3), []);
    assert.deepEqual(readdirSync(state), [path.basename(memoryIn(state))]);
  });

  it('is read again of what is restored: a memory that is wrong restores nothing else', async () => {
    await withMemory(good);
    await list();
    const text = (await unpack(readFileSync(memoryIn(state)))).toString();
    const sha256 = dumpOf(all[0] ?? assert.fail()).sha256;
    await withMemory(await pack(text.replaceAll(sha256, 'f'.repeat(64))));
    const verified = await runCommand(['verify', '--json'], environment);
    assert.match(verified.stderr, /What BACKUP_STATE_DIR remembers of the store is not what is there/);
    // Which these are not, but they are the bytes of the manifest in the store.
    assert.match(verified.stdout, /The bytes are no pg_dump archive/);
    assert.equal((await list()).shown, shown, 'and it is forgotten');
  });
});

describe('what was read of signed manifests', () => {
  it('is not verified again, and is nothing without the signature', async () => {
    using folder = temporaryDirectory();
    await using s3 = await startS3();
    const key = parsePrivateKey(createSigningKey('mine').file);
    const all = await fill(s3.store(), key);
    const environment = {
      ...s3.environment,
      ...place,
      BACKUP_STATE_DIR: path.join(folder.path, 'state'),
      BACKUP_TRUSTED_SIGNERS: `ssh-ed25519 ${key.publicKey.blob.toString('base64')} mine`,
    };
    const list = async (): Promise<{ readonly snapshots: unknown[]; readonly unsigned: unknown[] }> =>
      JSON.parse((await runCommand(['list', '--json'], environment)).stdout) as never;
    const first = await list();
    assert.deepEqual([first.snapshots.length, first.unsigned.length], [many, 0]);
    s3.seen.length = 0;
    assert.deepEqual(await list(), first);
    const gets = s3.seen.filter(({ method, path: at }) => method === 'GET' && /\.json(\.sig)?$/.test(at));
    assert.deepEqual(gets, []);
    const [one, two] = all.map((manifest) => signatureKey(manifestKey('', manifest)));
    assert.ok(one !== undefined && two !== undefined);
    await s3.store().remove(one, { signal });
    await s3.overwrite(two, Buffer.from(createSignature(Buffer.from('something else'), key)));
    const then = await list();
    assert.deepEqual([then.snapshots.length, then.unsigned.length], [many - 2, 2]);
  });
});

describe('what was read of the manifests in a directory', () => {
  it('is known again by what the file system says of a file', async () => {
    using folder = temporaryDirectory({ on: 'disk' });
    const directory = path.join(folder.path, 'nas');
    mkdirSync(directory);
    const all = await fill(createLocalStore({ directory }));
    const state = path.join(folder.path, 'state');
    const environment = { ...place, BACKUP_LOCAL_DIR: directory, BACKUP_STATE_DIR: state };
    const file = path.join(state, `manifests-local.${process.getuid?.() ?? 0}`);
    const labels = async (): Promise<readonly string[]> => {
      const { stdout } = await runCommand(['list', '--json'], environment);
      const { snapshots } = JSON.parse(stdout) as { snapshots: { label: string | null }[] };
      assert.equal(snapshots.length, many);
      return snapshots.flatMap(({ label }) => label ?? []);
    };
    // A slow disk took longer for all of them than that.
    for (const manifest of all) chmodSync(path.join(directory, manifestKey('', manifest)), 0o600);
    await labels();
    assert.equal(existsSync(file), false, 'a file so young may change within its tick');
    await pause(3_500, signal);
    await labels();
    // A memory that says what the files do not shows whether it is read.
    const text = (await unpack(readFileSync(file))).toString();
    const claim = async (): Promise<void> =>
      writeFileSync(file, await pack(text.replaceAll('"label":null', '"label":"remembered"')));
    await claim();
    assert.equal((await labels()).length, many);
    const at = (index: number): string => path.join(directory, manifestKey('', all[index] ?? assert.fail()));
    // In place with the time that it had, as another file of that name, and as the same file that had another name meanwhile.
    for (const index of [0, 1]) {
      const { atime, mtime } = statSync(at(index));
      const to = index === 0 ? at(index) : `${at(index)}.new`;
      writeFileSync(to, readFileSync(at(index)));
      utimesSync(to, atime, mtime);
      renameSync(to, at(index));
    }
    linkSync(at(2), `${at(2)}.old`);
    unlinkSync(`${at(2)}.old`);
    await pause(3_500, signal);
    await claim();
    assert.equal((await labels()).length, many - 3);
  });
});
