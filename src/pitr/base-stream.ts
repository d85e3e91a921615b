// BASE_BACKUP as a stream: one tar of the whole data directory, with the server's own manifest as its last member, whichever
// way the server frames it (version 14 sends one copy for each, later ones typed messages in one; PostgreSQL's documentation,
// "Streaming Replication Protocol"). The driver reuses its buffer: each chunk is copied, or the tar is silently corrupt.

import { PassThrough, type Readable } from 'node:stream';
import type { Client } from 'pg';
import { AppError, toAppError } from '../errors.ts';
import { manifestName } from './backup-manifest.ts';
import { parseLsn, type Lsn } from './lsn.ts';
import { converse, type WireConnection } from './replication-connection.ts';
import { createTarReader, fileHeader, padding, tarEnd } from '../codec/tar.ts';

/** What the server says of a base backup. */
export interface BaseRange {
  readonly timeline: number;
  /** Where replaying has to begin. */
  readonly startLsn: Lsn;
  /** How far it has to go at least. */
  readonly endLsn: Lsn;
}

/** A base backup that is under way. */
export interface BaseStream {
  /** The tar. Ends only when the server has said that it is whole. */
  readonly bytes: Readable;
  readonly done: Promise<BaseRange>;
}

type Framing = 'copies' | 'messages';

/** Begins one. The connection is of no other use afterwards when it fails. */
export function startBaseStream(
  client: Client,
  { major, label }: { readonly major: number; readonly label: string },
): BaseStream {
  const framing: Framing = major >= 15 ? 'messages' : 'copies';
  const out = new PassThrough({ highWaterMark: 1024 * 1024 });
  const done = readBase(client, { out, framing, sql: command(framing, label) }).catch((error: unknown) => {
    const reason = toAppError(error, {
      code: 'dump',
      message: 'The base backup failed',
      hint: 'Run it again with: mastodon-backup pitr base.',
    });
    out.destroy(reason);
    throw reason;
  });
  done.catch(() => undefined);
  return { bytes: out, done };
}

function command(framing: Framing, label: string): string {
  const name = `'${label.replaceAll("'", "''")}'`;
  return framing === 'messages'
    ? `BASE_BACKUP (LABEL ${name}, CHECKPOINT 'fast', WAIT false, MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256')`
    : `BASE_BACKUP LABEL ${name} FAST NOWAIT MANIFEST 'yes' MANIFEST_CHECKSUMS 'SHA256'`;
}

async function readBase(
  client: Client,
  { out, framing, sql }: { readonly out: PassThrough; readonly framing: Framing; readonly sql: string },
): Promise<BaseRange> {
  const tar = createTarReader();
  const manifest: Buffer[] = [];
  const results: (readonly (string | null)[])[][] = [];
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  let copies = 0;
  let inManifest = false;
  let wire: WireConnection | undefined;
  let failure: unknown;
  const fail = (error: unknown): void => {
    failure ??= error;
    reject(failure instanceof Error ? failure : new Error(String(failure)));
    wire?.stream.resume();
  };
  const write = (chunk: Buffer): void => {
    // Copied: these bytes are the driver's.
    if (!out.write(Buffer.from(chunk))) wire?.stream.pause();
  };
  const take = (chunk: Buffer): void => {
    if (inManifest) {
      manifest.push(Buffer.from(chunk));
      return;
    }
    for (const event of tar.push(chunk)) {
      if (event.kind === 'member') write(event.header);
      else if (event.kind === 'data' || event.kind === 'padding') write(event.chunk);
    }
  };
  const typed = (message: Buffer): void => {
    switch (String.fromCharCode(message[0] ?? 0)) {
      case 'n':
        copies += 1;
        break;
      case 'm':
        inManifest = true;
        break;
      case 'd':
        take(message.subarray(1));
        break;
      default:
        // Progress, and what later versions may add.
        break;
    }
  };
  const onCopyOut = (): void => {
    if (framing === 'messages') return;
    copies += 1;
    inManifest = copies === 2;
  };
  const onEnd = (): void => fail(new Error('the server closed the connection'));
  out.on('drain', () => wire?.stream.resume());
  out.on('close', () => {
    if (!out.writableFinished) fail(new Error('nobody takes the base backup any more'));
  });
  client.once('end', onEnd);
  client.once('error', fail);
  converse(client, {
    submit(connection) {
      wire = connection;
      connection.on('copyOutResponse', onCopyOut);
      connection.query(sql);
    },
    handleRowDescription: () => void results.push([]),
    handleDataRow: ({ fields }) => void results.at(-1)?.push(fields),
    handleReadyForQuery: () => resolve(),
    handleError: fail,
    handleCopyData({ chunk }) {
      if (failure !== undefined) return;
      try {
        if (framing === 'messages') typed(chunk);
        else take(chunk);
      } catch (error) {
        fail(error);
      }
    },
  });
  try {
    await ended;
  } finally {
    client.off('end', onEnd);
    client.off('error', fail);
    wire?.off('copyOutResponse', onCopyOut);
  }
  tar.finish('members');
  const [start, tablespaces] = results;
  const stop = results.at(-1);
  if ((tablespaces?.length ?? 0) > 1 || copies > (framing === 'messages' ? 1 : 2)) throw tablespacesError();
  if (manifest.length === 0) throw new Error('the server sent no backup manifest');
  const range = { ...readPosition(start), endLsn: readPosition(stop).startLsn };
  const content = Buffer.concat(manifest);
  for (const chunk of [
    fileHeader(manifestName, { bytes: content.length }),
    content,
    Buffer.alloc(padding(content.length)),
    tarEnd,
  ])
    out.write(chunk);
  out.end();
  return range;
}

function readPosition(rows: readonly (readonly (string | null)[])[] | undefined): Omit<BaseRange, 'endLsn'> {
  const [lsn, timeline] = rows?.[0] ?? [];
  if (typeof lsn !== 'string' || typeof timeline !== 'string')
    throw new Error('the server does not say from where to where');
  return { startLsn: parseLsn(lsn), timeline: Number(timeline) };
}

function tablespacesError(): AppError {
  return new AppError('dump', 'The server has tablespaces, which a base backup here does not take', {
    reason: 'unsupported',
    hint: 'Set BACKUP_PITR=off, or move the tables back: ALTER TABLE … SET TABLESPACE pg_default.',
  });
}
