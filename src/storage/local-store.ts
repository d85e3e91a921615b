// A directory as a store: a temporary name, fsync, and a link that never overwrites. The directory itself must exist: a
// NAS that is not mounted must not silently become a folder on the root disk. A disk that hangs answers no call at all, and
// no call can be cancelled: whoever waits here stops waiting.

import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { addAbortSignal, Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { giveToOwner, readSpace, type Space } from '../disk/directory.ts';
import { AppError } from '../errors.ts';
import { unlessAborted } from '../stream/abortable.ts';
import { plural } from '../text/table.ts';
import { createBodyCheck } from './body-check.ts';
import { createDiskPatience } from './disk-patience.ts';
import { localError } from './local-errors.ts';
import { exists, isWithoutLinks, lookAt, makeFolder, publish, requireDirectory, syncDirectory } from './local-files.ts';
import { keyOfPartial, objectsUnder, partialsUnder } from './local-listing.ts';
import {
  overwriting,
  type CopyOptions,
  type GetOptions,
  type ObjectKey,
  type PutOptions,
  type PutReceipt,
  type RemovableStore,
  type StoredObject,
} from './store.ts';

/** How long a disk may be silent, in milliseconds: a hung NAS answers nothing at all. */
const usualIdleMs = 120_000;
/** So much of a file is read at once, in bytes. */
const mostAtOnce = 1024 * 1024;
/** A file of no more bytes than this, such as a manifest, is read in one go: a stream with its clock costs more than its content. */
const smallBytes = 64 * 1024;
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
  const { answered, each, eachOf } = createDiskPatience({ directory, idleMs });
  const fileOf = (key: ObjectKey): string => {
    const file = path.join(directory, key);
    if (!file.startsWith(`${directory === '/' ? '' : directory}/`) || key.split('/').includes('..')) {
      throw new AppError('store', `The key '${key}' leaves the directory '${directory}'`, {
        hint: 'Name what lies in the directory.',
      });
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
      await makeFolder(path.dirname(file), directory);
      if (await exists(file)) throw overwriting(action);
      let bytes = 0;
      const count = new Transform({
        transform(chunk: Buffer, _encoding, callback) {
          bytes += chunk.length;
          options.onProgress?.(bytes);
          callback(null, chunk);
        },
      });
      // `flush` is fsync before close: what is linked below is on the disk.
      const handle = await open(partial, 'wx', 0o600);
      const target = handle.createWriteStream({ flush: true, highWaterMark: 1024 * 1024 });
      await giveToOwner(handle);
      await pipeline(body, count, target, { signal: options.signal });
      options.signal.throwIfAborted();
      await publish(partial, file);
      await syncDirectory(path.dirname(file));
      return { bytes, etag: null };
    } catch (error) {
      body.destroy(error instanceof Error ? error : undefined);
      // Before what was written is taken away: what is free afterwards is no reason.
      const told = await localError(error, { action, directory, file });
      await rm(partial, { force: true }).catch(() => undefined);
      options.signal.throwIfAborted();
      throw told;
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
      await makeFolder(path.dirname(file), directory);
      await link(fileOf(from), file);
      await syncDirectory(path.dirname(file));
      onProgress?.(source.bytes);
      return { bytes: source.bytes, etag: null };
    } catch (error) {
      if (!isWithoutLinks(error)) throw await localError(error, { action, directory, file: fileOf(to) });
      const body = createReadStream(fileOf(from), { highWaterMark: 1024 * 1024 });
      return write(to, body, { signal, ...(onProgress === undefined ? {} : { onProgress }) });
    }
  }

  async function keep(key: ObjectKey, content: Uint8Array, signal: AbortSignal): Promise<void> {
    const file = fileOf(key);
    try {
      const found = await lookAt(file, key);
      if (found !== null) {
        if (found.bytes === content.length && Buffer.compare(await readFile(file), content) === 0) return;
        throw new AppError('store', `'${key}' exists already in '${directory}' with other content`, {
          reason: 'exists',
          hint: 'Look who else writes there, and move it away.',
        });
      }
    } catch (error) {
      throw await localError(error, { action: `'${key}' could not be stored in '${directory}'`, directory, file });
    }
    await write(key, Readable.from([Buffer.from(content)]), { signal });
  }

  async function read(key: ObjectKey, { signal, offset = 0 }: GetOptions): Promise<Readable> {
    const action = `'${key}' could not be read from '${directory}'`;
    const file = fileOf(key);
    try {
      const found = await lookAt(file, key);
      // Nothing is missing from a directory that is not there.
      if (found === null) await requireDirectory(directory);
      if (found === null)
        throw new AppError('store', `${action}: there is no such file`, {
          reason: 'not-found',
          hint: 'See what is there with: mastodon-backup list.',
        });
      const { bytes: size } = found;
      if (size - offset <= smallBytes) {
        const content = (await readFile(file)).subarray(offset);
        if (content.length !== Math.max(0, size - offset))
          throw new AppError('store', `${action}: ${content.length} of ${plural(size - offset, 'byte')} came`, {
            hint: 'Look at the disk, or at the mount, that the directory is on, and try again.',
          });
        // Who asked may leave before it reads, and an error that nobody hears ends the process.
        return addAbortSignal(signal, Readable.from([content], { objectMode: false })).on('error', () => undefined);
      }
      // As much room as there is something to read: of ten thousand manifests that is megabytes, and not gigabytes.
      const highWaterMark = Math.max(1, Math.min(mostAtOnce, size - offset));
      const source = createReadStream(file, { highWaterMark, start: offset });
      const checked = createBodyCheck({ bytes: Math.max(0, size - offset), idleMs, action });
      const abort = (): void => void checked.destroy(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      const fail = async (error: unknown): Promise<void> =>
        void checked.destroy(await localError(error, { action, directory, file }));
      source.once('error', (error) => void fail(error));
      checked.once('close', () => {
        signal.removeEventListener('abort', abort);
        source.destroy();
      });
      return source.pipe(checked);
    } catch (error) {
      throw await localError(error, { action, directory, file });
    }
  }

  async function lookUp(key: ObjectKey): Promise<StoredObject | null> {
    const file = fileOf(key);
    try {
      const found = await lookAt(file, key);
      // Nothing is missing from a directory that is not there.
      if (found === null) await requireDirectory(directory);
      return found;
    } catch (error) {
      throw await localError(error, { action: `'${key}' could not be looked up in '${directory}'`, directory, file });
    }
  }

  async function measure(): Promise<Space> {
    try {
      await requireDirectory(directory);
      return await readSpace(directory);
    } catch (error) {
      throw await localError(error, { action: `The space in '${directory}' could not be measured`, directory });
    }
  }

  async function removeFile(file: string, name: string): Promise<void> {
    try {
      await rm(file, { force: true });
    } catch (error) {
      throw await localError(error, { action: `'${name}' could not be removed from '${directory}'`, directory, file });
    }
  }

  return {
    name: 'local',
    description: `directory ${directory}`,
    maxObjectBytes: null,
    maxParts: null,
    comparesEtags: false,
    hasParts: false,
    hasRules: false,
    hasLocks: false,
    hasClock: false,
    put: async (key, body, options) =>
      unlessAborted(write(key, body, options), { signal: options.signal, graceMs: cleanUpMs }),
    copy: async (from, options) =>
      unlessAborted(duplicate(from, options), { signal: options.signal, graceMs: cleanUpMs }),
    putDocument: async (key, content, { signal }) => answered(keep(key, content, signal), signal),
    async get(key, options) {
      const reading = read(key, options);
      try {
        return await answered(reading, options.signal);
      } catch (error) {
        // What is opened when nobody waits for it any more would stay open.
        reading.then(
          (late) => late.destroy(),
          () => undefined,
        );
        throw error;
      }
    },
    head: async (key, { signal }) => answered(lookUp(key), signal),
    list: (prefix, { signal, ...told }) => eachOf(objectsUnder(directory, { prefix, ...told }), signal),
    listUnfinished: (prefix, { signal }) => each(partialsUnder(directory, prefix), signal),
    space: async ({ signal }) => answered(measure(), signal),
    now: async () => null,
    lifecycleRules: async () => [],
    async replaceLifecycleRules() {
      throw new AppError('usage', `The directory '${directory}' has no bucket rules`, {
        hint: 'Set BACKUP_RETENTION=prune: this program deletes in directories.',
      });
    },
    remove: async (key, { signal }) => answered(removeFile(fileOf(key), key), signal),
    async discard(upload, { signal }) {
      if (keyOfPartial(path.relative(directory, upload.uploadId)) !== upload.key) {
        throw new AppError('store', `'${upload.uploadId}' is no temporary file of '${upload.key}'`, {
          hint: 'Leave it: what is no temporary file is not removed.',
        });
      }
      await answered(removeFile(upload.uploadId, upload.key), signal);
    },
    protection: async () => null,
    close: async () => undefined,
  };
}
