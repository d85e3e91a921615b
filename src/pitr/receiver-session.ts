// A session of the receiver with a server: who answers, how the log is held for us there, and where the store says that we
// were. What it cannot have any more is a gap: the chain goes on behind it, and is said to begin there.

import { connect, type ConnectionSettings } from '../database/connection.ts';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { readChain } from '../snapshots/chain-catalogue.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { Random } from '../stream/patience.ts';
import { coverage } from './coverage.ts';
import type { EncodingForm } from './encoding.ts';
import { holdLog, readSlot, type SlotHold, type SlotState } from './guard.ts';
import { dropFalseTail } from './false-tail.ts';
import { formatLsn, parseLsn, segmentStart, type Lsn } from './lsn.ts';
import type { ReceiverState } from './receiver-state.ts';
import { connectForReplication, identifySystem, type ReplicationClient } from './replication-connection.ts';
import { readPitrSource } from './source.ts';
import { chooseStart, type Remembered } from './start.ts';
import { storeHistory } from './timeline.ts';
import { createWalSink, type WalSink } from './wal-sink.ts';
import { startUploads, type Uploads } from './wal-uploads.ts';

/** What a receiver needs. */
export interface ReceiverOptions {
  readonly connection: ConnectionSettings;
  readonly repository: Repository;
  readonly instance: string;
  readonly form: EncodingForm;
  /** Of our own keys, to look at what is stored; none: what is encrypted cannot be looked at. */
  readonly identities: readonly string[];
  /** What this machine remembers of how far the log is stored; null: nothing. */
  readonly recall: () => Promise<Remembered | null>;
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
  /** What keeps the timeline's history from being stored; null: nothing. */
  readonly historyProblem: string | null;
  readonly readSlot: () => Promise<SlotState | null>;
}

/** What a session is opened with. */
export type SessionOptions = ReceiverOptions & {
  /** How often in a row the server had forgotten where we were to go on. */
  readonly gaps: number;
  /** Where we were when we left the last position; null: we were nowhere yet. */
  readonly left: Remembered | null;
};

/** Opens one; `before` is where the receiver was. */
export async function openSession(options: SessionOptions, before: Position | null): Promise<Session> {
  const { connection, instance, log, signal } = options;
  await using stack = new AsyncDisposableStack();
  const control = stack.use(await connect(connection, signal));
  const source = await readPitrSource(control);
  const client = stack.use(await connectForReplication(connection, signal));
  const identity = await identifySystem(client, connection);
  // Before one is made: a new one has been told nothing.
  const slot = await readSlot(control, instance);
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
  const history = identity.timeline > 1 ? await storeHistory(client, { ...options, ...identity }) : null;
  const position =
    before !== null && isSame
      ? before
      : await findPosition(options, { ...identity, ...source, confirmed: confirmedTo(slot, history?.beginsAt ?? 0n) });
  const owned = stack.move();
  return {
    position,
    client,
    hold,
    historyProblem: history?.problem ?? null,
    readSlot: async () => readSlot(control, instance),
    [Symbol.asyncDispose]: async () => owned.disposeAsync(),
  };
}

// On a new timeline nothing is to be had from before it begins.
function confirmedTo(slot: SlotState | null, beginsAt: Lsn): Lsn | null {
  const kept = slot === null || slot.status === 'lost' ? null : slot.keptFrom;
  if (kept === null) return null;
  return kept > beginsAt ? kept : beginsAt;
}

// Where it is known to be stored to, from the start of that segment: of a segment the whole is stored too.
async function findPosition(
  options: SessionOptions,
  server: {
    readonly systemIdentifier: string;
    readonly timeline: number;
    readonly segmentBytes: number;
    readonly flushedTo: string;
    readonly confirmed: Lsn | null;
  },
): Promise<Position> {
  const { repository, log, signal } = options;
  const { systemIdentifier, timeline, segmentBytes } = server;
  const chain = await readChain(repository, { systemIdentifier, signal });
  const frame = { timeline, segmentBytes };
  const { wal, isVerified, isGone } = await dropFalseTail(chain.wal, { ...options, ...frame });
  if (isGone)
    throw new AppError('store', 'The newest of the stored log went while it was looked at', {
      hint: 'Nothing has to be done: it is looked at again.',
    });
  const flushedTo = parseLsn(server.flushedTo);
  const told = options.left ?? (await options.recall());
  const isOfIt = told?.systemIdentifier === systemIdentifier && told.timeline === timeline;
  const ranges = coverage(wal, frame);
  const start = chooseStart({ ...server, ...options, ranges, isVerified, remembered: isOfIt ? told : null, flushedTo });
  const { storedTo, followsFrom } = start;
  if (start.isAhead)
    log.error(
      { stored: formatLsn(ranges.at(-1)?.to ?? storedTo), server: formatLsn(flushedTo) },
      'The server is behind what is stored of it: it was set back without a timeline of its own',
    );
  const sink = createWalSink(frame, { from: segmentStart(storedTo, segmentBytes), storedTo });
  const parts = wal.flatMap((piece) => (piece.kind === 'part' ? [piece] : []));
  const uploads = startUploads({ ...options, systemIdentifier, sink, parts });
  return { systemIdentifier, timeline, segmentBytes, followsFrom, sink, uploads };
}
