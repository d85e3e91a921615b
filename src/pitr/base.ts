// A base backup: streamed from the server into the store, read back against the server's own manifest, and made to exist by its
// document only when the log through its end is stored too. A base without that log restores nothing.

import { createOneRunKey } from '../codec/age.ts';
import { encoders, type Compression } from '../codec/codec.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { AppError, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { startPipeline } from '../backup/pipeline.ts';
import type { Producer } from '../backup/producer.ts';
import { decodeBase, encodeBase, type BaseDocument } from '../snapshots/base-document.ts';
import { readAll } from '../snapshots/document-reading.ts';
import { readChain } from '../snapshots/chain-catalogue.ts';
import { baseDocumentKey, baseKey, baseName } from '../snapshots/chain-keys.ts';
import { storeBranch } from '../snapshots/destination.ts';
import { createSnapshotId } from '../snapshots/object-keys.ts';
import { choosePartBytes } from '../snapshots/part-size.ts';
import { storeSignature, wantsSigned } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { ReadPatience } from '../storage/patient-reader.ts';
import { pause } from '../stream/patience.ts';
import { formatSpan } from '../text/format.ts';
import { createBaseInspector, type BaseContents } from './backup-manifest.ts';
import { readBase } from './base-reader.ts';
import { startBaseStream, type BaseRange, type BaseStream } from './base-stream.ts';
import { coverage, isCovered } from './coverage.ts';
import { formOf, type EncodingForm } from './encoding.ts';
import { dropFalseTail } from './false-tail.ts';
import { formatLsn, segmentName, segmentStart } from './lsn.ts';
import { connectForReplication, identifySystem } from './replication-connection.ts';
import { readPitrSource } from './source.ts';

/** What a base backup needs. */
export interface BaseOptions {
  readonly connection: ConnectionSettings;
  readonly repository: Repository;
  readonly instance: string;
  readonly toolVersion: string;
  readonly compression: Compression;
  readonly recipients: readonly string[];
  readonly threads: number;
  /** How long the server, or the store, may stand still, in milliseconds. */
  readonly stallTimeoutMs: number;
  /** How long the log through its end is waited for. */
  readonly walWaitMs: number;
  readonly patience?: ReadPatience | undefined;
  readonly now: () => Date;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly onProgress: (bytes: number, expectedBytes: number) => void;
}

const pollMs = 1_000;

/** Makes one. Rejects with AppError; there is then no base, whatever was stored of it. */
export async function makeBase(options: BaseOptions): Promise<BaseDocument> {
  const { connection, repository, log, signal, now } = options;
  const { store, prefix } = repository;
  await using control = await connect(connection, signal);
  const { segmentBytes, ...server } = await readPitrSource(control);
  await using client = await connectForReplication(connection, signal);
  const { systemIdentifier } = await identifySystem(client, connection);
  const place = { prefix, systemIdentifier };
  const id = createSnapshotId(now());
  const oneRunKey = options.recipients.length === 0 ? null : await createOneRunKey(options.recipients);
  const form: EncodingForm = {
    compression: options.compression,
    recipients: oneRunKey === null ? [] : [...options.recipients, oneRunKey.recipient],
  };
  const name = baseName(id, formOf(form));
  const key = baseKey(place, name);
  const startedAt = await serverClock(control);
  log.info({ id, systemIdentifier, sizeBytes: server.dataBytes }, 'Base backup started');
  const stream = startBaseStream(client, { major: server.major, label: `mastodon-backup ${id}` });
  const pipeline = startPipeline({
    producer: produceBase(stream),
    encoders: encoders(form),
    destinations: 1,
    stallTimeoutMs: options.stallTimeoutMs,
    firstByteGraceMs: options.stallTimeoutMs,
    signal,
    observeObject: () => undefined,
    onProgress: (bytes) => options.onProgress(bytes, server.dataBytes),
  });
  const [branch] = pipeline.branches;
  if (branch === undefined) throw new Error('The pipeline has no branch');
  const partBytes = choosePartBytes({
    databaseBytes: server.dataBytes + 64 * 1024 * 1024,
    compressed: form.compression.kind !== 'none',
    store,
  });
  const stored = storeBranch(
    { repository, key, partBytes },
    { ...options, branch, sourceEnded: () => pipeline.ended(), retained: false },
  );
  const [put, passed] = await Promise.allSettled([stored, pipeline.done]);
  signal.throwIfAborted();
  if (passed.status === 'rejected') throw passed.reason;
  if (put.status === 'rejected') throw put.reason;
  if (passed.value === null) throw new Error('The store failed without a reason');
  const { end, content, object } = passed.value;
  const endedAt = await serverClock(control);
  const tar = {
    name,
    ...object,
    compression: form.compression.kind,
    encryption: oneRunKey === null ? null : ('age' as const),
    content,
  };
  log.info({ key, bytes: object.bytes }, 'Reading the base backup back');
  const range = {
    timeline: end.timeline,
    startLsn: formatLsn(end.startLsn),
    endLsn: formatLsn(end.endLsn),
    segmentBytes,
    startSegment: segmentName(end.startLsn, { timeline: end.timeline, segmentBytes }),
  };
  await readBase(
    { id, systemIdentifier, tar, ...range },
    { ...options, identities: oneRunKey === null ? [] : [oneRunKey.identity], onProgress: undefined },
  );
  await waitForLog(options, { systemIdentifier, range: end, segmentBytes });
  const document: BaseDocument = {
    format: 1,
    id,
    instance: options.instance,
    tool: { version: options.toolVersion },
    systemIdentifier,
    ...range,
    startedAt,
    endedAt,
    server,
    tar,
    verified: { method: 'full', at: now() },
  };
  await commitBase(options, { document, place });
  return document;
}

async function commitBase(
  { repository, log, signal }: BaseOptions,
  { document, place }: { readonly document: BaseDocument; readonly place: Parameters<typeof baseDocumentKey>[0] },
): Promise<void> {
  const { store } = repository;
  const content = encodeBase(document);
  const decoded = decodeBase(content);
  if (decoded.kind === 'unreadable')
    throw new AppError(
      'verify',
      `The base's document is not written, for it would not be read again: ${decoded.reason}`,
      { hint: 'Make another with: mastodon-backup pitr base.' },
    );
  const key = baseDocumentKey(place, document.id);
  await storeSignature(repository, { key, content, signal });
  await store.putDocument(key, content, { signal });
  if (!(await readAll(await store.get(key, { signal }))).equals(content))
    throw new AppError('verify', `The document '${key}' in ${store.description} is not what was written`, {
      hint: 'Look who else writes there, then make another with: mastodon-backup pitr base.',
    });
  log.info({ id: document.id, store: store.description }, 'Base backup committed');
}

function produceBase({ bytes, done }: BaseStream): Producer<BaseContents, BaseRange> {
  return {
    bytes,
    done,
    inspector: createBaseInspector(),
    words: {
      stalled: (timeoutMs) =>
        new AppError('stalled', `The base backup stood still for ${formatSpan(timeoutMs)}`, {
          hint: 'Look at the disk of the database; BACKUP_STALL_TIMEOUT says how long to wait.',
        }),
      failed: async (error) =>
        toAppError(error, {
          code: 'dump',
          message: 'What the server sent is no whole base backup',
          hint: 'Run it again with: mastodon-backup pitr base.',
        }),
    },
  };
}

// The server's, rounded up: nothing that ended before the backup did may be promised.
async function serverClock(client: Awaited<ReturnType<typeof connect>>): Promise<Date> {
  const { rows } = await client.query<{ ms: string }>(
    'select ceil(extract(epoch from clock_timestamp()) * 1000)::bigint::text as ms',
  );
  return new Date(Number(rows[0]?.ms));
}

async function waitForLog(
  { repository, walWaitMs, signal, log }: BaseOptions,
  {
    systemIdentifier,
    range,
    segmentBytes,
  }: { readonly systemIdentifier: string; readonly range: BaseRange; readonly segmentBytes: number },
): Promise<void> {
  const frame = { timeline: range.timeline, segmentBytes };
  const wanted = { from: segmentStart(range.startLsn, segmentBytes), to: range.endLsn };
  for (const until = performance.now() + walWaitMs; ; await pause(pollMs, signal)) {
    const { wal } = await readChain(repository, { systemIdentifier, signal });
    if (isCovered(coverage(wal, frame), wanted)) {
      if (!wantsSigned(repository.signing)) return;
      // By the names alone somebody else could say so; what is encrypted cannot be looked at here.
      const { wal: ours, isGone } = await dropFalseTail(wal, { ...frame, repository, identities: [], log, signal });
      if (!isGone && isCovered(coverage(ours, frame), wanted)) return;
    }
    log.debug(
      { from: formatLsn(wanted.from), to: formatLsn(wanted.to) },
      'Waiting for the log of the base to be stored',
    );
    if (performance.now() > until)
      throw new AppError(
        'store',
        `The log from ${formatLsn(wanted.from)} to ${formatLsn(wanted.to)}, which the base needs, is not stored`,
        { hint: 'Start the daemon with BACKUP_PITR=on, which stores it, then: mastodon-backup pitr base.' },
      );
  }
}
