// Stores what a sink holds, one piece after the other and however long the store is away: a piece that is not stored is not let
// go of. When a segment is whole in the store, its parts go.

import { AppError, describeError, reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StoredWal } from '../snapshots/chain-catalogue.ts';
import { walKey, type StoredForm } from '../snapshots/chain-keys.ts';
import { removeParts } from '../snapshots/chain-law.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { ObjectKey } from '../storage/store.ts';
import { unlessAborted } from '../stream/abortable.ts';
import { backOffMs, pauseOrEnd, type Random } from '../stream/patience.ts';
import type { EncodingForm } from './encoding.ts';
import { encodingsOf, storePiece } from './piece-storing.ts';
import type { WalPiece, WalSink } from './wal-sink.ts';

/** Uploads that run until they are disposed of. */
export interface Uploads extends AsyncDisposable {
  /** Says that the sink has taken something. */
  wake(): void;
  /** Resolves when everything that the sink holds is stored. Rejects with the reason of `signal`. */
  drained(signal: AbortSignal): Promise<void>;
  /** Resolves when the sink holds no whole segment. Rejects with the reason of `signal`. */
  room(signal: AbortSignal): Promise<void>;
  /** Called with each piece that is stored; answers how to leave. */
  onStored(listener: (piece: WalPiece) => void): () => void;
  /** Why nothing is stored at the moment; null: nothing is wrong. */
  problem(): string | null;
  /** Rejects when it cannot go on. */
  readonly failed: Promise<never>;
}

const pauses = { firstMs: 500, longestMs: 30_000 } as const;
const attemptMs = 120_000;

/** Starts them. */
export function startUploads(options: {
  readonly repository: Repository;
  readonly systemIdentifier: string;
  readonly sink: WalSink;
  /** Parts that are stored already. */
  readonly parts: readonly StoredWal[];
  readonly form: EncodingForm;
  readonly uploadEveryMs: number;
  readonly random: Random;
  readonly log: Log;
}): Uploads {
  const { sink, log } = options;
  const stop = new AbortController();
  const listeners = new Set<(piece: WalPiece) => void>();
  const parts = new Map<string, ObjectKey[]>();
  const addPart = (segment: string, key: ObjectKey): void => {
    const known = parts.get(segment);
    if (known === undefined) parts.set(segment, [key]);
    else known.push(key);
  };
  for (const { segment, key } of options.parts) addPart(segment, key);
  let problem: string | null = null;
  let isHurried = 0;
  let waker = Promise.withResolvers<void>();
  const wake = (): void => waker.resolve();
  let changed = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  let lastPartMs = performance.now();

  async function store(piece: WalPiece): Promise<void> {
    const key = await putPatiently(piece, {
      ...options,
      signal: stop.signal,
      onProblem(text) {
        problem = text;
      },
    });
    problem = null;
    sink.stored(piece);
    if (!piece.isWhole) addPart(piece.segment, key);
    for (const listener of listeners) listener(piece);
    const old = parts.get(piece.segment) ?? [];
    if (!piece.isWhole || old.length === 0) return;
    parts.delete(piece.segment);
    try {
      await removeParts(options.repository, { whole: key, parts: old, log, signal: stop.signal });
    } catch (error) {
      // They cost a little until retention takes them.
      log.warn({ err: error, segment: piece.segment }, 'Parts of a segment that is whole could not be removed');
    }
  }

  const loop = (async () => {
    while (!stop.signal.aborted) {
      const dueInMs = lastPartMs + options.uploadEveryMs - performance.now();
      const withPart = isHurried > 0 || dueInMs <= 0;
      const piece = sink.next({ withPart });
      if (withPart) lastPartMs = performance.now();
      if (piece !== null) {
        await store(piece);
        changed.resolve();
        changed = Promise.withResolvers();
        continue;
      }
      // Only a whole segment has to be stored before the next part is due.
      const waitMs = withPart ? options.uploadEveryMs : dueInMs;
      const wait = new AbortController();
      await Promise.race([pauseOrEnd(waitMs, AbortSignal.any([stop.signal, wait.signal])), waker.promise]);
      wait.abort();
      waker = Promise.withResolvers();
    }
  })();
  loop.catch((error: unknown) => {
    if (!stop.signal.aborted) log.error({ err: error }, 'Storing the log ended');
    changed.promise.catch(() => undefined);
    changed.reject(error);
    failed.reject(error);
  });

  async function until(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    isHurried += 1;
    try {
      wake();
      while (!isSo()) await unlessAborted(changed.promise, { signal });
    } finally {
      isHurried -= 1;
    }
  }

  return {
    wake() {
      // A part has its time; only a whole segment does not wait.
      if (sink.next({ withPart: false }) !== null) wake();
    },
    drained: async (signal) => until(() => sink.storedTo() >= sink.receivedTo(), signal),
    room: async (signal) => until(() => sink.next({ withPart: false }) === null, signal),
    onStored(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    problem: () => problem,
    failed: failed.promise,
    async [Symbol.asyncDispose]() {
      stop.abort();
      wake();
      await loop.catch(() => undefined);
    },
  };
}

async function putPatiently(
  piece: WalPiece,
  options: Omit<Parameters<typeof startUploads>[0], 'sink' | 'parts' | 'uploadEveryMs'> & {
    readonly signal: AbortSignal;
    readonly onProblem: (text: string) => void;
  },
): Promise<ObjectKey> {
  const { repository, systemIdentifier, log, signal } = options;
  const { segment } = piece;
  const part = piece.isWhole ? null : { from: piece.from, to: piece.to };
  const place = { prefix: repository.prefix, systemIdentifier };
  const encodings = encodingsOf(piece.bytes, options.form);
  const keyOf = (form: StoredForm): ObjectKey => walKey(place, { segment, part, ...form });
  for (let failures = 1; ; failures += 1) {
    signal.throwIfAborted();
    try {
      return await withLimit(attemptMs, signal, async (limited) =>
        storePiece(repository, { content: piece.bytes, encodings, keyOf, log, signal: limited }),
      );
    } catch (error) {
      signal.throwIfAborted();
      // Where it is to be stored is other log: where we are is asked anew.
      if (reasonOf(error) === 'exists') throw error;
      options.onProblem(describeError(error));
      const waitMs = backOffMs(failures, { ...pauses, random: options.random });
      log.warn({ err: error, segment, waitMs: Math.round(waitMs) }, 'A piece of the log could not be stored yet');
      await pauseOrEnd(waitMs, signal);
    }
  }
}

// A timer of its own for each, cleared: that of AbortSignal.timeout would stay for two minutes after each upload.
async function withLimit<Result>(
  ms: number,
  signal: AbortSignal,
  work: (limited: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const limit = new AbortController();
  const timer = setTimeout(
    () =>
      limit.abort(
        new AppError('timeout', `It was not stored within ${ms / 1_000} s`, {
          hint: 'Check the network to the store.',
        }),
      ),
    ms,
  );
  try {
    return await work(AbortSignal.any([signal, limit.signal]));
  } finally {
    clearTimeout(timer);
  }
}
