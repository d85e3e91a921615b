// START_REPLICATION: the write-ahead log as the server writes it, and what is said back. Only what is stored is ever confirmed,
// and that once: between two confirmations the flush position is 0, for a server that stops waits until the position it was
// told last covers everything, and Docker kills it after ten seconds of that.

import type { Client } from 'pg';
import { AppError, describeError } from '../errors.ts';
import { formatLsn, type Lsn } from './lsn.ts';
import { converse, type WireConnection } from './replication-connection.ts';

/** What the stream brings. */
export interface WalListener {
  /** Bytes of the log from `lsn`. They belong to the driver: copy them. */
  onWal(lsn: Lsn, bytes: Buffer): void;
  /** How far the server has come, and its clock. Comes with each of its messages, after `onWal`. */
  onServer(position: { readonly endOfLog: Lsn; readonly at: Date }): void;
}

/** A stream that runs. */
export interface WalStream {
  /** Resolves when the server has ended it (a shutdown, the end of a timeline); rejects when it broke. */
  readonly done: Promise<void>;
  /** Tells the server that everything before `lsn` is stored: it may forget it. */
  confirm(lsn: Lsn): void;
}

/** 2000-01-01, from which PostgreSQL counts microseconds. */
export const postgresEpochMs = 946_684_800_000;

const answerEveryMs = 5_000;

/** Begins to stream from `from`. Ends when the connection does. */
export function startWalStream(
  client: Client,
  options: {
    readonly from: Lsn;
    readonly timeline: number;
    /** The slot that holds the log for us; null: none, and the server may forget what we have not got. */
    readonly slot: string | null;
    readonly listener: WalListener;
  },
): WalStream {
  const { from, timeline, slot, listener } = options;
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  done.catch(() => undefined);
  let wire: WireConnection | undefined;
  let received = from;
  let isOver = false;
  const answer = (flushed: Lsn, asks: 'asks' | 'says' = 'says'): void => {
    if (isOver || wire === undefined) return;
    const message = Buffer.alloc(34);
    message.write('r', 0, 'latin1');
    message.writeBigUInt64BE(received, 1);
    message.writeBigUInt64BE(flushed, 9);
    message.writeBigUInt64BE(0n, 17);
    message.writeBigInt64BE(BigInt(Date.now() - postgresEpochMs) * 1000n, 25);
    message.writeUInt8(asks === 'asks' ? 1 : 0, 33);
    wire.sendCopyFromChunk(message);
  };
  // Asks how far it is: a server with nothing to say, which hears of us all the time, would say nothing.
  const timer = setInterval(() => answer(0n, 'asks'), answerEveryMs);
  const end = (error?: unknown): void => {
    if (isOver) return;
    isOver = true;
    clearInterval(timer);
    if (error === undefined) resolve();
    else reject(toStreamError(error));
  };
  const onClose = (): void => end(new Error('the server closed the connection'));
  const onCopyDone = (): void => {
    wire?.endCopyFrom();
    end();
  };
  const read = (message: Buffer): void => {
    switch (String.fromCharCode(message[0] ?? 0)) {
      case 'w': {
        const lsn = message.readBigUInt64BE(1);
        const bytes = message.subarray(25);
        if (lsn !== received)
          throw new Error(`the server went on at ${formatLsn(lsn)} instead of ${formatLsn(received)}`);
        listener.onWal(lsn, bytes);
        received = lsn + BigInt(bytes.length);
        listener.onServer({ endOfLog: message.readBigUInt64BE(9), at: toDate(message.readBigInt64BE(17)) });
        break;
      }
      case 'k':
        listener.onServer({ endOfLog: message.readBigUInt64BE(1), at: toDate(message.readBigInt64BE(9)) });
        if (message[17] === 1) answer(0n);
        break;
      default:
        break;
    }
  };
  client.once('end', onClose);
  client.once('error', end);
  converse(client, {
    submit(connection) {
      wire = connection;
      connection.on('copyDone', onCopyDone);
      const place = slot === null ? '' : `SLOT "${slot}" `;
      connection.query(`START_REPLICATION ${place}PHYSICAL ${formatLsn(from)} TIMELINE ${timeline}`);
    },
    handleReadyForQuery: () => end(),
    handleError: end,
    handleCopyData({ chunk }) {
      if (isOver) return;
      try {
        read(chunk);
      } catch (error) {
        end(error);
      }
    },
  });
  return {
    done,
    confirm(lsn) {
      answer(lsn);
      answer(0n);
    },
  };
}

function toDate(micros: bigint): Date {
  return new Date(Number(micros / 1000n) + postgresEpochMs);
}

function toStreamError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const { code } = error as { readonly code?: unknown };
  return new AppError('database', `The write-ahead log cannot be followed: ${describeError(error)}`, {
    cause: error,
    // undefined_file: the segment that was asked for is gone.
    ...(code === '58P01' ? { reason: 'not-found' as const } : {}),
    hint: 'Look at it with: mastodon-backup pitr status.',
  });
}
