// A stored base back into a data directory, or only read: the hash of the object, of the tar, and the server's own manifest in
// it are all held against what comes, whichever way it is read.

import { chmod, open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { makeDirectory } from '../disk/directory.ts';
import { decoders } from '../codec/codec.ts';
import { AppError, describeError, reasonOf } from '../errors.ts';
import type { BaseDocument } from '../snapshots/base-document.ts';
import { baseKey } from '../snapshots/chain-keys.ts';
import type { ReadOptions } from '../snapshots/part-reader.ts';
import type { Repository } from '../snapshots/repository.ts';
import { readPatiently } from '../storage/patient-reader.ts';
import { createMeter } from '../stream/meter.ts';
import { plural } from '../text/table.ts';
import { createBaseInspector, type BaseContents } from './backup-manifest.ts';
import { createTarReader } from '../codec/tar.ts';
import { formatLsn, parseLsn, segmentName } from './lsn.ts';

/** What of a base's document is needed to read it. */
export type StoredBase = Pick<
  BaseDocument,
  'id' | 'systemIdentifier' | 'timeline' | 'startLsn' | 'endLsn' | 'startSegment' | 'segmentBytes' | 'tar'
>;

/** How it is read. */
export interface BaseReadOptions extends ReadOptions {
  readonly repository: Repository;
  /** age identities; null: only the object's hash can be looked at. */
  readonly identities: readonly string[] | null;
  readonly threads: number;
}

/** Reads a base to its end, into `to` when it is given. @throws AppError `verify` when it is not what it should be. */
export async function readBase(
  base: StoredBase,
  { to, ...options }: BaseReadOptions & { readonly to?: Writable },
): Promise<BaseContents | null> {
  const { repository, identities, signal } = options;
  const { tar } = base;
  const key = baseKey({ prefix: repository.prefix, systemIdentifier: base.systemIdentifier }, tar.name);
  const object = readPatiently(repository.store, { key, ...tar, ...options });
  if (identities === null && tar.encryption !== null) {
    await pipeline([object, nowhere()], { signal });
    return null;
  }
  const inspector = createBaseInspector();
  let contents: BaseContents | undefined;
  const meter = createMeter({
    observe: (chunk) => inspector.push(chunk),
    onEnd: () => void (contents = inspector.end()),
  });
  const chain = decoders({
    compression: tar.compression,
    identities: tar.encryption === null ? null : (identities ?? []),
    threads: options.threads,
    limit: {
      bytes: tar.content.bytes,
      excess: () => new Error(`more than ${plural(tar.content.bytes, 'byte is', 'bytes are')} in it`),
    },
  });
  try {
    await pipeline([object, ...chain, meter.stream, to ?? nowhere()], { signal });
  } catch (error) {
    signal.throwIfAborted();
    if ((error instanceof AppError && error.code !== 'codec') || reasonOf(error) === 'wrong-key') throw error;
    throw new AppError('verify', `The base backup '${key}' is not what it should be: ${describeError(error)}`, {
      cause: error,
      reason: 'damaged-object',
      hint: 'Make another with: mastodon-backup pitr base.',
    });
  }
  const { bytes, sha256 } = meter.reading();
  if (contents === undefined || bytes !== tar.content.bytes || sha256 !== tar.content.sha256)
    throw new AppError('verify', `The tar inside '${key}' is not what its document says`, {
      reason: 'damaged-object',
      hint: 'Make another with: mastodon-backup pitr base.',
    });
  if (contents.systemIdentifier !== base.systemIdentifier)
    throw new AppError(
      'verify',
      `The base backup '${key}' is of another server, ${contents.systemIdentifier ?? 'unknown'}`,
      { reason: 'damaged-object', hint: lookAtIt },
    );
  assertLog(base, contents);
  return contents;
}

const lookAtIt = 'Somebody else writes into this place: look at the object, and remove it and its document by hand.';

// With a document that names other log, what it needs would be removed, or a moment promised at which it is no database.
function assertLog(base: StoredBase, { log }: BaseContents): void {
  const startLsn = parseLsn(base.startLsn);
  if (
    startLsn === log.startLsn &&
    parseLsn(base.endLsn) === log.endLsn &&
    log.timelines.includes(base.timeline) &&
    base.startSegment === segmentName(startLsn, base)
  )
    return;
  throw new AppError(
    'verify',
    `The document of the base backup '${base.id}' names other log than its server did: ${formatLsn(log.startLsn)} to ${formatLsn(log.endLsn)}`,
    { reason: 'damaged-object', hint: lookAtIt },
  );
}

/** A writable that unpacks a tar into `directory`, in which there is nothing but the folder `except`; of that it takes nothing. */
export function createUnpacker(
  directory: string,
  { own, except }: { readonly own: (file: string) => Promise<void>; readonly except: string },
): Writable {
  const tar = createTarReader();
  let handle: FileHandle | undefined;
  const take = async (chunk: Buffer): Promise<void> => {
    for (const event of tar.push(chunk)) {
      // Left behind by a restore before: the log that is staged now is another.
      if (event.kind === 'padding') continue;
      if (event.member.name === except || event.member.name.startsWith(`${except}/`)) continue;
      switch (event.kind) {
        case 'member': {
          const file = placeIn(directory, event.member.name);
          if (event.member.kind === 'directory') {
            await makeDirectory(file, { mode: 0o700 });
            await own(file);
          } else if (event.member.kind === 'file') {
            handle = await open(file, 'wx', 0o600);
            await own(file);
          } else throw new Error(`the tar has a link, ${event.member.name}`);
          break;
        }
        case 'data':
          // Not write(): on a disk that fills it writes a part, and is content.
          await handle?.writeFile(event.chunk);
          break;
        case 'end':
          await handle?.close();
          handle = undefined;
          break;
        default:
          event satisfies never;
      }
    }
  };
  return new Writable({
    highWaterMark: 4 * 1024 * 1024,
    write(chunk: Buffer, _encoding, callback) {
      take(chunk).then(() => callback(), callback);
    },
    final(callback) {
      chmod(directory, 0o700).then(() => callback(), callback);
    },
    destroy(error, callback) {
      const done = (): void => callback(error);
      if (handle === undefined) done();
      else closeThen(handle, done);
    },
  });
}

function closeThen(handle: FileHandle, done: () => void): void {
  handle.close().then(done, done);
}

function placeIn(directory: string, name: string): string {
  const file = path.join(directory, name);
  if (!file.startsWith(`${directory}/`) && file !== directory && file !== `${directory}/.`)
    throw new Error(`${name} would leave the directory`);
  return file;
}

function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, callback) => callback() });
}
