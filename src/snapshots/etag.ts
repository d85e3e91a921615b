// Recomputes the ETag a store should answer: the MD5 of a single object, or of the parts' MD5s with the number of parts
// (S3 "Checking object integrity", the same on R2). It tells a stored object from another one without reading it back.

import { createHash, type Hash } from 'node:crypto';

/** Computes an ETag while the object's bytes pass. */
export interface EtagMeter {
  push(chunk: Buffer): void;
  /** The ETag of everything pushed, without quotes. */
  etag(): string;
}

/** An ETag meter for parts of `partBytes` bytes. */
export function createEtagMeter(partBytes: number): EtagMeter {
  const parts: Buffer[] = [];
  let current: Hash = createHash('md5');
  let filled = 0;
  return {
    push(chunk) {
      let at = 0;
      while (at < chunk.length) {
        // A full part is closed only when more comes: an object of exactly one part is stored by a single request.
        if (filled === partBytes) {
          parts.push(current.digest());
          current = createHash('md5');
          filled = 0;
        }
        const piece = chunk.subarray(at, at + partBytes - filled);
        current.update(piece);
        filled += piece.length;
        at += piece.length;
      }
    },
    etag() {
      const last = current.copy().digest();
      if (parts.length === 0) return last.toString('hex');
      const all = Buffer.concat([...parts, last]);
      return `${createHash('md5').update(all).digest('hex')}-${parts.length + 1}`;
    },
  };
}

/** Whether an ETag has the form of an MD5, with or without a number of parts. */
export function isMd5Etag(etag: string): boolean {
  return /^[0-9a-f]{32}(-\d+)?$/.test(etag);
}
