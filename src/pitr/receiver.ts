// Follows the log of a server and stores it: what is stored is confirmed, what is not stays on the server, and neither a bucket
// nor a server that is away for hours makes it hold more than a few segments. It goes on where the store says it was; what
// it cannot have any more is a gap, which is said and not closed.

import { connect, type ConnectionSettings } from '../database/connection.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { readChain } from '../snapshots/chain-catalogue.ts';
import type { Repository } from '../snapshots/repository.ts';
import { backOffMs, pauseOrEnd, type Random } from '../stream/patience.ts';
import { coverage } from './coverage.ts';
import type { EncodingForm } from './encoding.ts';
import { holdLog, readSlot, type SlotHold, type SlotState } from './guard.ts';
import { formatLsn, parseLsn, segmentStart, type Lsn } from './lsn.ts';
import { connectForReplication, identifySystem, type ReplicationClient } from './replication-connection.ts';
import { readPitrSource } from './source.ts';
import { storeHistory } from './timeline.ts';
import { createWalSink, type WalSink } from './wal-sink.ts';
import { startWalStream, type WalStream } from './wal-stream.ts';
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
  readonly now: () => Date;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** How a receiver stands. */
export interface ReceiverState {
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly segmentBytes: number;
  readonly receivedTo: Lsn;
  readonly storedTo: Lsn;
  /** The server's clock when it wrote what was stored last, or said that there is no more; null: not known yet. */
  readonly coveredAt: Date | null;
  /** How far the server is; null: not known. */
  readonly endOfLog: Lsn | null;
  readonly slot: SlotState | null;
  readonly hold: SlotHold | null;
  /** Why it does not go on; null: it does. */
  readonly problem: string | null;
}

/** More than this is not held: two whole segments and the one that fills. */
const segmentsHeld = 3;
const stateEveryMs = 5_000;
const problemEveryMs = 1_000;
const pauses = { firstMs: 500, longestMs: 30_000 } as const;
/** How long the last part may take when we are told to end; what is not stored then, the server still has. */
const goodbyeMs = 4_000;

interface Position {
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly segmentBytes: number;
  readonly sink: WalSink;
  readonly uploads: Uploads;
}

/** Runs until `signal` aborts. Rejects only with what no waiting mends. */
export async function runReceiver(options: ReceiverOptions): Promise<void> {
  const { log, signal } = options;
  const report = createReporter(options);
  let position: Position | null = null;
  let isAfterGap = false;
  const leave = async (): Promise<void> => {
    const left = position;
    position = null;
    await left?.uploads[Symbol.asyncDispose]();
  };
  const timer = setInterval(() => {
    const problem = position?.uploads.problem() ?? null;
    if (problem !== null) report({ position, problem });
  }, problemEveryMs);
  try {
    for (let failures = 0; !signal.aborted;) {
      try {
        position = await runSession({ ...options, isAfterGap, report }, position, (found) => {
          position = found;
          isAfterGap = false;
          failures = 0;
        });
        // Out of the session: a server that stops does not wait for us while we wait for the store.
        await position.uploads.room(signal);
      } catch (error) {
        if (signal.aborted) break;
        failures += 1;
        const reason = error instanceof AppError ? error.reason : undefined;
        if (reason !== undefined && lasting.has(reason)) throw error;
        if (reason === 'not-found') {
          log.error({ err: error }, 'The server has forgotten log that is not stored: there is a gap now');
          isAfterGap = true;
        }
        report({ position, problem: describeError(error) });
        if (reason === 'not-found' || reason === 'exists' || failures === foundAnewAfter) {
          // What is held may be all that is left of it: it is stored before anything is asked again.
          if (reason !== 'exists') await position?.uploads.drained(signal);
          await leave();
        }
        const waitMs = backOffMs(failures, { ...pauses, random: options.random });
        log.warn({ err: error, waitMs: Math.round(waitMs) }, 'The write-ahead log is not followed at the moment');
        await pauseOrEnd(waitMs, signal);
      }
    }
  } finally {
    clearInterval(timer);
    await position?.uploads.drained(AbortSignal.timeout(goodbyeMs)).catch((error: unknown) => {
      log.warn({ err: error }, 'The last seconds of the log are not stored; the server keeps them');
    });
    await leave();
  }
}

/** After so many failures in a row the store is asked again where it was. */
const foundAnewAfter = 5;

async function runSession(
  options: ReceiverOptions & { readonly isAfterGap: boolean; readonly report: Reporter },
  before: Position | null,
  onFollowing: (position: Position) => void,
): Promise<Position> {
  await using session = await openSession(options, before);
  await follow(session, { ...options, onFollowing: () => onFollowing(session.position) });
  return session.position;
}

/** Somebody has to do something first. */
const lasting: ReadonlySet<string> = new Set(['unsupported', 'access-denied', 'misconfigured']);

interface Session extends AsyncDisposable {
  readonly position: Position;
  readonly client: ReplicationClient;
  readonly hold: SlotHold;
  readonly readSlot: () => Promise<SlotState | null>;
}

async function openSession(
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
  const frame = { timeline, segmentBytes };
  const sink = createWalSink(frame, { from: segmentStart(storedTo, segmentBytes), storedTo });
  const parts = chain.wal.flatMap((piece) => (piece.kind === 'part' ? [piece] : []));
  const uploads = startUploads({ ...options, systemIdentifier, sink, parts });
  return { systemIdentifier, timeline, segmentBytes, sink, uploads };
}

async function follow(
  session: Session,
  {
    report,
    onFollowing,
    signal,
    log,
  }: ReceiverOptions & { readonly report: Reporter; readonly onFollowing: () => void },
): Promise<void> {
  const { position, client, hold } = session;
  const { sink, uploads, timeline, segmentBytes } = position;
  const { promise: full, resolve: onFull } = Promise.withResolvers<'full'>();
  const { promise: over, resolve: onOver } = Promise.withResolvers<'over'>();
  let endOfLog: Lsn | null = null;
  let coveredAt: Date | null = null;
  let slot = await session.readSlot();
  const tell = (): void => report({ position, endOfLog, coveredAt, slot, hold, problem: uploads.problem() });
  const stream: WalStream = startWalStream(client, {
    from: sink.receivedTo(),
    timeline,
    slot: hold.kind === 'slot' ? hold.name : null,
    listener: {
      onWal(_lsn, bytes) {
        sink.push(bytes);
        // Not paused: a server that stops waits until we have taken everything. Left, and taken up where we were.
        if (sink.heldBytes() >= segmentsHeld * segmentBytes) onFull('full');
        uploads.wake();
      },
      onServer({ endOfLog: end, at }) {
        if (endOfLog === null) onFollowing();
        endOfLog = end;
        sink.clock(at);
        if (sink.storedTo() >= end) coveredAt = at;
      },
    },
  });
  const unsubscribe = uploads.onStored((piece) => {
    stream.confirm(sink.storedTo());
    if (piece.at !== null && (coveredAt === null || piece.at > coveredAt)) coveredAt = piece.at;
    tell();
  });
  // What was stored while we were away.
  stream.confirm(sink.storedTo());
  const look = async (): Promise<void> => {
    slot = await session.readSlot();
    tell();
  };
  const timer = setInterval(
    () => void look().catch((error: unknown) => log.debug({ err: error }, 'The slot cannot be looked at')),
    stateEveryMs,
  );
  const abort = (): void => onOver('over');
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    tell();
    const ended = await Promise.race([stream.done.then(() => 'ended' as const), full, over, uploads.failed]);
    if (ended === 'ended')
      throw new AppError('database', 'The server has ended the stream of its log', {
        reason: 'unreachable',
        hint: 'Wait until it has started again.',
      });
  } finally {
    clearInterval(timer);
    unsubscribe();
    signal.removeEventListener('abort', abort);
  }
}

type Reporter = (
  state: Partial<Omit<ReceiverState, 'receivedTo' | 'storedTo'>> & { readonly position: Position | null },
) => void;

// What is not said anew is as it was.
function createReporter({ onState }: Pick<ReceiverOptions, 'onState'>): Reporter {
  let known: ReceiverState | null = null;
  return ({ position, ...news }) => {
    if (position === null && known === null) return;
    const { sink, uploads: _, ...place } = position ?? { ...known, sink: null, uploads: null };
    known = {
      ...empty,
      ...known,
      ...place,
      ...news,
      receivedTo: sink?.receivedTo() ?? known?.receivedTo ?? 0n,
      storedTo: sink?.storedTo() ?? known?.storedTo ?? 0n,
    };
    onState(known);
  };
}

const empty: ReceiverState = {
  systemIdentifier: '',
  timeline: 1,
  segmentBytes: 0,
  receivedTo: 0n,
  storedTo: 0n,
  coveredAt: null,
  endOfLog: null,
  slot: null,
  hold: null,
  problem: null,
};
