// A cursor over bytes that arrive in chunks: a reader asks for so many bytes and waits when they are not there yet.
// It keeps the archive reader free of buffering, and copies only what crosses a chunk's edge.

/** Bytes that arrive in chunks and are taken in pieces. */
export interface ByteQueue {
  push(chunk: Buffer): void;
  /** Bytes not taken yet. */
  available(): number;
  /** Takes exactly `count` bytes, or undefined when there are not that many yet. */
  take(count: number): Buffer | undefined;
  /** Takes between 1 and `most` bytes without copying, or undefined when there are none. */
  takeSome(most: number): Buffer | undefined;
  /** Bytes taken so far, for error messages. */
  position(): number;
}

/** An empty queue. */
export function createByteQueue(): ByteQueue {
  let chunks: Buffer[] = [];
  let head = 0;
  let offset = 0;
  let available = 0;
  let position = 0;

  function takeSome(most: number): Buffer | undefined {
    const first = chunks[head];
    if (first === undefined) return undefined;
    const count = Math.min(most, first.length - offset);
    const piece = first.subarray(offset, offset + count);
    offset += count;
    available -= count;
    position += count;
    if (offset === first.length) {
      head += 1;
      offset = 0;
      if (head === chunks.length) {
        chunks = [];
        head = 0;
      }
    }
    return piece;
  }

  return {
    push(chunk) {
      if (chunk.length === 0) return;
      chunks.push(chunk);
      available += chunk.length;
    },
    available: () => available,
    take(count) {
      if (available < count) return undefined;
      if (count === 0) return Buffer.alloc(0);
      const first = takeSome(count);
      if (first !== undefined && first.length === count) return first;
      const pieces: Buffer[] = first === undefined ? [] : [first];
      let missing = count - (first?.length ?? 0);
      while (missing > 0) {
        const piece = takeSome(missing);
        if (piece === undefined) break;
        pieces.push(piece);
        missing -= piece.length;
      }
      return Buffer.concat(pieces, count);
    },
    takeSome,
    position: () => position,
  };
}
