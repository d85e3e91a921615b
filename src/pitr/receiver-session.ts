// A session of the receiver with a server: who answers, how the log is held for us there, and where the store says that we
// were. What it cannot have any more is a gap: the chain goes on behind it, and is said to begin there.

import { connect, type ConnectionSettings } from '../database/connection.ts';
import type { Log } from '../log.ts';
import { readChain } from '../snapshots/chain-catalogue.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { Random } from '../stream/patience.ts';
import { coverage } from './coverage.ts';
import type { EncodingForm } from './encoding.ts';
import { holdLog, readSlot, type SlotHold, type SlotState } from './guard.ts';
import { formatLsn, parseLsn, segmentStart, type Lsn } from './lsn.ts';
import type { ReceiverState } from './receiver-state.ts';
import { connectForReplication, identifySystem, type ReplicationClient } from './replication-connection.ts';
import { readPitrSource } from './source.ts';
import { storeHistory } from './timeline.ts';
import { createWalSink, type WalSink } from './wal-sink.ts';
import { startUploads, type Uploads } from './wal-uploads.ts';

/** What a receiver needs. */
export interface ReceiverOptions {
  readonly connection: ConnectionSettings;
  readonly repository: Repository;
  readonly instance: string;
  readonly form: EncodingForm;
  readonly uploadEveryMs: number;
  readonly slotLimitBytes: number;
  /** Told how it stands, after each upload and at least every few seconds. Never rejects. */
  readonly onState: (state: ReceiverState) => void;
  /** Told why it has not followed anything yet, each time that it tried. Never rejects. */
  readonly onObstacle: (problem: string) => void;
  readonly now: () => Date;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Where a receiver is. */
export interface Position {
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly segmentBytes: number;
  /** From here on there is no hole. */
  readonly followsFrom: Lsn;
  readonly sink: WalSink;
  readonly uploads: Uploads;
}

/** A server that answers. */
export interface Session extends AsyncDisposable {
  readonly position: Position;
  readonly client: ReplicationClient;
  readonly hold: SlotHold;
  readonly readSlot: () => Promise<SlotState | null>;
}

/** Opens one; `before` is where the receiver was. */
export async function openSession(
  options: ReceiverOptions & { readonly isAfterGap: boolean },
  before: Position | null,
): Promise<Session> {
  const { connection, instance, log, signal } = options;
  await using stack = new AsyncDisposableStack();
  const control = stack.use(await connect(connection, signal));
  const source = await readPitrSource(control);
  const client = stack.use(await connectForReplication(connection, signal));
  const identity = await identifySystem(client, connection);
  const hold = await holdLog(control, { instance, limitBytes: options.slotLimitBytes, log });
  const isSame = before?.systemIdentifier === identity.systemIdentifier && before.timeline === identity.timeline;
  if (before !== null && !isSame) {
    log.warn(
      { before: before.systemIdentifier, now: identity.systemIdentifier, timeline: identity.timeline },
      'Another server or timeline answers: a chain of its own begins, with a base of its own',
    );
    await before.uploads.drained(signal);
    await before.uploads[Symbol.asyncDispose]();
  }
  if (identity.timeline > 1) await storeHistory(client, { ...options, ...identity });
  const position = before !== null && isSame ? before : await findPosition(options, { ...identity, ...source });
  const owned = stack.move();
  return {
    position,
    client,
    hold,
    readSlot: async () => readSlot(control, instance),
    [Symbol.asyncDispose]: async () => owned.disposeAsync(),
  };
}

// Where the store says that it was, from the start of that segment: of a segment the whole is stored too.
async function findPosition(
  options: ReceiverOptions & { readonly isAfterGap: boolean },
  server: {
    readonly systemIdentifier: string;
    readonly timeline: number;
    readonly segmentBytes: number;
    readonly flushedTo: string;
  },
): Promise<Position> {
  const { repository, log, signal } = options;
  const { systemIdentifier, timeline, segmentBytes } = server;
  const chain = await readChain(repository, { systemIdentifier, signal });
  const flushedTo = parseLsn(server.flushedTo);
  const last = coverage(chain.wal, { timeline, segmentBytes }).at(-1);
  const isAhead = last !== undefined && last.to > flushedTo + BigInt(segmentBytes);
  if (isAhead)
    log.error(
      { stored: formatLsn(last.to), server: formatLsn(flushedTo) },
      'The server is behind what is stored of it: it was set back without a timeline of its own',
    );
  const isNew = last === undefined || isAhead || options.isAfterGap;
  const storedTo = isNew ? segmentStart(flushedTo, segmentBytes) : last.to;
  const followsFrom = isNew ? storedTo : last.from;
  const frame = { timeline, segmentBytes };
  const sink = createWalSink(frame, { from: segmentStart(storedTo, segmentBytes), storedTo });
  const parts = chain.wal.flatMap((piece) => (piece.kind === 'part' ? [piece] : []));
  const uploads = startUploads({ ...options, systemIdentifier, sink, parts });
  return { systemIdentifier, timeline, segmentBytes, followsFrom, sink, uploads };
}
