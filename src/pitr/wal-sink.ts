// What comes of the log on its way into the store: one segment at a time, whole ones as soon as they are full, and of the last
// one whatever is new every few seconds. It holds a bounded number of bytes; what does not fit is not taken, and the server
// keeps it.

import { segmentName, segmentStart, type Lsn, type SegmentFrame } from './lsn.ts';

/** Bytes of one segment that are to be stored. */
export interface WalPiece {
  readonly segment: string;
  /** Where they begin and end in the segment. */
  readonly from: number;
  readonly to: number;
  readonly isWhole: boolean;
  readonly bytes: Buffer;
  /** The server's clock when the last of them came; null: it has not said. */
  readonly at: Date | null;
}

/** A sink; `push` and `next` are for one reader and one writer. */
export interface WalSink {
  /** Takes bytes that follow those before. */
  push(bytes: Buffer): void;
  /** The server's clock when everything so far had come. */
  clock(at: Date): void;
  /** What is to be stored next; null: nothing. The oldest first; of a segment that is not full only when `withPart`. */
  next(options: { readonly withPart: boolean }): WalPiece | null;
  /** Says that a piece is stored. */
  stored(piece: WalPiece): void;
  /** Everything before is stored. */
  storedTo(): Lsn;
  receivedTo(): Lsn;
  /** Bytes held in memory. */
  heldBytes(): number;
}

/** Buffers that wait for the next segment: one takes the place of the other for as long as the store keeps up. */
const sparesKept = 1;
const nothing = Buffer.alloc(0);

interface Held {
  readonly start: Lsn;
  /** As large as a segment; null: nothing has come of it yet. */
  bytes: Buffer | null;
  filled: number;
  /** Up to here it is stored in parts. */
  kept: number;
  at: Date | null;
}

/** A sink that begins at the start of a segment, of which the bytes before `storedTo` are in the store already. */
export function createWalSink(
  frame: SegmentFrame,
  { from, storedTo }: { readonly from: Lsn; readonly storedTo: Lsn },
): WalSink {
  const { segmentBytes } = frame;
  if (segmentStart(from, segmentBytes) !== from) throw new Error('A sink begins where a segment does');
  const full: Held[] = [];
  const spare: Buffer[] = [];
  let kept = storedTo;
  const open = (start: Lsn): Held => ({
    start,
    bytes: null,
    filled: 0,
    kept: kept > start ? Number(kept - start) : 0,
    at: null,
  });
  let current = open(from);
  const piece = (held: Held, isWhole: boolean): WalPiece => ({
    segment: segmentName(held.start, frame),
    from: isWhole ? 0 : held.kept,
    to: held.filled,
    isWhole,
    bytes: (held.bytes ?? nothing).subarray(isWhole ? 0 : held.kept, held.filled),
    at: held.at,
  });
  return {
    push(bytes) {
      for (let at = 0; at < bytes.length;) {
        current.bytes ??= spare.pop() ?? Buffer.allocUnsafeSlow(segmentBytes);
        const taken = bytes.copy(current.bytes, current.filled, at);
        at += taken;
        current.filled += taken;
        if (current.filled < segmentBytes) continue;
        full.push(current);
        current = open(current.start + BigInt(segmentBytes));
      }
    },
    clock(at) {
      current.at = at;
      for (const held of full) held.at ??= at;
    },
    next({ withPart }) {
      const [oldest] = full;
      if (oldest !== undefined) return piece(oldest, true);
      return withPart && current.filled > current.kept ? piece(current, false) : null;
    },
    stored(done) {
      const [oldest] = full;
      if (done.isWhole) {
        if (oldest === undefined || segmentName(oldest.start, frame) !== done.segment)
          throw new Error(`${done.segment} is not what was to be stored`);
        full.shift();
        if (oldest.bytes !== null && spare.length < sparesKept) spare.push(oldest.bytes);
        const end = oldest.start + BigInt(segmentBytes);
        if (end > kept) kept = end;
        return;
      }
      // It may have become full meanwhile.
      const held = [...full, current].find(({ start }) => segmentName(start, frame) === done.segment);
      if (held === undefined) throw new Error(`${done.segment} is not held any more`);
      held.kept = Math.max(held.kept, done.to);
      const end = held.start + BigInt(held.kept);
      if (end > kept) kept = end;
    },
    storedTo: () => kept,
    receivedTo: () => current.start + BigInt(current.filled),
    heldBytes: () => full.length * segmentBytes + current.filled,
  };
}
