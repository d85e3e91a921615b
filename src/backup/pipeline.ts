// The pipeline: pg_dump → count, hash and read → codec → count and hash → gate → the destinations. It has one way to end
// well. Whatever fails first is the reason, and no destination sees the end of its stream unless everything before it
// succeeded.

import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ArchiveError, createArchiveReader, type ArchiveSummary } from '../database/archive-reader.ts';
import type { Dump } from '../database/dump.ts';
import { AppError, describeError, toAppError } from '../errors.ts';
import { unlessAborted } from '../stream/abortable.ts';
import { createFanOut, type Branch } from '../stream/fan-out.ts';
import { createGate } from '../stream/gate.ts';
import { createMeter, type MeterReading } from '../stream/meter.ts';
import { startStallClock } from '../stream/stall-clock.ts';
import { formatSpan } from '../text/format.ts';

/** What went through the pipeline. */
export interface PipelineResult {
  readonly archive: ArchiveSummary;
  readonly dump: MeterReading;
  readonly object: MeterReading;
  readonly dataAt: Date;
}

/** A running pipeline. */
export interface Pipeline {
  readonly branches: readonly Branch[];
  /** Whether the last byte has been handed to the destinations. */
  ended(): boolean;
  /**
   * Resolves when the whole dump has passed; rejects with the first reason. When it is the destinations that all failed,
   * it resolves to null: each of them has a reason of its own.
   */
  readonly done: Promise<PipelineResult | null>;
}

/** Connects a dump through the codec to `destinations` branches and starts it. */
export function startPipeline(options: {
  readonly dump: Dump;
  readonly encoders: readonly Duplex[];
  readonly destinations: number;
  readonly stallTimeoutMs: number;
  /** How long the first byte may take beyond the stall time-out: the dump may wait for locks. */
  readonly firstByteGraceMs: number;
  readonly signal: AbortSignal;
  /** Sees every chunk of the object. */
  readonly observeObject: (chunk: Buffer) => void;
  readonly onProgress: (dumpBytes: number) => void;
}): Pipeline {
  const { dump, encoders } = options;
  const archive = createArchiveReader();
  let summary: ArchiveSummary | undefined;
  const plain = createMeter({
    observe(chunk) {
      archive.push(chunk);
      clock.moved();
      options.onProgress(plain.bytes());
    },
    onEnd() {
      summary = archive.end();
    },
  });
  const coded = createMeter({ observe: options.observeObject });
  const gate = createGate(() => dump.done);
  const fanOut = createFanOut(options.destinations);

  // An end of output is no end of pg_dump: it may hang before it exits.
  let dumpSettled = false;
  const settle = (): void => {
    dumpSettled = true;
  };
  dump.done.then(settle, settle);
  const startedAt = performance.now();
  const stop = new AbortController();
  const clock = startStallClock({
    timeoutMs: options.stallTimeoutMs,
    waiting: () =>
      !plain.stream.writableNeedDrain &&
      !dumpSettled &&
      (plain.bytes() > 0 || performance.now() - startedAt > options.firstByteGraceMs),
    onStall: () =>
      stop.abort(
        new AppError('stalled', `The dump stood still for ${formatSpan(options.stallTimeoutMs)}`, {
          hint: 'Look at pg_stat_activity and the disk of the database; BACKUP_STALL_TIMEOUT says how long to wait.',
        }),
      ),
  });

  // The stream that fails first is the one that emits first; the others follow with the same or an empty reason.
  let origin: { readonly stage: 'dump' | 'codec' | 'destinations'; readonly error: unknown } | undefined;
  const note = (stage: 'dump' | 'codec' | 'destinations') => (error: unknown) => {
    origin ??= { stage, error };
  };
  for (const stream of [dump.bytes, plain.stream, gate]) stream.once('error', note('dump'));
  for (const stream of [...encoders, coded.stream]) stream.once('error', note('codec'));
  fanOut.stream.once('error', note('destinations'));

  const signal = AbortSignal.any([options.signal, stop.signal]);
  const done = (async () => {
    try {
      await pipeline([dump.bytes, plain.stream, ...encoders, coded.stream, gate, fanOut.stream], { signal });
      const { dataAt } = await dump.done;
      if (summary === undefined) throw new Error('The pipeline ended without a summary of the archive');
      return { archive: summary, dump: plain.reading(), object: coded.reading(), dataAt };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const first = origin ?? { stage: 'dump' as const, error };
      if (first.stage === 'destinations') return null;
      throw await explain(first.error, { stage: first.stage, dump, signal });
    } finally {
      clock[Symbol.dispose]();
    }
  })();
  done.catch(() => undefined);
  return { branches: fanOut.branches, ended: () => fanOut.stream.writableFinished, done };
}

async function explain(
  error: unknown,
  { stage, dump, signal }: { readonly stage: 'dump' | 'codec'; readonly dump: Dump; readonly signal: AbortSignal },
): Promise<AppError> {
  if (error instanceof ArchiveError) {
    const hint = 'Run the backup again; if it stays like that, check the client with BACKUP_PG_BIN.';
    if (!dump.bytes.readableEnded) {
      return new AppError('dump', `What pg_dump writes is no archive: ${describeError(error)}`, { cause: error, hint });
    }
    // An archive that ends early is what a dead pg_dump leaves; its own words say why.
    await unlessAborted(dump.done, { signal });
    return new AppError('dump', `pg_dump exited well, but its archive is not whole: ${describeError(error)}`, {
      cause: error,
      hint,
    });
  }
  return stage === 'codec'
    ? toAppError(error, {
        code: 'codec',
        message: 'Compressing or encrypting failed',
        hint: 'Check the memory of this container.',
      })
    : toAppError(error, { code: 'dump', message: 'The dump failed' });
}
