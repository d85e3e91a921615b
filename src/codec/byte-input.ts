// Bytes that come in pieces, taken in the pieces that a format is made of.

/** What is yet to be read. */
export interface ByteInput {
  /** Exactly so many bytes; rejects when there are fewer. */
  take(bytes: number): Promise<Buffer>;
  /** Whatever is left. */
  rest(): AsyncGenerator<Buffer>;
  ended(): Promise<boolean>;
}

/** Reads from `source`; `early` makes the error for an end before what is taken. */
export function createByteInput(source: AsyncIterable<Buffer>, early: () => Error): ByteInput {
  const iterator = source[Symbol.asyncIterator]();
  let chunks: Buffer[] = [];
  let available = 0;
  // Answers whether there are so many.
  const have = async (bytes: number): Promise<boolean> => {
    for (;;) {
      if (available >= bytes) return true;
      const next = await iterator.next();
      if (next.done === true) return false;
      chunks.push(next.value);
      available += next.value.length;
    }
  };
  return {
    async take(bytes) {
      if (!(await have(bytes))) throw early();
      const all = chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks);
      chunks = [all.subarray(bytes)];
      available -= bytes;
      return all.subarray(0, bytes);
    },
    async *rest() {
      yield* chunks;
      chunks = [];
      for (;;) {
        const next = await iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    },
    ended: async () => !(await have(1)),
  };
}
