// Log from before there was a key is of use again when a person says that it is theirs, and only as far as it is what it says: one
// object of somebody else's between ours, and nothing is signed.

import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import type { Adoption } from '../../src/app/adopt-verb.ts';
import { toSigningSettings } from '../../src/config/signing-keys.ts';
import { createSigningKey, parsePrivateKey } from '../../src/config/ssh-keys.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { statementOf } from '../../src/snapshots/wal-signature.ts';
import { createSignature } from '../../src/snapshots/sshsig.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { runCommand } from '../support/command.ts';
import { flip, rewrite } from '../support/damaged-object.ts';
import { followLog, plainForm } from '../support/log-follower.ts';
import { askReplayed, bringBack, takeBase } from '../support/pitr-replay.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const major = 15;
const stack = new DisposableStack();
const keyFile = createSigningKey('ours').file;
const stranger = parsePrivateKey(createSigningKey('theirs').file);
const signing = toSigningSettings({ key: parsePrivateKey(keyFile), others: [] });
/** Bases at the counters 0 and 2, and a switch of segment after each of 1 to 4. */
let stored: string;
/** The same, and the counters 5 and 6 of a receiver that signs. */
let continued: string;
let sealed: string;
let identityFile: string;
let scratch: string;

before(async () => {
  const folder = stack.use(temporaryDirectory());
  chmodSync(folder.path, 0o711);
  stored = path.join(folder.path, 'stored');
  continued = path.join(folder.path, 'continued');
  sealed = path.join(folder.path, 'sealed');
  scratch = path.join(folder.path, 'scratch');
  identityFile = path.join(folder.path, 'identity.txt');
  const identity = await generateX25519Identity();
  writeFileSync(identityFile, `${identity}\n`, { mode: 0o600 });
  const recipients = [await identityToRecipient(identity)];
  await using server = await startStockServer(major, { segmentMegabytes: 1 });
  await server.query('create table counters (counter int primary key)');
  const write = async (counter: number): Promise<void> => {
    await server.query(`insert into counters values (${counter})`);
    if (counter < 5) await server.query('select pg_switch_wal()');
  };
  {
    await using follower = followLog(server.outside(), { directory: stored, server });
    await follower.isFollowing();
    await takeBase(server.outside(), { repository: follower.repository });
    for (const counter of [1, 2]) await write(counter);
    await takeBase(server.outside(), { repository: follower.repository });
    for (const counter of [3, 4]) await write(counter);
    await server.query('create table tail (counter int)');
    await follower.caughtUp();
  }
  cpSync(stored, continued, { recursive: true });
  {
    await using follower = followLog(server.outside(), { directory: continued, server, signing });
    await follower.isFollowing();
    for (const counter of [5, 6]) await write(counter);
    await follower.caughtUp();
  }
  await using follower = followLog(server.outside(), {
    directory: sealed,
    server,
    instance: 'example.org',
    form: { ...plainForm, recipients },
  });
  await follower.isFollowing();
  await takeBase(server.outside(), { repository: follower.repository, recipients });
  await write(7);
  await follower.caughtUp();
});
after(() => stack.dispose());

interface Copy extends Disposable {
  readonly directory: string;
  /** Below `pitr/`, each file but the signatures. */
  readonly objects: () => readonly string[];
  readonly signatures: () => readonly string[];
  /** Segments behind the first base, and behind the second, the oldest first. */
  readonly behindFirst: readonly string[];
  readonly behindSecond: readonly string[];
  /** Ids, the oldest first. */
  readonly bases: readonly string[];
}

function copyOf(directory: string): Copy {
  const folder = temporaryDirectory();
  const copied = path.join(folder.path, 'stored');
  cpSync(directory, copied, { recursive: true });
  const files = (): readonly string[] =>
    readdirSync(copied, { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(zst|age|json|sig)$/.test(file))
      .toSorted();
  const startOf = (file: string): string =>
    (JSON.parse(readFileSync(path.join(copied, file), 'utf8')) as { startSegment: string }).startSegment;
  // Two ids of one second have no order.
  const documents = files()
    .filter((file) => file.endsWith('.json'))
    .toSorted((a, b) => (startOf(a) < startOf(b) ? -1 : 1));
  const starts = documents.map(startOf);
  const [first = '', second = 'Z'] = starts;
  const wholes = files().filter((file) => /\/[0-9A-F]{24}\.zst$/.test(file));
  const behind = (from: string, to: string): readonly string[] =>
    wholes.filter((file) => path.basename(file).slice(0, 24) > from && path.basename(file).slice(0, 24) < to);
  return {
    directory: copied,
    objects: () => files().filter((file) => !file.endsWith('.sig')),
    signatures: () => files().filter((file) => file.endsWith('.sig')),
    behindFirst: behind(first, second).map((file) => path.join(copied, file)),
    behindSecond: behind(second, 'Z').map((file) => path.join(copied, file)),
    bases: documents.map((file) => path.basename(file, '.json')),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

async function adopt(
  { directory }: Copy,
  ...args: readonly string[]
): Promise<{ readonly status: number | null; readonly adoptions: readonly Adoption[]; readonly stderr: string }> {
  const { status, stdout, stderr } = await runCommand(['adopt', '--json', ...args], settings(directory));
  return { status, adoptions: stdout === '' ? [] : (JSON.parse(stdout) as readonly Adoption[]), stderr };
}

function settings(directory: string): Readonly<Record<string, string>> {
  return {
    LOCAL_DOMAIN: 'example.social',
    BACKUP_LOCAL_DIR: directory,
    BACKUP_STATE_DIR: path.join(directory, '../state'),
    BACKUP_SIGNING_KEY: keyFile,
  };
}

async function restored(directory: string): Promise<number> {
  const repository = createRepository(createLocalStore({ directory }), { signing });
  await using back = await bringBack(repository, { at: 'latest', major, directory: scratch });
  const [row] = await askReplayed(back, 'select max(counter) as last from public.counters');
  return Number(row?.['last']);
}

/** What somebody who may write the store can do to the log, and what is said of it. */
const forgeries: Readonly<Record<string, readonly [(copy: Copy) => void, RegExp]>> = {
  'a segment in which a bit is another': [({ behindSecond: [file = ''] }) => flip(file), /is damaged/],
  'a segment of another server': [
    ({ behindSecond: [file = ''] }) => rewrite(file, (content) => void content.writeBigUInt64LE(7n, 24)),
    /is of another server/,
  ],
  'a segment of another timeline': [
    ({ behindSecond: [file = ''] }) => rewrite(file, (content) => void content.writeUInt32LE(2, 4)),
    /of timeline 2/,
  ],
  'a segment in the place of another': [
    ({ behindFirst: [from = ''], behindSecond: [to = ''] }) => {
      rmSync(to);
      cpSync(from, to);
    },
    /is of another place/,
  ],
  'a record that does not follow the one before it': [
    ({ behindSecond: [file = ''] }) =>
      rewrite(file, (content) => void content.writeBigUInt64LE(content.readBigUInt64LE(48) ^ 8n, 48)),
    /does not follow/,
  ],
  'a part that says something else than its segment': [
    ({ behindSecond: [file = ''] }) =>
      writeFileSync(file.replace('.zst', '.part.00000000-00002000.zst'), zstdCompressSync(Buffer.alloc(0x2000, 1))),
    /says something else/,
  ],
  'a history of a timeline that never was': [
    (copy) => historyOf(copy, `1\t${within(copy.behindSecond[0] ?? '')}\tno recovery target specified\n`),
    /a history of timeline 9 and no log of it/,
  ],
  'a history of a timeline of which there is but a copy of ours': [
    (copy) => {
      const [file = ''] = copy.behindSecond;
      historyOf(copy, `1\t${within(file)}\tno recovery target specified\n`);
      cpSync(file, path.join(ninth(copy), path.basename(file).replace('00000001', '00000009')));
    },
    /a history of timeline 9 and no log of it/,
  ],
  'a history of a timeline with pages of ours': [
    (copy) => {
      const folder = path.dirname(copy.behindSecond[0] ?? '');
      const newest = readdirSync(folder).toSorted().at(-1)?.slice(0, 24) ?? '';
      historyOf(copy, `1\t${within(newest, '00028')}\tno recovery target specified\n`);
      for (const file of readdirSync(folder).filter((name) => name.startsWith(newest)))
        cpSync(path.join(folder, file), path.join(ninth(copy), file.replace('00000001', '00000009')));
    },
    /of timeline 1, where 9 is followed/,
  ],
  'a history that cannot be read': [(copy) => historyOf(copy, Buffer.from('no history')), /00000009[.]history/],
  'a history that is none': [(copy) => historyOf(copy, 'no history'), /no line of a timeline's history/],
  'a document that names less log than the base needs': [
    (copy) => rewriteDocuments(copy, (text) => text.replace(/("endLsn": ?)"[^"]+"/, '$1"0/1"')),
    /names other log/,
  ],
  'a document that names a later segment than the base needs': [
    (copy) => rewriteDocuments(copy, (text) => text.replace(/("startSegment": ?"[0-9A-F]{22})../, '$1FE')),
    /names other log/,
  ],
  'a base of other bytes': [
    ({ directory, objects }) => {
      for (const file of objects().filter((name) => name.includes('.tar.'))) flip(path.join(directory, file));
    },
    /SHA-256/,
  ],
  'a base of another server': [
    (copy) => {
      const { directory } = copy;
      const pitr = path.join(directory, 'pitr');
      renameSync(path.join(pitr, readdirSync(pitr)[0] ?? ''), path.join(pitr, '7'));
      rewriteDocuments(copy, (text) => text.replace(/("systemIdentifier": ?)"\d+"/, '$1"7"'));
    },
    /is of another server/,
  ],
};

function historyOf(copy: Copy, text: string | Buffer): void {
  const content = typeof text === 'string' ? zstdCompressSync(Buffer.from(text)) : text;
  mkdirSync(ninth(copy));
  writeFileSync(path.join(ninth(copy), '00000009.history.zst'), content);
}

/** Where the log of timeline 9 would be. */
function ninth({ behindSecond: [file = ''] }: Copy): string {
  return path.join(path.dirname(file), '../00000009');
}

function rewriteDocuments({ directory, objects }: Copy, change: (text: string) => string): void {
  for (const file of objects().filter((name) => name.endsWith('.json'))) {
    const document = readFileSync(path.join(directory, file), 'utf8');
    rmSync(path.join(directory, file));
    writeFileSync(path.join(directory, file), change(document));
  }
}

/** A position in a segment of 1 MiB, by its name. */
function within(file: string, offset = '80000'): string {
  const name = path.basename(file);
  return `${Number.parseInt(name.slice(8, 16), 16).toString(16)}/${name.slice(21, 24)}${offset}`;
}

describe('base backups and log from before the key', () => {
  it('count for nothing, and count again when they are adopted, every object of them', async () => {
    using copy = copyOf(stored);
    await assert.rejects(restored(copy.directory), /is not signed/);
    const { status, adoptions, stderr } = await adopt(copy, '--all');
    assert.equal(status, 0, stderr);
    assert.deepEqual(
      adoptions.map(({ snapshot, adopted, problem }) => [snapshot, adopted, problem]),
      copy.bases.map((id) => [`pitr/${id}`, true, null]),
    );
    const [first, second] = adoptions.map(({ log }) => log);
    assert.ok((first?.segments ?? 0) > (second?.segments ?? 0) && first?.reaches === second?.reaches);
    assert.equal(await restored(copy.directory), 4);
    const wanted = copy.objects().filter((file) => !file.includes('.tar.') && !isBeforeBase(copy, file));
    assert.deepEqual(
      copy.signatures(),
      wanted.map((file) => `${file}.sig`),
    );
    const { status: found, stdout } = await runCommand(['pitr', 'verify'], settings(copy.directory));
    assert.deepEqual([found, /nothing is damaged, and nothing is missing/.test(stdout)], [0, true]);
    const again = await runCommand(['adopt', '--all'], settings(copy.directory));
    assert.deepEqual([again.status, again.stdout], [0, 'Nothing to adopt: all of it is signed.\n']);
  });

  it('lead on into what is stored with the key, and a moment behind it comes back from the old base', async () => {
    using copy = copyOf(continued);
    await assert.rejects(restored(copy.directory), /is not signed/);
    const said = await runCommand(['adopt', `pitr/${copy.bases[0] ?? ''}`], settings(copy.directory));
    assert.equal(said.status, 0, said.stderr);
    assert.match(
      said.stdout,
      new RegExp(`^pitr/${copy.bases[0] ?? ''} in .*: .*signed with \\d+ segments of the log behind it, to 0/\\w+\\n$`),
    );
    assert.equal(await restored(copy.directory), 6);
    assert.equal(copy.signatures().filter((file) => file.endsWith('.json.sig')).length, 1, 'the one that was named');
  });

  for (const [what, [forge, says]] of Object.entries(forgeries))
    it(`are not adopted with ${what}, which is named, and nothing is signed`, async () => {
      using copy = copyOf(stored);
      forge(copy);
      const { status, adoptions, stderr } = await adopt(copy, '--all');
      assert.equal(status, 13, stderr);
      assert.ok(adoptions.length === 2 && adoptions.every(({ adopted }) => !adopted));
      for (const { problem } of adoptions) assert.match(problem ?? '', says);
      assert.deepEqual(copy.signatures(), []);
      await assert.rejects(restored(copy.directory), /is not signed/);
    });

  it('are adopted beside a document that no server can have had', async () => {
    using copy = copyOf(stored);
    const [id = ''] = copy.bases;
    const forged = id.replace(/......$/, '0f0f0f');
    for (const file of copy.objects().filter((name) => name.includes(id)))
      cpSync(path.join(copy.directory, file), path.join(copy.directory, file.replace(id, forged)));
    const file = copy.objects().find((name) => name.endsWith(`${forged}.json`)) ?? '';
    const document = readFileSync(path.join(copy.directory, file), 'utf8').replaceAll(id, forged);
    writeFileSync(path.join(copy.directory, file), document.replace(/("segmentBytes": ?)\d+/, `$1${2 ** 40}`));
    const { status, adoptions, stderr } = await adopt(copy, '--all');
    assert.equal(status, 0, stderr);
    assert.deepEqual(
      adoptions.map(({ snapshot }) => snapshot),
      copy.bases.filter((one) => one !== forged).map((one) => `pitr/${one}`),
    );
  });

  it('are adopted to a hole, which is said, and behind it with the next base', async () => {
    using copy = copyOf(stored);
    rmSync(copy.behindFirst.at(-1) ?? '');
    const { status, adoptions } = await adopt(copy, '--all');
    assert.equal(status, 0);
    const [first, second] = adoptions.map(({ log }) => log);
    assert.match(first?.hole ?? '', /is missing in the store/);
    assert.equal(second?.hole, null);
    assert.equal(await restored(copy.directory), 4);
  });

  it('are not adopted where a piece of them is signed by somebody else, and a signature that is none is replaced', async () => {
    using copy = copyOf(stored);
    const [file = ''] = copy.behindSecond;
    const key = path.relative(copy.directory, file) as ObjectKey;
    const content = zstdDecompressSync(readFileSync(file));
    writeFileSync(`${file}.sig`, createSignature(statementOf({ key, content }, { prefix: '' }), stranger));
    const refused = await adopt(copy, '--all');
    assert.equal(refused.status, 13);
    for (const { problem } of refused.adoptions) assert.match(problem ?? '', /is signed by SHA256:.*BACKUP_TRUSTED/);
    assert.equal(copy.signatures().length, 1);
    rmSync(`${file}.sig`);
    writeFileSync(`${file}.sig`, 'no signature');
    for (const id of copy.bases)
      writeFileSync(
        path.join(copy.directory, copy.objects().find((name) => name.endsWith(`${id}.json`)) ?? '') + '.sig',
        'x'.repeat(100_000),
      );
    assert.equal((await adopt(copy, '--all')).status, 0);
    assert.equal(await restored(copy.directory), 4);
  });

  it('are adopted with the private key alone where they are encrypted: what is signed of the log is what is in it', async () => {
    using copy = copyOf(sealed);
    const refused = await adopt(copy, '--all');
    assert.equal(refused.status, 13);
    assert.match(refused.adoptions[0]?.problem ?? '', /is encrypted/);
    assert.deepEqual(copy.signatures(), []);
    const { status, stderr } = await adopt(copy, '--all', '--identity', identityFile);
    assert.equal(status, 0, stderr);
    const { status: found, stdout } = await runCommand(
      ['pitr', 'verify', '--identity', identityFile],
      settings(copy.directory),
    );
    assert.deepEqual([found, /nothing is damaged/.test(stdout)], [0, true], stdout);
  });

  it('are those of this instance alone, and one that is not there is said', async () => {
    using copy = copyOf(stored);
    const other = { ...settings(copy.directory), LOCAL_DOMAIN: 'example.org' };
    assert.equal((await runCommand(['adopt', '--all'], other)).stdout, 'Nothing to adopt: all of it is signed.\n');
    assert.equal((await adopt(copy, 'pitr/2026-01-01T000000Z-aaaaaa')).status, 4);
    assert.deepEqual(copy.signatures(), []);
  });
});

/** Log that was stored before the first base is of no use, and nobody vouches for it. */
function isBeforeBase(copy: Copy, file: string): boolean {
  const [, segment = ''] = /\/([0-9A-F]{24})[.]/.exec(file) ?? [];
  const starts = copy
    .objects()
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(path.join(copy.directory, name), 'utf8')) as { startSegment: string });
  const [startSegment = ''] = starts.map((one) => one.startSegment).toSorted();
  return segment !== '' && segment < startSegment;
}
