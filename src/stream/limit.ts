// A pass-through that ends where too much comes: what a few bytes decompress to has no end of its own, and would fill the memory or
// the disk of whoever waits for it.

import { Transform } from 'node:stream';

/** Passes on at most `bytes` bytes, and fails with what `excess` makes when more come. */
export function createLimit(options: { readonly bytes: number; readonly excess: () => Error }): Transform {
  let seen = 0;
  return new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, callback) {
      seen += chunk.length;
      if (seen > options.bytes) callback(options.excess());
      else callback(null, chunk);
    },
  });
}
