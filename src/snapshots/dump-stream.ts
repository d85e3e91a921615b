// A stored snapshot as the plain dump it was: read patiently, decrypted, decompressed, hashed, and handed on as one stream
// whose end comes only when every byte was the right one. Whoever takes it never takes half a dump for a whole one.

import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { decoders } from '../codec/codec.ts';
import { createContentsReader, type ArchiveItem } from '../database/archive-reader.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { dumpOf, type Manifest } from './manifest.ts';
import { partKey } from './object-keys.ts';
import type { Repository } from './repository.ts';
import { readPatiently, type ReadPatience } from '../storage/patient-reader.ts';
import { createGate } from '../stream/gate.ts';
import { createMeter } from '../stream/meter.ts';

/** A snapshot, where it is, and what opens it. */
export interface SnapshotSource {
  readonly repository: Repository;
  readonly manifest: Manifest;
  /** age identities; null: it is not encrypted. */
  readonly identities: readonly string[] | null;
  /** Threads to decompress with. */
  readonly threads: number;
  /** How often a broken download is taken up again; left out: as usual. */
  readonly patience?: ReadPatience | undefined;
}

/** What a stream of a snapshot needs besides. */
export interface StreamOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Called with the bytes of the stored object that have been read. */
  readonly onProgress: (objectBytes: number) => void;
}

/** How it ended: all of it was taken, with the archive's table of contents; or `to` closed before the end, and knows why. */
export type StreamOutcome =
  { readonly kind: 'whole'; readonly contents: readonly ArchiveItem[] } | { readonly kind: 'refused' };

/**
 * Streams the dump into `to`. Rejects with AppError `verify` or `store` when the snapshot cannot be read or is not what its
 * manifest says, `restore` when it cannot be opened, and with `to`'s own error when writing failed.
 */
export async function streamDump(
  { repository, manifest, identities, threads, patience }: SnapshotSource,
  options: StreamOptions & { readonly to: Writable },
): Promise<StreamOutcome> {
  const { to, log, signal, onProgress } = options;
  const part = dumpOf(manifest);
  const key = partKey(repository.prefix, { tier: manifest.tier, name: part.name });
  const archive = createContentsReader();
  const dump = createMeter({ observe: (chunk) => archive.push(chunk) });
  const gate = createGate(async () => {
    const { bytes, sha256 } = dump.reading();
    if (bytes === part.content.bytes && sha256 === part.content.sha256) return;
    throw new AppError('verify', `The dump inside '${key}' is not what its manifest says`, {
      hint: 'Restore another snapshot; see them with: mastodon-backup list.',
    });
  });
  const object = readPatiently(repository.store, {
    key,
    bytes: part.bytes,
    sha256: part.sha256,
    log,
    signal,
    onProgress,
    patience,
  });
  const chain = decoders({ compression: part.compression, identities, threads });
  // A pipeline gives its first error to all of its streams: who had it first is who failed.
  let failedFirst: 'reading' | 'writing' | undefined;
  to.once('error', () => {
    failedFirst ??= 'writing';
  });
  for (const stream of [object, ...chain, dump.stream, gate]) {
    stream.once('error', () => {
      failedFirst ??= 'reading';
    });
  }
  try {
    await pipeline([object, ...chain, dump.stream, gate, to], { signal });
    return { kind: 'whole', contents: archive.contents() };
  } catch (error) {
    signal.throwIfAborted();
    if (failedFirst === 'writing' && isBrokenPipe(error)) return { kind: 'refused' };
    if (error instanceof AppError || failedFirst === 'writing') throw error;
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
  const wrongKey = /no identity matched|identity/i.test(describeError(error));
  return new AppError('restore', `'${key}' cannot be opened: ${describeError(error)}`, {
    cause: error,
    hint: wrongKey
      ? 'Name the file with the private key of one of its recipients with --identity; if it is the right one: mastodon-backup verify.'
      : 'Verify it with: mastodon-backup verify, and restore another one if it is damaged.',
  });
}
