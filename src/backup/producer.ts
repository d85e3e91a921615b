// What can be backed up: bytes, and whoever makes them. The pipeline knows nothing else of it, so that a dump and whatever is
// stored beside it one day go the same way: an end of bytes alone is never taken for success.

import type { Readable } from 'node:stream';
import type { AppError } from '../errors.ts';

/** A running producer: `Found` is what was seen in its bytes, `End` what it says when it has ended well. */
export interface Producer<Found, End> {
  readonly bytes: Readable;
  /** Resolves when whatever makes the bytes has ended well; rejects with AppError. */
  readonly done: Promise<End>;
  /** Looks at the bytes as they pass; `end` throws when they are not whole. */
  readonly inspector: { push(chunk: Buffer): void; end(): Found };
  readonly words: ProducerWords;
}

/** How its failures are told. */
export interface ProducerWords {
  /** It made no byte for so long, in milliseconds. */
  stalled(timeoutMs: number): AppError;
  /** Reading it failed, or its inspector refused the bytes, after their end or before. Rejects with the reason of `signal`. */
  failed(error: unknown, options: { readonly signal: AbortSignal }): Promise<AppError>;
}
