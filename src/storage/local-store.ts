// A directory as a store: a temporary name, fsync, and a link that never overwrites. The directory itself must exist: a
// NAS that is not mounted must not silently become a folder on the root disk.

import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { link, mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError } from '../errors.ts';
import { createBodyCheck } from './body-check.ts';
import { localError } from './local-errors.ts';
import type { ObjectKey, PutOptions, PutReceipt, RemovableStore, StoredObject, UnfinishedUpload } from './store.ts';

const partialName = /^\.(.+)\.[0-9a-f]{12}\.partial$/;

/** What link() answers on file systems without hard links, or with no more of them. */
const withoutLinks = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/** How long a disk may be silent while it is read, in milliseconds: a hung NAS answers nothing at all. */
const idleMs = 120_000;

/** A store in `directory`, which must exist; folders below it are made as they are needed. */
export function createLocalStore({ directory }: { readonly directory: string }): RemovableStore {
  const fileOf = (key: ObjectKey): string => {
    const file = path.join(directory, key);
    if (!file.startsWith(`${directory === '/' ? '' : directory}/`) || key.split('/').includes('..')) {
      throw new AppError('store', `The key '${key}' leaves the directory '${directory}'`);
    }
    return file;
  };

  async function write(
    key: ObjectKey,
    body: Readable,
    options: Pick<PutOptions, 'signal' | 'onProgress'>,
  ): Promise<PutReceipt> {
    const file = fileOf(key);
    const partial = path.join(path.dirname(file), `.${path.basename(file)}.${randomBytes(6).toString('hex')}.partial`);
    const action = `'${key}' could not be stored in '${directory}'`;
    // Until the pipeline below begins nobody else listens, and an error that nobody hears ends the process.
    body.on('error', () => undefined);
    try {
      await requireDirectory(directory);
      await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      if (await exists(file))
        throw new AppError('store', `${action}: the key exists already`, { hint: 'Run the backup again.' });
      let bytes = 0;
      const count = new Transform({
        transform(chunk: Buffer, _encoding, callback) {
          bytes += chunk.length;
          options.onProgress?.(bytes);
          callback(null, chunk);
        },
      });
      // `flush` is fsync before close: what is linked below is on the disk.
      const target = createWriteStream(partial, { flags: 'wx', mode: 0o600, flush: true, highWaterMark: 1024 * 1024 });
      await pipeline(body, count, target, { signal: options.signal });
      options.signal.throwIfAborted();
      await publish(partial, file);
      await syncDirectory(path.dirname(file));
      return { bytes, etag: null };
    } catch (error) {
      body.destroy(error instanceof Error ? error : undefined);
      await rm(partial, { force: true }).catch(() => undefined);
      options.signal.throwIfAborted();
      throw await localError(error, { action, directory });
    }
  }

  async function* walk(folder: string): AsyncGenerator<string> {
    const entries = await readdir(path.join(directory, folder), { withFileTypes: true });
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory() && entry.name !== 'lost+found') yield* walk(name);
      else if (entry.isFile()) yield name;
    }
  }

  async function* filesUnder(prefix: string): AsyncGenerator<string> {
    const action = `The directory '${directory}' could not be listed`;
    try {
      await requireDirectory(directory);
      const folder = prefix.slice(0, Math.max(0, prefix.lastIndexOf('/')));
      if (!(await exists(path.join(directory, folder)))) return;
      for await (const name of walk(folder)) if (name.startsWith(prefix)) yield name;
    } catch (error) {
      throw await localError(error, { action, directory });
    }
  }

  return {
    name: 'local',
    description: `directory ${directory}`,
    maxObjectBytes: null,
    readingCosts: false,
    put: write,
    async copy(from, { to, source, signal, onProgress }) {
      const action = `'${from}' could not be copied to '${to}' in '${directory}'`;
      try {
        signal.throwIfAborted();
        await requireDirectory(directory);
        const file = fileOf(to);
        if (await exists(file))
          throw new AppError('store', `${action}: the key exists already`, { hint: 'Try again.' });
        await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
        await link(fileOf(from), file);
        await syncDirectory(path.dirname(file));
        onProgress?.(source.bytes);
        return { bytes: source.bytes, etag: null };
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? '';
        if (!withoutLinks.includes(code)) throw await localError(error, { action, directory });
        const body = createReadStream(fileOf(from), { highWaterMark: 1024 * 1024 });
        return write(to, body, { signal, ...(onProgress === undefined ? {} : { onProgress }) });
      }
    },
    async putDocument(key, content, { signal }) {
      const file = fileOf(key);
      if (await exists(file)) {
        if (Buffer.compare(await readFile(file), content) === 0) return;
        throw new AppError('store', `'${key}' exists already in '${directory}' with other content`);
      }
      await write(key, Readable.from([Buffer.from(content)]), { signal });
    },
    async get(key, { signal }) {
      const action = `'${key}' could not be read from '${directory}'`;
      try {
        const file = fileOf(key);
        const { size } = await stat(file);
        const source = createReadStream(file, { highWaterMark: 1024 * 1024, signal });
        const checked = createBodyCheck({ bytes: size, idleMs, action });
        source.once('error', (error) => checked.destroy(error));
        checked.once('close', () => source.destroy());
        return source.pipe(checked);
      } catch (error) {
        throw await localError(error, { action, directory });
      }
    },
    async head(key) {
      try {
        return await describe(fileOf(key), key);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
          await requireDirectory(directory);
          return null;
        }
        throw await localError(error, { action: `'${key}' could not be looked up in '${directory}'`, directory });
      }
    },
    async *list(prefix, { signal }) {
      for await (const name of filesUnder(prefix)) {
        signal.throwIfAborted();
        if (partialName.test(path.basename(name))) continue;
        const found = await describe(path.join(directory, name), name as ObjectKey).catch(() => undefined);
        if (found !== undefined) yield found;
      }
    },
    async *listUnfinished(prefix, { signal }) {
      const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
      for await (const name of filesUnder(folder)) {
        signal.throwIfAborted();
        const key = keyOfPartial(name);
        if (key?.startsWith(prefix) !== true) continue;
        const file = path.join(directory, name);
        const { mtime } = await stat(file);
        yield { key, uploadId: file, startedAt: mtime } satisfies UnfinishedUpload;
      }
    },
    now: async () => null,
    lifecycleRules: async () => null,
    async replaceLifecycleRules() {
      throw new AppError('usage', `The directory '${directory}' has no bucket rules`, {
        hint: 'Set BACKUP_RETENTION=prune: this program deletes in directories.',
      });
    },
    async remove(key) {
      await rm(fileOf(key), { force: true });
    },
    async discard(upload) {
      if (keyOfPartial(path.relative(directory, upload.uploadId)) !== upload.key) {
        throw new AppError('store', `'${upload.uploadId}' is no temporary file of '${upload.key}'`);
      }
      await rm(upload.uploadId, { force: true });
    },
    close: async () => undefined,
  };
}

function keyOfPartial(name: string): ObjectKey | undefined {
  const base = partialName.exec(path.basename(name))?.[1];
  if (base === undefined) return undefined;
  const folder = path.dirname(name);
  return (folder === '.' ? base : `${folder}/${base}`) as ObjectKey;
}

async function requireDirectory(directory: string): Promise<void> {
  const found = await stat(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found?.isDirectory() === true) return;
  throw new AppError('store', `The directory '${directory}' does not exist`, {
    hint: 'Mount it, or create it: it is not created here, so that a disk that is not mounted is noticed.',
  });
}

// link() fails when the name exists, rename() would overwrite; some network file systems have no hard links.
async function publish(partial: string, file: string): Promise<void> {
  try {
    await link(partial, file);
    await rm(partial);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!withoutLinks.includes(code) || (await exists(file))) throw error;
    await rename(partial, file);
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems cannot sync a directory.
    if (!['EINVAL', 'ENOTSUP', 'EBADF'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await handle.close();
  }
}

async function exists(file: string): Promise<boolean> {
  return (
    (await describe(file, '' as ObjectKey).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    })) !== null
  );
}

async function describe(file: string, key: ObjectKey): Promise<StoredObject> {
  const { size, mtime } = await stat(file);
  return { key, bytes: size, modifiedAt: mtime, etag: null };
}
