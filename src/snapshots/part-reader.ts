// The one way to read what is stored: resumed where the connection broke, hashed, decrypted, decompressed, hashed again and
// looked into. Whoever takes it sees the end only when every byte was the right one, so that half of a dump is never taken
// for a whole one, and a bad line never for a bad object.

import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { decoders } from '../codec/codec.ts';
import { AppError, describeError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { readPatiently, type ReadPatience } from '../storage/patient-reader.ts';
import type { ObjectKey } from '../storage/store.ts';
import { createGate } from '../stream/gate.ts';
import { createMeter } from '../stream/meter.ts';
import { plural } from '../text/table.ts';
import { dumpOf, type Manifest, type Part } from './manifest.ts';
import { partKey } from './object-keys.ts';
import type { Repository } from './repository.ts';

/** What of a manifest its parts are found and known by. */
export type StoredManifest = Pick<Manifest, 'id' | 'tier' | 'parts'>;

/** A part, and where it is. */
export interface StoredPart {
  readonly repository: Repository;
  readonly manifest: StoredManifest;
  readonly part: Part;
}

/** How it is read. */
export interface ReadOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Called with the bytes of the stored object that have been read. */
  readonly onProgress?: ((objectBytes: number) => void) | undefined;
  /** How often a broken download is taken up again; left out: as usual. */
  readonly patience?: ReadPatience | undefined;
}

/** What looks into the plain bytes as they pass; by throwing it fails the reading. */
export interface Inspector {
  push(chunk: Buffer): void;
}

/** The key of a part. */
export function keyOf({ repository, manifest, part }: StoredPart): ObjectKey {
  return partKey(repository.prefix, { tier: manifest.tier, name: part.name });
}

/** The bytes as they are stored. The stream fails with AppError `verify` when they are not the right ones, else `store`. */
export function readStored(stored: StoredPart, options: ReadOptions): ReturnType<typeof readPatiently> {
  const { bytes, sha256 } = stored.part;
  return readPatiently(stored.repository.store, { key: keyOf(stored), bytes, sha256, ...options });
}

/** Reads the bytes as they are stored to their end; rejects as `readStored` fails. */
export async function hashStored(stored: StoredPart, options: ReadOptions): Promise<void> {
  await pipeline([readStored(stored, options), nowhere()], { signal: options.signal });
}

/**
 * Streams the dump of a snapshot, as it was before compression and encryption, into `to`; answers `refused` when `to` closed
 * before the end, and knows why. Rejects with AppError `verify` or `store` when it cannot be read or is not what its manifest
 * says, `restore` when it cannot be opened, and with `to`'s own error when writing failed.
 */
export async function readDump(
  stored: Omit<StoredPart, 'part'>,
  options: ReadOptions & {
    /** age identities; null: it is not encrypted. */
    readonly identities: readonly string[] | null;
    /** Threads to decompress with. */
    readonly threads: number;
    readonly inspector: Inspector;
    /** Left out: it is only looked into. */
    readonly to?: Writable;
  },
): Promise<'whole' | 'refused'> {
  const { inspector, signal, to = nowhere() } = options;
  const part = dumpOf(stored.manifest);
  const key = keyOf({ ...stored, part });
  const content = createMeter({ observe: (chunk) => inspector.push(chunk) });
  const notTheDump = (text: string): AppError =>
    new AppError('verify', `The dump inside '${key}' is not what its manifest says`, {
      cause: new Error(text),
      hint: 'Restore another snapshot; see them with: mastodon-backup list.',
      reason: 'damaged-object',
    });
  const gate = createGate(async () => {
    const { bytes, sha256 } = content.reading();
    if (bytes !== part.content.bytes || sha256 !== part.content.sha256)
      throw notTheDump('what is inside it is not what was dumped');
  });
  const object = readStored({ ...stored, part }, options);
  const limit = {
    bytes: part.content.bytes,
    excess: () => notTheDump(`more than ${plural(part.content.bytes, 'byte is', 'bytes are')} inside it`),
  };
  const chain = decoders({ compression: part.compression, ...options, limit });
  // A pipeline gives its first error to all of its streams: who had it first is who failed.
  let failedFirst: 'reading' | 'writing' | undefined;
  to.once('error', () => {
    failedFirst ??= 'writing';
  });
  for (const stream of [object, ...chain, content.stream, gate]) {
    stream.once('error', () => {
      failedFirst ??= 'reading';
    });
  }
  try {
    await pipeline([object, ...chain, content.stream, gate, to], { signal });
    return 'whole';
  } catch (error) {
    signal.throwIfAborted();
    if (failedFirst === 'writing' && isBrokenPipe(error)) return 'refused';
    if (failedFirst === 'writing' || (error instanceof AppError && error.code !== 'codec')) throw error;
    throw cannotBeOpened(error, key);
  }
}

// A program that gives up closes its stdin; its own words say why.
function isBrokenPipe(error: unknown): boolean {
  const { code } = error as { readonly code?: string };
  return (
    code === 'EPIPE' ||
    code === 'ERR_STREAM_PREMATURE_CLOSE' ||
    code === 'ERR_STREAM_DESTROYED' ||
    code === 'ECONNRESET'
  );
}

function cannotBeOpened(error: unknown, key: string): AppError {
  const reason = reasonOf(error) ?? 'damaged-object';
  return new AppError('restore', `'${key}' cannot be opened: ${describeError(error)}`, {
    cause: error,
    reason,
    hint:
      reason === 'wrong-key'
        ? 'Name the file with the private key of one of its recipients with --identity; if it is the right one: mastodon-backup verify.'
        : 'Verify it with: mastodon-backup verify, and restore another one if it is damaged.',
  });
}

function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, callback) => callback() });
}
