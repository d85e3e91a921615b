// With a signing key nobody who may write the bucket can put log of their own behind our base: what PostgreSQL and we would replay
// without a word is refused by its signature.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { createSigningKey, parsePrivateKey } from '../../src/config/ssh-keys.ts';
import { toSigningSettings, type SigningSettings } from '../../src/config/signing-keys.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { runCommand } from '../support/command.ts';
import { commandBlock } from '../support/documentation.ts';
import { followLog } from '../support/log-follower.ts';
import { askReplayed, bringBack, takeBase } from '../support/pitr-replay.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const major = 15;
const stack = new DisposableStack();
const keyFile = createSigningKey('ours').file;
const signing: SigningSettings = toSigningSettings({ key: parsePrivateKey(keyFile), others: [] });
let stored: string;
let scratch: string;

before(async () => {
  const folder = stack.use(temporaryDirectory());
  chmodSync(folder.path, 0o711);
  stored = path.join(folder.path, 'stored');
  scratch = path.join(folder.path, 'scratch');
  await using server = await startStockServer(major, { segmentMegabytes: 1 });
  await using follower = followLog(server.outside(), { directory: stored, server, signing });
  await server.query('create table counters (counter int primary key)');
  await follower.isFollowing();
  await takeBase(server.outside(), { repository: follower.repository });
  for (let counter = 1; counter <= 4; counter += 1) {
    await server.query(`insert into counters values (${counter})`);
    await follower.caughtUp();
    if (counter < 4) await server.query('select pg_switch_wal()');
  }
  await follower.caughtUp();
});
after(() => stack.dispose());

function copyOfStore(): Disposable & {
  readonly directory: string;
  readonly wal: string;
  readonly wholes: readonly string[];
} {
  const folder = temporaryDirectory();
  cpSync(stored, folder.path, { recursive: true });
  const [system = ''] = readdirSync(path.join(folder.path, 'pitr'));
  const base = path.join(folder.path, 'pitr', system, 'base');
  const document = readdirSync(base).find((name) => name.endsWith('.json')) ?? '';
  const { startSegment } = JSON.parse(readFileSync(path.join(base, document), 'utf8')) as { startSegment: string };
  const wal = path.join(folder.path, 'pitr', system, 'wal/00000001');
  const wholes = readdirSync(wal)
    .toSorted()
    .filter((name) => /^[0-9A-F]{24}\.zst$/.test(name) && name.slice(0, 24) > startSegment)
    .map((name) => path.join(wal, name));
  return { directory: folder.path, wal, wholes, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

async function restored(directory: string, as: SigningSettings = signing): Promise<number> {
  const repository = createRepository(createLocalStore({ directory }), { signing: as });
  await using back = await bringBack(repository, { at: 'latest', major, directory: scratch });
  const [row] = await askReplayed(back, 'select max(counter) as last from public.counters');
  return Number(row?.['last']);
}

async function verify(directory: string): Promise<{ readonly status: number | null; readonly stdout: string }> {
  return runCommand(['pitr', 'verify'], {
    LOCAL_DOMAIN: 'example.social',
    BACKUP_LOCAL_DIR: directory,
    BACKUP_STATE_DIR: path.join(directory, 'state'),
    BACKUP_SIGNING_KEY: keyFile,
  });
}

/** Changes what nothing but a hash sees: the empty rest of a segment behind a switch. */
function alter(file: string): void {
  const content = zstdDecompressSync(readFileSync(file));
  content.writeUInt8(1, content.length - 100);
  rmSync(file);
  writeFileSync(file, zstdCompressSync(content));
}

describe('the log of who signs', () => {
  it('comes back, and every object of it has a signature, and no signature stays without one', async () => {
    using copy = copyOfStore();
    assert.equal(await restored(copy.directory), 4);
    const names = readdirSync(copy.wal);
    const objects = names.filter((name) => !name.endsWith('.sig'));
    assert.deepEqual(
      names.filter((name) => name.endsWith('.sig')),
      objects.map((name) => `${name}.sig`),
    );
    assert.ok(copy.wholes.length >= 3 && objects.some((name) => name.includes('.part.')));
    const { status, stdout } = await verify(copy.directory);
    assert.deepEqual([status, /nothing is damaged/.test(stdout)], [0, true]);
  });

  it('is refused where an object was altered, which nothing else would tell', async () => {
    using copy = copyOfStore();
    alter(copy.wholes[1] ?? '');
    assert.equal(await restored(copy.directory, { key: null, trusted: [] }), 4, 'who trusts nobody believes it');
    await assert.rejects(restored(copy.directory), /has a signature that is not its own/);
    const { status, stdout } = await verify(copy.directory);
    assert.equal(status, 13);
    assert.match(stdout, /PROBLEM: .*has a signature that is not its own/);
  });

  it('is refused with the signature of another object, and of somebody else', async () => {
    using copy = copyOfStore();
    const [first = '', second = ''] = copy.wholes;
    rmSync(`${second}.sig`);
    cpSync(`${first}.sig`, `${second}.sig`);
    await assert.rejects(restored(copy.directory), /has a signature that is not its own/);
    const other = toSigningSettings({ key: parsePrivateKey(createSigningKey('other').file), others: [] });
    await assert.rejects(
      restored(stored, { ...other, key: null, trusted: other.trusted }),
      /which is not trusted here/,
    );
  });

  it('counts for nothing where it has none: what is left is a gap', async () => {
    using copy = copyOfStore();
    rmSync(`${copy.wholes[1] ?? ''}.sig`);
    await assert.rejects(restored(copy.directory), /is missing in the store/);
    const { status, stdout } = await verify(copy.directory);
    assert.equal(status, 13);
    assert.match(stdout, /GAP: .*is missing/);
    assert.match(stdout, /note: .*has no signature, and counts for nothing/);
  });

  it('is checked by ssh-keygen as the documentation says', async () => {
    using copy = copyOfStore();
    const name = path.basename(copy.wholes[0] ?? '');
    const pitr = path.join(copy.directory, 'pitr');
    const line = `mastodon-backup ssh-ed25519 ${signing.key?.publicKey.blob.toString('base64') ?? ''}\n`;
    writeFileSync(path.join(pitr, 'allowed_signers'), line);
    const lines = commandBlock('sha256sum')
      .replace('/path/to/pitr', pitr)
      .replace('SYSTEM/wal/00000001/NAME.zst', path.relative(pitr, path.join(copy.wal, name)));
    const said = execFileSync('bash', ['-euo', 'pipefail', '-c', lines], { encoding: 'utf8', cwd: copy.directory });
    assert.match(said, /Good "mastodon-backup" signature/);
  });
});
