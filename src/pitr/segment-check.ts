// One segment of the log with all that is stored of it: read, decoded, and held against each other. What is wrong with an object is
// said of that object, and hides nothing of the others.

import { describeError } from '../errors.ts';
import { readAll } from '../snapshots/document-reading.ts';
import type { StoredWal } from '../snapshots/chain-catalogue.ts';
import type { Repository } from '../snapshots/repository.ts';
import { plural } from '../text/table.ts';
import { isOfTheStore, type ObjectProblem } from './object-problem.ts';
import { readPiece } from './wal-staging.ts';

/** What was found of a segment. */
export interface CheckedSegment {
  readonly segment: string;
  /** Of full size; null: none of it could be decoded. */
  readonly content: Buffer | null;
  /** How many of its first bytes are there. */
  readonly bytes: number;
  /** Bytes of objects that were read. */
  readonly objectBytes: number;
  readonly problems: readonly ObjectProblem[];
  /** Listed a moment ago, and gone since. */
  readonly gone: readonly StoredWal[];
}

/** Reads everything that is stored of a segment. Rejects only with the reason of `signal`, and where the store cannot be asked. */
export async function checkSegment(
  pieces: readonly StoredWal[],
  options: {
    readonly repository: Repository;
    /** Null: what is encrypted is read to its end and not decoded. */
    readonly identities: readonly string[] | null;
    readonly segmentBytes: number;
    /** Told what is in each object that is as it should be and no hole is before. */
    readonly onPiece?: ((piece: StoredWal, content: Buffer) => void) | undefined;
    readonly signal: AbortSignal;
  },
): Promise<CheckedSegment> {
  const { segmentBytes, repository, identities, signal } = options;
  const problems: ObjectProblem[] = [];
  const gone: StoredWal[] = [];
  const content = Buffer.alloc(segmentBytes);
  let bytes = 0;
  let objectBytes = 0;
  let isDecoded = false;
  // The whole one first: the parts are held against it.
  for (const piece of pieces.toSorted(
    (a, b) => fromOf(a) - fromOf(b) || toOf(b, segmentBytes) - toOf(a, segmentBytes),
  )) {
    const from = fromOf(piece);
    const to = toOf(piece, segmentBytes);
    try {
      if (piece.encrypted && identities === null) {
        const stored = await readAll(await repository.store.get(piece.key, { signal }), {
          maxBytes: segmentBytes + segmentBytes / 8,
        });
        objectBytes += stored.length;
        if (stored.length !== piece.bytes)
          throw new Error(`${plural(stored.length, 'byte')} came instead of ${piece.bytes}`);
        continue;
      }
      const part = await readPiece(piece, { ...options, identities: identities ?? [] });
      objectBytes += piece.bytes;
      isDecoded = true;
      const both = Math.max(0, Math.min(bytes, to) - from);
      if (!part.subarray(0, both).equals(content.subarray(from, from + both)))
        throw new Error('it says something else than the other objects of its segment');
      if (from > bytes) continue;
      options.onPiece?.(piece, part);
      part.copy(content, from);
      bytes = Math.max(bytes, to);
    } catch (error) {
      signal.throwIfAborted();
      if (isOfTheStore(error)) throw error;
      // A part goes when its segment is whole, and what is old goes with its base: that is no damage.
      if ((await repository.store.head(piece.key, { signal })) === null) gone.push(piece);
      else problems.push({ object: piece.key, problem: describeError(error) });
    }
  }
  return { segment: pieces[0]?.segment ?? '', content: isDecoded ? content : null, bytes, objectBytes, problems, gone };
}

function fromOf(piece: StoredWal): number {
  return piece.kind === 'part' ? piece.from : 0;
}

function toOf(piece: StoredWal, segmentBytes: number): number {
  return piece.kind === 'part' ? piece.to : segmentBytes;
}
