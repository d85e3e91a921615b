// Each store through the contract suite, a real S3 too where the environment names one.

import assert from 'node:assert/strict';
import { pbkdf2, randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readlinkSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { AppError } from '../../src/errors.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { createS3Store } from '../../src/storage/s3-store.ts';
import type { ObjectKey, RemovableStore } from '../../src/storage/store.ts';
import { testObjectStore } from '../contract/object-store.ts';
import { realS3 } from '../support/real-s3.ts';
import { startS3 } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const signal = AbortSignal.timeout(1_800_000);

testObjectStore('directory', {
  open: async () => {
    const folder = temporaryDirectory({ on: 'disk' });
    return {
      store: createLocalStore({ directory: folder.path }),
      async lay(key) {
        const file = path.join(folder.path, key);
        mkdirSync(path.dirname(file), { recursive: true });
        writeFileSync(file, 'x');
      },
      [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
    };
  },
});

testObjectStore('in-process S3', {
  open: async () => {
    const server = await startS3();
    return {
      store: server.store(),
      lay: async (key) => server.overwrite(key, Buffer.from('x')),
      [Symbol.asyncDispose]: async () => server[Symbol.asyncDispose](),
    };
  },
});

const real = realS3();
if (real !== undefined) {
  testObjectStore('real S3', {
    open: async () => {
      const store = createS3Store(real);
      return {
        store: belowFolder(store, `${randomUUID()}/`),
        async [Symbol.asyncDispose]() {
          await store.close();
        },
      };
    },
  });
}

/** The store with every key below a folder of this run, so that runs on one bucket do not meet. */
function belowFolder(store: RemovableStore, folder: string): RemovableStore {
  const inside = (key: string): ObjectKey => `${folder}${key}` as ObjectKey;
  const outside = <Item extends { readonly key: ObjectKey }>(item: Item): Item => ({
    ...item,
    key: item.key.slice(folder.length) as ObjectKey,
  });
  return {
    ...store,
    put: async (key, body, options) => store.put(inside(key), body, options),
    putDocument: async (key, content, options) => store.putDocument(inside(key), content, options),
    copy: async (from, options) => store.copy(inside(from), { ...options, to: inside(options.to) }),
    get: async (key, options) => store.get(inside(key), options),
    head: async (key, options) => store.head(inside(key), options),
    remove: async (key, options) => store.remove(inside(key), options),
    async *list(prefix, options) {
      for await (const object of store.list(inside(prefix), options)) yield outside(object);
    },
    async *listUnfinished(prefix, options) {
      for await (const upload of store.listUnfinished(inside(prefix), options)) yield outside(upload);
    },
  };
}

it('a directory that is not mounted is not created', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const store = createLocalStore({ directory: path.join(folder.path, 'nas') });
  await assert.rejects(store.putDocument('daily/x' as ObjectKey, Buffer.from('x'), { signal }), /does not exist/);
});

it('a file in the place of the directory is called that, and not a directory that is not mounted', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const file = path.join(folder.path, 'nas');
  writeFileSync(file, '');
  const store = createLocalStore({ directory: file });
  await assert.rejects(store.space({ signal }), { message: `'${file}' is no directory`, hint: /BACKUP_LOCAL_DIR/ });
  const put = store.put('daily/x' as ObjectKey, Readable.from(['x']), { signal, partBytes: 1 });
  await assert.rejects(put, /is no directory/);
});

for (const [what, replace] of [
  ['vanishes', () => undefined],
  ['is unmounted', (directory: string) => mkdirSync(directory)],
] as const)
  it(`a directory that ${what} while it is listed is an error, and not one with fewer files`, async () => {
    using folder = temporaryDirectory({ on: 'disk' });
    const directory = path.join(folder.path, 'nas');
    // More than are looked at together.
    mkdirSync(path.join(directory, 'daily'), { recursive: true });
    for (let at = 0; at < 300; at += 1) writeFileSync(path.join(directory, 'daily', `${at}`), `${at}`);
    const listed: string[] = [];
    await assert.rejects(
      async () => {
        for await (const { key } of createLocalStore({ directory }).list('daily/', { signal })) {
          listed.push(key);
          if (listed.length > 1) continue;
          renameSync(directory, `${directory}.away`);
          replace(directory);
        }
      },
      { code: 'store', message: /does not exist|was mounted or unmounted while it was read/ },
    );
    assert.ok(listed.length < 300, 'what came before is not all');
  });

it('a file that is opened when nobody waits for it any more is closed', async () => {
  using folder = temporaryDirectory();
  const key = 'daily/large' as ObjectKey;
  mkdirSync(path.join(folder.path, 'daily'));
  writeFileSync(path.join(folder.path, key), Buffer.alloc(3 * 1024 * 1024));
  const store = createLocalStore({ directory: folder.path, idleMs: 20 });
  // The system's answers come from these threads, which have other work first.
  const busy = Array.from({ length: 16 }, async () => promisify(pbkdf2)('password', 'salt', 60_000, 64, 'sha512'));
  const error = await store.get(key, { signal }).catch((reason: unknown) => reason as AppError);
  assert.equal((error as AppError).code, 'stalled');
  await Promise.all(busy);
  const openFiles = (): readonly string[] =>
    readdirSync('/proc/self/fd').flatMap((id) => {
      try {
        const file = readlinkSync(`/proc/self/fd/${id}`);
        return file.startsWith(folder.path) ? [file] : [];
      } catch {
        return [];
      }
    });
  // The answer, the opening and the closing are asked for one after the other.
  await sleep(200);
  await until('the file to be closed', { seconds: 5, look: async () => openFiles().length === 0 });
});

it('a missing file is told with a next step, and one of a directory that is gone by that', async () => {
  using folder = temporaryDirectory();
  const directory = path.join(folder.path, 'nas');
  mkdirSync(directory);
  const store = createLocalStore({ directory });
  const told = async (): Promise<AppError> => {
    const error = await store.get('daily/gone' as ObjectKey, { signal }).catch((reason: unknown) => reason as AppError);
    return error as AppError;
  };
  assert.match(`${(await told()).message} ${(await told()).hint}`, /there is no such file See what is there with/);
  renameSync(directory, `${directory}.away`);
  assert.match(`${(await told()).message} ${(await told()).hint}`, /nas' does not exist Mount it/);
});

it('a key cannot leave its directory', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const store = createLocalStore({ directory: folder.path });
  await assert.rejects(
    store.putDocument('../outside' as ObjectKey, Buffer.from('x'), { signal }),
    /leaves the directory/,
  );
});

it('a directory that may not be written is named with its owner and mode', async (context) => {
  if (process.getuid?.() !== 0) {
    context.skip('needs root, to become somebody else');
    return;
  }
  using folder = temporaryDirectory({ on: 'disk' });
  chmodSync(folder.path, 0o755);
  const store = createLocalStore({ directory: folder.path });
  process.seteuid?.(65534);
  try {
    await assert.rejects(
      store.putDocument('daily/x' as ObjectKey, Buffer.from('x'), { signal }),
      /permission denied \(owner 0:0, mode 0755\)/,
    );
  } finally {
    process.seteuid?.(0);
  }
});

it('a temporary file is an unfinished upload, and only such a file can be discarded', async () => {
  using folder = temporaryDirectory({ on: 'disk' });
  const store = createLocalStore({ directory: folder.path });
  await store.putDocument('daily/kept' as ObjectKey, Buffer.from('x'), { signal });
  const partial = path.join(folder.path, 'daily', '.half.0123456789ab.partial');
  writeFileSync(partial, 'half');
  const uploads = [];
  for await (const upload of store.listUnfinished('daily/', { signal })) uploads.push(upload);
  assert.deepEqual(
    uploads.map(({ key }) => key),
    ['daily/half'],
  );
  await assert.rejects(
    store.discard(
      { key: 'daily/kept' as ObjectKey, uploadId: path.join(folder.path, 'daily/kept'), startedAt: new Date() },
      { signal },
    ),
    /no temporary file/,
  );
  for (const upload of uploads) await store.discard(upload, { signal });
  for await (const upload of store.listUnfinished('daily/', { signal })) assert.fail(upload.key);
});

it('a missing bucket is an error, not a missing object', async () => {
  await using server = await startS3();
  const store = createS3Store({
    endpoint: server.endpoint,
    bucket: 'not-there',
    region: 'us-east-1',
    accessKeyId: 'x',
    secretAccessKey: 'y',
    prefix: '',
    concurrency: 2,
    profile: 'other',
  });
  await assert.rejects(store.head('daily/x' as ObjectKey, { signal }), /there is no such bucket/);
  await store.close();
});

it('what is stored has the media type it is of, and its copy too', async () => {
  await using server = await startS3();
  const store = server.store();
  const partBytes = 5 * 1024 * 1024;
  const types = {
    'daily/x.json': 'application/json',
    'daily/x.secrets.env.age': 'application/octet-stream',
    'daily/x.dump.xz': 'application/x-xz',
    'daily/x.dump.zst': 'application/zstd',
    'daily/x.dump.xz.age': 'application/octet-stream',
    'daily/x.dump': 'application/octet-stream',
  };
  for (const [key, type] of Object.entries(types)) {
    const document = `documents/${key}` as ObjectKey;
    await store.putDocument(document, Buffer.from('{}'), { signal });
    assert.equal(await server.contentType(document), type);
    for (const bytes of [1, partBytes + 1]) {
      const object = `${bytes}/${key}` as ObjectKey;
      const to = `copied/${object}` as ObjectKey;
      const { etag } = await store.put(object, Readable.from([Buffer.alloc(bytes)]), { signal, partBytes });
      await store.copy(object, { to, source: { bytes, etag, partBytes }, signal });
      assert.equal(await server.contentType(object), type);
      assert.equal(await server.contentType(to), type);
    }
  }
});

it("a token that may do nothing but reach its own objects still learns the store's time", async () => {
  await using server = await startS3();
  const store = server.storeBehindDoor();
  // What a token for a prefix is answered: everything about the bucket is denied, and so is a listing of all of it.
  server.rule(({ path: asked, query }) => {
    const own = asked.startsWith(`/${server.bucket}/own/`) || query.get('prefix')?.startsWith('own/') === true;
    return own ? { kind: 'pass' } : { kind: 'answer', status: 403, code: 'AccessDenied' };
  });
  const theirs = await store.now({ signal });
  assert.ok(theirs !== null && Math.abs(theirs.getTime() - Date.now()) < 60_000, String(theirs));
});

it('many small puts use the connections that are there', async () => {
  await using server = await startS3();
  // As AWS answers; without either header a client has to close the connection.
  server.rule(({ method }) =>
    method === 'HEAD' ? { kind: 'headers', headers: { 'transfer-encoding': 'chunked' } } : { kind: 'pass' },
  );
  const store = server.storeBehindDoor();
  for (let at = 0; at < 20; at += 1) {
    await store.putDocument(`small/${at}.json` as ObjectKey, Buffer.from('{}'), { signal });
    await store.put(`small/${at}.dump` as ObjectKey, Readable.from([Buffer.from('x')]), {
      signal,
      partBytes: 5_242_880,
    });
  }
  assert.ok(server.connections() <= 4, `${server.connections()} connections`);
  // Asked whether it is taken, and put.
  assert.equal(server.seen.length, 80);
});

it('what a store refuses has a reason, whatever digits the key has', async () => {
  await using server = await startS3();
  const store = server.storeBehindDoor();
  const cases = [
    { status: 403, code: 'AccessDenied', reason: 'access-denied' },
    { status: 403, code: 'InvalidAccessKeyId', reason: 'access-denied' },
    { status: 403, code: 'QuotaExceeded', reason: 'no-space' },
    { status: 404, code: 'NoSuchBucket', reason: 'not-found' },
    { status: 400, code: 'EntityTooLarge', reason: 'misconfigured' },
    { status: 400, code: 'MalformedXML', reason: undefined },
  ];
  for (const { status, code, reason } of cases) {
    server.rule(() => ({ kind: 'answer', status, code }));
    await assert.rejects(store.get('daily/500-403-507' as ObjectKey, { signal }), (error: AppError) => {
      assert.equal(error.reason, reason, `${code}: ${error.message}`);
      return true;
    });
  }
});
