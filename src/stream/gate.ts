// The gate holds back the end of a stream until every producer is known to have succeeded. An upload completes when its
// body merely ends, and a dead pg_dump ends its output just like a finished one: without the gate a truncated dump
// would be stored as if it were whole.

import { Transform } from 'node:stream';

/** A pass-through whose end waits for `producers`, and which fails when they do. */
export function createGate(producers: () => Promise<unknown>): Transform {
  return new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk, _encoding, callback) {
      callback(null, chunk);
    },
    flush(callback) {
      producers().then(
        () => callback(),
        (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
      );
    },
  });
}
