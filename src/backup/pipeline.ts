// The pipeline: producer → count, hash and inspect → codec → count and hash → gate → the destinations. It has one way to end
// well. Whatever fails first is the reason, and no destination sees the end of its stream unless everything before it
// succeeded.

import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { toAppError } from '../errors.ts';
import { createFanOut, type Branch } from '../stream/fan-out.ts';
import { createGate } from '../stream/gate.ts';
import { createMeter, type MeterReading } from '../stream/meter.ts';
import { startStallClock } from '../stream/stall-clock.ts';
import type { Producer } from './producer.ts';

/** What went through the pipeline. */
export interface PipelineResult<Found, End> {
  readonly found: Found;
  readonly end: End;
  /** Before compression and encryption. */
  readonly content: MeterReading;
  readonly object: MeterReading;
}

/** A running pipeline. */
export interface Pipeline<Found, End> {
  readonly branches: readonly Branch[];
  /** Whether the last byte has been handed to the destinations. */
  ended(): boolean;
  /**
   * Resolves when everything has passed; rejects with the first reason. When it is the destinations that all failed,
   * it resolves to null: each of them has a reason of its own.
   */
  readonly done: Promise<PipelineResult<Found, End> | null>;
}

type Stage = 'producer' | 'codec' | 'destinations';

/** Connects a producer through the codec to `destinations` branches and starts it. */
export function startPipeline<Found, End>(options: {
  readonly producer: Producer<Found, End>;
  readonly encoders: readonly Duplex[];
  readonly destinations: number;
  readonly stallTimeoutMs: number;
  /** How long the first byte may take beyond the stall time-out, in milliseconds. */
  readonly firstByteGraceMs: number;
  readonly signal: AbortSignal;
  /** Sees every chunk of the object. */
  readonly observeObject: (chunk: Buffer) => void;
  readonly onProgress: (contentBytes: number) => void;
}): Pipeline<Found, End> {
  const { producer, encoders } = options;
  const { inspector, words } = producer;
  let inspected: { readonly found: Found } | undefined;
  const plain = createMeter({
    observe(chunk) {
      inspector.push(chunk);
      clock.moved();
      options.onProgress(plain.bytes());
    },
    onEnd() {
      inspected = { found: inspector.end() };
    },
  });
  const coded = createMeter({ observe: options.observeObject });
  const gate = createGate(() => producer.done);
  const fanOut = createFanOut(options.destinations);

  // An end of bytes is no end of their producer: it may hang before it exits.
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  producer.done.then(settle, settle);
  const startedAt = performance.now();
  const stop = new AbortController();
  const clock = startStallClock({
    timeoutMs: options.stallTimeoutMs,
    waiting: () =>
      !plain.stream.writableNeedDrain &&
      !settled &&
      (plain.bytes() > 0 || performance.now() - startedAt > options.firstByteGraceMs),
    onStall: () => stop.abort(words.stalled(options.stallTimeoutMs)),
  });

  // The stream that fails first is the one that emits first; the others follow with the same or an empty reason.
  let origin: { readonly stage: Stage; readonly error: unknown } | undefined;
  const note = (stage: Stage) => (error: unknown) => {
    origin ??= { stage, error };
  };
  for (const stream of [producer.bytes, plain.stream, gate]) stream.once('error', note('producer'));
  for (const stream of [...encoders, coded.stream]) stream.once('error', note('codec'));
  fanOut.stream.once('error', note('destinations'));

  const signal = AbortSignal.any([options.signal, stop.signal]);
  const done = (async () => {
    try {
      await pipeline([producer.bytes, plain.stream, ...encoders, coded.stream, gate, fanOut.stream], { signal });
      const end = await producer.done;
      if (inspected === undefined) throw new Error('The pipeline ended without an end of what was inspected');
      return { ...inspected, end, content: plain.reading(), object: coded.reading() };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const first = origin ?? { stage: 'producer', error };
      if (first.stage === 'destinations') return null;
      throw first.stage === 'codec' ? codecError(first.error) : await words.failed(first.error, { signal });
    } finally {
      clock[Symbol.dispose]();
    }
  })();
  done.catch(() => undefined);
  return { branches: fanOut.branches, ended: () => fanOut.stream.writableFinished, done };
}

function codecError(error: unknown): Error {
  return toAppError(error, {
    code: 'codec',
    message: 'Compressing or encrypting failed',
    hint: 'Check the memory of this container.',
  });
}
