// Follows the log of a server and stores it: what is stored is confirmed, what is not stays on the server, and neither a bucket
// nor a server that is away for hours makes it hold more than a few segments. It goes on where the store says it was; what
// it cannot have any more is a gap, which is said and not closed.

import { AppError, describeError } from '../errors.ts';
import { backOffMs, pauseOrEnd } from '../stream/patience.ts';
import type { Lsn } from './lsn.ts';
import {
  openSession,
  type Position,
  type ReceiverOptions,
  type Session,
  type SessionOptions,
} from './receiver-session.ts';
import { createReporter, type Reporter } from './receiver-state.ts';
import type { Remembered } from './start.ts';
import { startWalStream, type WalStream } from './wal-stream.ts';

/** More than this is not held: a whole segment and half of the one that fills. Twice as much stores nothing sooner. */
const segmentsHeld = 1.5;
const stateEveryMs = 5_000;
const problemEveryMs = 1_000;
const pauses = { firstMs: 500, longestMs: 30_000 } as const;
/** How long the last part may take when we are told to end; what is not stored then, the server still has. */
const goodbyeMs = 4_000;

/** Runs until `signal` aborts. Rejects only with what no waiting mends. */
export async function runReceiver(options: ReceiverOptions): Promise<void> {
  const { log, signal } = options;
  const report = createReporter(options);
  let position: Position | null = null;
  let gaps = 0;
  let left: Remembered | null = null;
  const leave = async (): Promise<void> => {
    const leaving = position;
    position = null;
    await leaving?.uploads[Symbol.asyncDispose]();
    if (leaving === null) return;
    // Not what its uploads hold.
    const { systemIdentifier, timeline, followsFrom, sink } = leaving;
    left = { systemIdentifier, timeline, followsFrom, storedTo: sink.storedTo() };
  };
  const timer = setInterval(() => {
    const problem = position?.uploads.problem() ?? null;
    if (problem !== null) report({ position, problem });
  }, problemEveryMs);
  try {
    for (let failures = 0; !signal.aborted;) {
      try {
        position = await runSession({ ...options, gaps, left, report }, position, (found) => {
          position = found;
          gaps = 0;
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
          gaps += 1;
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
    // What is remembered is where the next one goes on.
    report({ position });
    await leave();
  }
}

/** After so many failures in a row the store is asked again where it was. */
const foundAnewAfter = 5;

async function runSession(
  options: SessionOptions & { readonly report: Reporter },
  before: Position | null,
  onFollowing: (position: Position) => void,
): Promise<Position> {
  await using session = await openSession(options, before);
  const { position } = session;
  let isTaken = position === before;
  try {
    await follow(session, {
      ...options,
      onFollowing() {
        isTaken = true;
        onFollowing(position);
      },
    });
  } catch (error) {
    // A server that never began to stream, such as one whose slot another has: nobody else knows of what was begun for it.
    if (!isTaken) await position.uploads[Symbol.asyncDispose]();
    throw error;
  }
  return position;
}

/** Somebody has to do something first. */
const lasting: ReadonlySet<string> = new Set(['unsupported', 'access-denied', 'misconfigured']);

async function follow(
  session: Session,
  {
    report,
    onFollowing,
    signal,
    log,
  }: ReceiverOptions & { readonly report: Reporter; readonly onFollowing: () => void },
): Promise<void> {
  const { position, client, hold, historyProblem } = session;
  const { sink, uploads, timeline, segmentBytes } = position;
  const { promise: full, resolve: onFull } = Promise.withResolvers<'full'>();
  const { promise: over, resolve: onOver } = Promise.withResolvers<'over'>();
  let endOfLog: Lsn | null = null;
  let coveredAt: Date | null = null;
  let slot = await session.readSlot();
  const tell = (): void =>
    report({ position, endOfLog, coveredAt, slot, hold, historyProblem, problem: uploads.problem() });
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
        // A keepalive says how far it has sent, which is less while there is more to come.
        if (endOfLog === null || end > endOfLog) endOfLog = end;
        sink.clock(at);
        if (sink.storedTo() >= endOfLog) coveredAt = at;
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
