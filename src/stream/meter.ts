// Counts and hashes what passes. Two of these per run (before and after the codec) give the manifest its figures, and
// the progress and stall clocks their bytes; nothing else in the program may hash a backup's bytes on the way in.

import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';

/** What passed through a meter. */
export interface MeterReading {
  readonly bytes: number;
  /** SHA-256 of all bytes, in hexadecimal. */
  readonly sha256: string;
}

/** A pass-through that counts and hashes. */
export interface Meter {
  readonly stream: Transform;
  /** Bytes so far. */
  bytes(): number;
  /** The final reading; throws before the stream has ended. */
  reading(): MeterReading;
}

/**
 * A meter; `observe` sees every chunk before it is passed on and fails the stream by throwing.
 * `onEnd` runs when the last byte has passed and fails the stream the same way.
 */
export function createMeter(
  options: { readonly observe?: (chunk: Buffer) => void; readonly onEnd?: () => void } = {},
): Meter {
  const hash = createHash('sha256');
  let bytes = 0;
  let reading: MeterReading | undefined;
  const stream = new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, callback) {
      try {
        hash.update(chunk);
        bytes += chunk.length;
        options.observe?.(chunk);
      } catch (error) {
        callback(error as Error);
        return;
      }
      callback(null, chunk);
    },
    flush(callback) {
      try {
        options.onEnd?.();
        reading = { bytes, sha256: hash.digest('hex') };
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
  });
  return {
    stream,
    bytes: () => bytes,
    reading() {
      if (reading === undefined) throw new Error('The meter was read before its stream ended');
      return reading;
    },
  };
}
