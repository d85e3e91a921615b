// Whatever a directory answers, people are told what to do about it.

import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { folders } from '../../src/schedule/tier.ts';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { localError } from '../../src/storage/local-errors.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;

/** Does it as somebody else than root. */
async function asNobody(work: () => Promise<unknown>): Promise<void> {
  process.seteuid?.(nobody);
  try {
    await work();
  } finally {
    process.seteuid?.(0);
  }
}

it('says of every failure of a directory what to do next', async () => {
  const codes =
    'ENOSPC EDQUOT EACCES EPERM EROFS EEXIST ENOENT EIO ESTALE ETIMEDOUT EHOSTDOWN ELOOP EMFILE ENOANO'.split(' ');
  for (const code of [...codes, undefined]) {
    const cause = Object.assign(new Error('what the system says'), code === undefined ? {} : { code });
    const error = await localError(cause, { action: 'A file could not be stored', directory: '/nowhere' });
    assert.match(error.hint ?? '', /^[A-Z].+\.$/, String(code));
  }
});

it('tells a wrong owner, a wrong mode and a read-only mount apart, each with what mends it', async (context) => {
  if (!isRoot) return context.skip('needs root, to become somebody else');
  using folder = temporaryDirectory();
  const { path: directory } = folder;
  chmodSync(directory, 0o755);
  const store = createLocalStore({ directory });
  const put = async () => store.putDocument('daily/x' as ObjectKey, Buffer.from('x'), { signal });
  await asNobody(async () =>
    assert.rejects(put(), {
      message: /owner 0:0, mode 0755\), and we are 65534/,
      hint: `Give it to the user of the backup service, on the host: chown -R 65534 '${directory}'.`,
    }),
  );
  chownSync(directory, nobody, nobody);
  chmodSync(directory, 0o555);
  await asNobody(async () =>
    assert.rejects(put(), {
      message: /owner 65534:65534, mode 0555\)/,
      hint: `Let its owner write, on the host: chmod -R u+rwX '${directory}'.`,
    }),
  );
  const readOnly = await localError(Object.assign(new Error(), { code: 'EROFS' }), { action: 'It', directory });
  assert.match(readOnly.hint ?? '', /remount,rw/);
  // Root is refused by no owner and no mode.
  const refused = await localError(Object.assign(new Error(), { code: 'EPERM' }), { action: 'It', directory });
  assert.match(`${refused.message} ${refused.hint}`, /although we are root.*no_root_squash.*lsattr/);
});

it('passes by the folders that a NAS and a file system keep for themselves, whoever may read them', async (context) => {
  if (!isRoot) return context.skip('needs root, to become somebody else');
  using folder = temporaryDirectory();
  chmodSync(folder.path, 0o755);
  const store = createLocalStore({ directory: folder.path });
  for (const tier of [...folders, 'drills']) {
    for (const name of ['@eaDir', 'lost+found', '#recycle', '.Trash-1000']) {
      mkdirSync(path.join(folder.path, tier, name), { recursive: true });
      writeFileSync(path.join(folder.path, tier, name, 'x.json'), 'x');
      chmodSync(path.join(folder.path, tier, name), 0o000);
    }
  }
  writeFileSync(path.join(folder.path, 'daily', 'dump.sql.xz'), 'x');
  await asNobody(async () => {
    const { unlisted, foreign } = await readCatalogue(createRepository(store), { signal });
    assert.deepEqual([unlisted, foreign.map(({ key }) => key)], [[], ['daily/dump.sql.xz']]);
    for await (const { key } of store.list('drills/', { signal })) assert.fail(key);
  });
});

it('what root stores in the directory of somebody else is theirs, and stays root’s where a link of theirs leads', async (context) => {
  if (!isRoot) return context.skip('needs root, to write for somebody else');
  using folder = temporaryDirectory();
  using ofRoot = temporaryDirectory();
  const theirs = path.join(folder.path, 'daily');
  mkdirSync(theirs);
  symlinkSync(ofRoot.path, path.join(folder.path, 'weekly'));
  for (const directory of [folder.path, theirs]) chownSync(directory, nobody, nobody);
  const store = createLocalStore({ directory: folder.path });
  for (const [key, owner] of [
    ['daily/x', nobody],
    ['weekly/x', 0],
    // A folder that root makes is root's, and what is in it.
    ['monthly/x', 0],
  ] as const) {
    await store.putDocument(key as ObjectKey, Buffer.from('x'), { signal });
    const { uid, gid } = statSync(path.join(folder.path, key));
    assert.deepEqual([uid, gid], [owner, owner], key);
  }
});

it('tells how full a disk is', async () => {
  using folder = temporaryDirectory();
  const space = await createLocalStore({ directory: folder.path }).space({ signal });
  assert.ok(space !== null && space.freeBytes <= space.totalBytes && space.totalBytes > 0);
  await assert.rejects(
    createLocalStore({ directory: path.join(folder.path, 'nas') }).space({ signal }),
    /does not exist/,
  );
});
