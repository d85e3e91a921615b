// A directory as a store: a temporary name, fsync, and a link that never overwrites. The directory itself must exist: a
// NAS that is not mounted must not silently become a folder on the root disk. A disk that hangs answers no call at all, and
// no call can be cancelled: whoever waits here stops waiting.

import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream, type Dirent } from 'node:fs';
import { link, mkdir, readFile, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, describeError } from '../errors.ts';
import { unlessAborted } from '../stream/abortable.ts';
import { createBodyCheck } from './body-check.ts';
import { createDiskPatience } from './disk-patience.ts';
import { localError } from './local-errors.ts';
import { describe, exists, isWithoutLinks, publish, requireDirectory, syncDirectory } from './local-files.ts';
import type {
  CopyOptions,
  GetOptions,
  ObjectKey,
  PutOptions,
  PutReceipt,
  RemovableStore,
  StoredObject,
  UnfinishedUpload,
} from './store.ts';

const partialName = /^\.(.+)\.[0-9a-f]{12}\.partial$/;

/** How long a disk may be silent, in milliseconds: a hung NAS answers nothing at all. */
const usualIdleMs = 120_000;
/** How long an aborted `put` may take to remove its temporary file, in milliseconds. */
const cleanUpMs = 5_000;

/**
 * A store in `directory`, which must exist; folders below it are made as they are needed. A question that is not answered,
 * or a read that stands still, fails as `stalled` after `idleMs` milliseconds; whoever calls `put` has a clock of its own.
 */
export function createLocalStore({
  directory,
  idleMs = usualIdleMs,
}: {
  readonly directory: string;
  readonly idleMs?: number;
}): RemovableStore {
  const { answered, each } = createDiskPatience({ directory, idleMs });
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
      const made = await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      // A new folder is on the disk only when the one above it is.
      if (made !== undefined) await syncDirectory(path.dirname(made));
      if (await exists(file))
        throw new AppError('store', `${action}: the key exists already`, {
          reason: 'exists',
          hint: 'Run the backup again.',
        });
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

  async function duplicate(from: ObjectKey, { to, source, signal, onProgress }: CopyOptions): Promise<PutReceipt> {
    const action = `'${from}' could not be copied to '${to}' in '${directory}'`;
    try {
      signal.throwIfAborted();
      await requireDirectory(directory);
      const file = fileOf(to);
      if (await exists(file))
        throw new AppError('store', `${action}: the key exists already`, { reason: 'exists', hint: 'Try again.' });
      await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      await link(fileOf(from), file);
      await syncDirectory(path.dirname(file));
      onProgress?.(source.bytes);
      return { bytes: source.bytes, etag: null };
    } catch (error) {
      if (!isWithoutLinks(error)) throw await localError(error, { action, directory });
      const body = createReadStream(fileOf(from), { highWaterMark: 1024 * 1024 });
      return write(to, body, { signal, ...(onProgress === undefined ? {} : { onProgress }) });
    }
  }

  async function* walk(folder: string): AsyncGenerator<string> {
    const entries = await readdir(path.join(directory, folder), { withFileTypes: true });
    // The order of keys: a folder's name goes on with its slash.
    const keyOf = (entry: Dirent): string => (entry.isDirectory() ? `${entry.name}/` : entry.name);
    for (const entry of entries.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))) {
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

  async function keep(key: ObjectKey, content: Uint8Array, signal: AbortSignal): Promise<void> {
    const file = fileOf(key);
    if (await exists(file)) {
      if (Buffer.compare(await readFile(file), content) === 0) return;
      throw new AppError('store', `'${key}' exists already in '${directory}' with other content`, { reason: 'exists' });
    }
    await write(key, Readable.from([Buffer.from(content)]), { signal });
  }

  async function read(key: ObjectKey, { signal, offset = 0 }: GetOptions): Promise<Readable> {
    const action = `'${key}' could not be read from '${directory}'`;
    try {
      const file = fileOf(key);
      const { size } = await stat(file);
      const source = createReadStream(file, { highWaterMark: 1024 * 1024, start: offset });
      const checked = createBodyCheck({ bytes: Math.max(0, size - offset), idleMs, action });
      const abort = (): void => void checked.destroy(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      source.once('error', (error) => {
        checked.destroy(
          new AppError('store', `${action}: ${describeError(error)}`, { cause: error, reason: 'unreachable' }),
        );
      });
      checked.once('close', () => {
        signal.removeEventListener('abort', abort);
        source.destroy();
      });
      return source.pipe(checked);
    } catch (error) {
      throw await localError(error, { action, directory });
    }
  }

  async function lookUp(key: ObjectKey): Promise<StoredObject | null> {
    try {
      return await describe(fileOf(key), key);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        await requireDirectory(directory);
        return null;
      }
      throw await localError(error, { action: `'${key}' could not be looked up in '${directory}'`, directory });
    }
  }

  async function* objects(prefix: string): AsyncGenerator<StoredObject> {
    for await (const name of filesUnder(prefix)) {
      if (partialName.test(path.basename(name))) continue;
      const found = await describe(path.join(directory, name), name as ObjectKey).catch(() => undefined);
      if (found !== undefined) yield found;
    }
  }

  async function* partials(prefix: string): AsyncGenerator<UnfinishedUpload> {
    for await (const name of filesUnder(prefix.slice(0, prefix.lastIndexOf('/') + 1))) {
      const key = keyOfPartial(name);
      if (key?.startsWith(prefix) !== true) continue;
      const file = path.join(directory, name);
      // It may have been finished since it was listed.
      const found = await stat(file).catch(() => undefined);
      if (found !== undefined) yield { key, uploadId: file, startedAt: found.mtime };
    }
  }

  return {
    name: 'local',
    description: `directory ${directory}`,
    maxObjectBytes: null,
    comparesEtags: false,
    hasParts: false,
    hasRules: false,
    hasClock: false,
    put: async (key, body, options) =>
      unlessAborted(write(key, body, options), { signal: options.signal, graceMs: cleanUpMs }),
    copy: async (from, options) =>
      unlessAborted(duplicate(from, options), { signal: options.signal, graceMs: cleanUpMs }),
    putDocument: async (key, content, { signal }) => answered(keep(key, content, signal), signal),
    get: async (key, options) => answered(read(key, options), options.signal),
    head: async (key, { signal }) => answered(lookUp(key), signal),
    list: (prefix, { signal }) => each(objects(prefix), signal),
    listUnfinished: (prefix, { signal }) => each(partials(prefix), signal),
    now: async () => null,
    lifecycleRules: async () => [],
    async replaceLifecycleRules() {
      throw new AppError('usage', `The directory '${directory}' has no bucket rules`, {
        hint: 'Set BACKUP_RETENTION=prune: this program deletes in directories.',
      });
    },
    remove: async (key, { signal }) => answered(rm(fileOf(key), { force: true }), signal),
    async discard(upload, { signal }) {
      if (keyOfPartial(path.relative(directory, upload.uploadId)) !== upload.key) {
        throw new AppError('store', `'${upload.uploadId}' is no temporary file of '${upload.key}'`);
      }
      await answered(rm(upload.uploadId, { force: true }), signal);
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
