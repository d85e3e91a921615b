// A memory of manifests that was once found wrong vouches for nothing more, and one that cannot be held against the store is no reason
// to restore nothing: with it, as without it, the newest snapshot that can be read is the latest.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { isAsKnown } from '../../src/snapshots/known-manifests.ts';
import { createManifestMemory } from '../../src/snapshots/manifest-memory.ts';
import { encodeManifest, type Manifest } from '../../src/snapshots/manifest.ts';
import { manifestKey } from '../../src/snapshots/object-keys.ts';
import { createRepository, type Repository } from '../../src/snapshots/repository.ts';
import { openOwnFile } from '../../src/state/own-file.ts';
import { runCommand } from '../support/command.ts';
import { putSnapshot } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
/** More than are read anew each time, as few are. */
const many = 70;
const hourMs = 3_600_000;
const start = Date.parse('2026-01-01T00:00:00Z');
const pack = promisify(zstdCompress);
const unpack = promisify(zstdDecompress);

/** The snapshots, the newest first. */
async function fill(s3: S3TestServer): Promise<readonly Manifest[]> {
  const all: Manifest[] = [];
  for (let at = many; at > 0; at -= 1)
    all.push(await putSnapshot(s3.store(), { dataAt: new Date(start + at * hourMs), tier: 'hourly' }));
  return all;
}

it('a memory that was found wrong of one snapshot vouches for no other', async () => {
  using folder = temporaryDirectory();
  await using s3 = await startS3();
  await fill(s3);
  const open = (): Repository =>
    createRepository(s3.store(), {
      memory: createManifestMemory(
        { place: 'here', prefix: '', trusted: [], version: '1' },
        openOwnFile({ directory: folder.path, name: 'memory', subject: 'here', mostBytes: 2 ** 20, log: quietLog }),
      ),
    });
  await readCatalogue(open(), { signal });
  const file = path.join(folder.path, `memory.${process.geteuid?.() ?? 0}`);
  const text = (await unpack(readFileSync(file))).toString();
  writeFileSync(file, await pack(text.replaceAll('"label":null', '"label":"never"')), { mode: 0o600 });
  const repository = open();
  const [first, second] = (await readCatalogue(repository, { signal })).snapshots;
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual([first.label, second.label], ['never', 'never'], 'it is believed as far as it is only shown');
  // As whoever copies one after the other does, with what was read before the first of them.
  for (const manifest of [first, second, first])
    assert.equal(await isAsKnown(repository, { manifest, signal }), false, manifest.id);
  const read = (await readCatalogue(repository, { signal })).snapshots;
  assert.deepEqual(new Set(read.map(({ label }) => label)), new Set([null]));
  for (const manifest of read.slice(0, 2)) assert.equal(await isAsKnown(repository, { manifest, signal }), true);
  // The rows, which are decoded for who asks for them: others, and none.
  const good = readFileSync(file);
  const of = (await unpack(good)).toString();
  for (const rows of ['$1{"public.users":7}', '$1["7"]', '$1{"public.']) {
    writeFileSync(file, await pack(of.replaceAll(/(\t)[^\t\n]+$/gm, rows)), { mode: 0o600 });
    const other = open();
    const [manifest] = (await readCatalogue(other, { signal })).snapshots;
    assert.ok(manifest !== undefined);
    assert.equal(await isAsKnown(other, { manifest, signal }), false, rows);
  }
  writeFileSync(file, good, { mode: 0o600 });
  const again = open();
  const remembered = (await readCatalogue(again, { signal })).snapshots;
  assert.deepEqual(remembered.map(encodeManifest), read.map(encodeManifest), 'what is right is the document itself');
});

it('a snapshot that is remembered and cannot be read is passed over as if it were not', async () => {
  using folder = temporaryDirectory();
  await using s3 = await startS3();
  const [newest] = await fill(s3);
  assert.ok(newest !== undefined);
  const state = path.join(folder.path, 'state');
  const environment = { ...s3.environment, DB_HOST: '127.0.0.1', DB_PORT: '9', LOCAL_DOMAIN: 'social.example' };
  const chosen = async (directory: string): Promise<readonly unknown[]> => {
    const { stdout, stderr, status } = await runCommand(['compare', 'latest', '--json'], {
      ...environment,
      BACKUP_STATE_DIR: directory,
    });
    const told = stderr.split('\n').filter((line) => /passed over|cannot be read/.test(line));
    return [status, stdout, told.map((line) => line.replace(/^.*?A newer/, 'A newer'))];
  };
  await runCommand(['list'], { ...environment, BACKUP_STATE_DIR: state });
  const key = manifestKey('', newest);
  for (const methods of [['GET'], ['GET', 'HEAD']]) {
    s3.rule((request) =>
      request.path.endsWith(key) && methods.includes(request.method)
        ? { kind: 'answer', status: 403, code: 'AccessDenied' }
        : { kind: 'pass' },
    );
    const without = await chosen(path.join(folder.path, 'none'));
    assert.match(String(without[2]), new RegExp(newest.id));
    assert.deepEqual(await chosen(state), without);
  }
});
