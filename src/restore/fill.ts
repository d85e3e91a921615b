// A stored snapshot on its way into an empty database: read patiently, decrypted, decompressed, hashed, and handed to
// pg_restore, as one stream. pg_restore sees the end of it only when every byte was the right one.

import { pipeline } from 'node:stream/promises';
import { decoders } from '../codec/codec.ts';
import type { ClientPrograms } from '../database/clients.ts';
import { describeTarget, type ConnectionSettings } from '../database/connection.ts';
import { startRestore, type RestoreFailure } from '../database/restore-client.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Manifest } from '../manifest/manifest.ts';
import { readPatiently } from '../storage/patient-reader.ts';
import type { ObjectKey, ObjectStore } from '../storage/store.ts';
import { createGate } from '../stream/gate.ts';
import { createMeter } from '../stream/meter.ts';

/** A snapshot, where it is, and what opens it. */
export interface SnapshotSource {
  readonly store: ObjectStore;
  readonly manifest: Manifest;
  /** age identities; null: it is not encrypted. */
  readonly identities: readonly string[] | null;
}

/** What happened inside pg_restore. */
export interface FillResult {
  /** Statements that failed; with `--exit-on-error` at most one. */
  readonly failures: readonly RestoreFailure[];
}

/**
 * Restores into `connection`'s database. Resolves when pg_restore has ended, with whatever statements failed; rejects with
 * AppError `verify` or `store` when the snapshot cannot be read, `restore` when pg_restore itself failed.
 */
export async function fillDatabase(
  { store, manifest, identities }: SnapshotSource,
  options: {
    readonly connection: ConnectionSettings;
    readonly client: ClientPrograms;
    readonly serverMajor: number;
    /** Further arguments of pg_restore. */
    readonly args: readonly string[];
    readonly log: Log;
    readonly signal: AbortSignal;
    readonly onProgress: (objectBytes: number) => void;
  },
): Promise<FillResult> {
  const { log, signal, connection } = options;
  await using restore = startRestore(options);
  const dump = createMeter();
  const gate = createGate(async () => {
    const { bytes, sha256 } = dump.reading();
    if (bytes === manifest.dump.bytes && sha256 === manifest.dump.sha256) return;
    throw new AppError('verify', `The dump inside '${manifest.object.key}' is not what its manifest says`, {
      hint: 'Restore another snapshot; see them with: mastodon-backup list.',
    });
  });
  const object = readPatiently(store, {
    key: manifest.object.key as ObjectKey,
    bytes: manifest.object.bytes,
    sha256: manifest.object.sha256,
    log,
    signal,
    onProgress: options.onProgress,
  });
  const { compression } = manifest.object;
  let streamError: unknown;
  try {
    const chain = decoders({ compression, identities });
    await pipeline([object, ...chain, dump.stream, gate, restore.input], { signal });
  } catch (error) {
    signal.throwIfAborted();
    streamError = error;
    // What came is not the whole: pg_restore must not take it for one.
    if (!isBrokenPipe(error)) await restore[Symbol.asyncDispose]();
  }
  const { exit, failures } = await restore.done;
  signal.throwIfAborted();
  if (streamError !== undefined && !isBrokenPipe(streamError)) throw readError(streamError, manifest);
  if (exit.code === 0 || failures.length > 0) return { failures };
  throw new AppError(
    'restore',
    `pg_restore into ${describeTarget(connection)} ended with ${exit.signal ?? `status ${exit.code}`}: ${describeError(exit.stderrTail)}`,
    { hint: 'Look into the log of the target server, and at its disk.' },
  );
}

// pg_restore closes its stdin when it gives up; its own words say why.
function isBrokenPipe(error: unknown): boolean {
  const { code } = error as { readonly code?: string };
  return code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ECONNRESET';
}

function readError(error: unknown, manifest: Manifest): AppError {
  if (error instanceof AppError) return error;
  const wrongKey = /no identity matched|identity/i.test(describeError(error));
  return new AppError('restore', `'${manifest.object.key}' cannot be opened: ${describeError(error)}`, {
    cause: error,
    hint: wrongKey
      ? 'Name the file with the private key of one of its recipients with --identity.'
      : 'Verify it with: mastodon-backup verify, and restore another one if it is damaged.',
  });
}
