// A compressing stream whose content is cut into blocks that are compressed side by side and joined in their order. The event loop
// only cuts and joins, so that signals are heard and health is answered while a dump is compressed.

import { Transform } from 'node:stream';

/** What is handed on at a time, in bytes. */
const pieceBytes = 256 * 1024;
/** No smaller ones are cut. */
const smallestBytes = 1024 * 1024;

/** What becomes of a block, and how blocks become a stream. */
export interface BlockFormat<Encoded> {
  /** Rejects when compressing fails, and with the reason of `stop` when that has aborted. */
  encode(content: Uint8Array, stop: AbortSignal): Promise<Encoded>;
  /** Puts a stream together of blocks in their order. */
  readonly joining: { add(block: Encoded): readonly Buffer[]; end(): readonly Buffer[] };
}

/** A stream with blocks of `blockBytes`, at most `threads` of them at work; one more waits, one is held, and one is filled. */
export function createBlockStream<Encoded>(options: {
  readonly format: BlockFormat<Encoded>;
  readonly threads: number;
  readonly blockBytes: number;
}): Transform {
  const { format, blockBytes, threads } = options;
  const stop = new AbortController();
  const inTurn = createPlaces(threads);
  const inFlight: Promise<Encoded>[] = [];
  // Used again: the garbage collector would come around for them when there are three times as many.
  const spare: Buffer[] = [];
  /** A full one that waits until it is known that it is not the last. */
  let held: Buffer | undefined;
  let block: Buffer = Buffer.alloc(0);
  let filled = 0;

  const send = (content: Buffer): Promise<Encoded> => {
    const encoding = inTurn(async () => format.encode(content, stop.signal));
    // Its failure is told when its turn has come, if it ever does.
    encoding.catch(() => undefined);
    inFlight.push(encoding);
    return encoding;
  };
  const sendHeld = (): void => {
    const sent = held;
    held = undefined;
    if (sent === undefined) return;
    send(sent).then(
      () => void spare.push(sent),
      () => undefined,
    );
  };
  // In the time of the last block the other threads would have nothing to do: what is left is cut into smaller ones. A stream
  // of less than a block stays one.
  const sendRest = (): void => {
    const rest = held === undefined ? block.subarray(0, filled) : Buffer.concat([held, block.subarray(0, filled)]);
    const pieces = held === undefined ? 1 : Math.max(1, Math.min(2 * threads, Math.floor(rest.length / smallestBytes)));
    const bytes = Math.ceil(rest.length / pieces);
    held = undefined;
    block = Buffer.alloc(0);
    for (let at = 0; at < rest.length; at += bytes) void send(rest.subarray(at, at + bytes));
  };
  const hand = (stream: Transform, parts: readonly Buffer[]): void => {
    for (const bytes of parts)
      for (let at = 0; at < bytes.length; at += pieceBytes) stream.push(bytes.subarray(at, at + pieceBytes));
  };
  const take = async (stream: Transform, { most }: { readonly most: number }): Promise<void> => {
    while (inFlight.length > most) {
      const [oldest] = inFlight;
      if (oldest === undefined) return;
      const encoded = await oldest;
      void inFlight.shift();
      hand(stream, format.joining.add(encoded));
    }
  };
  const receive = async (stream: Transform, chunk: Buffer): Promise<void> => {
    for (let at = 0; at < chunk.length;) {
      // Of its own, not of a pool: it is as long in use as it takes to compress it.
      if (block.length === 0) block = spare.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
      const bytes = chunk.copy(block, filled, at);
      filled += bytes;
      at += bytes;
      if (filled < blockBytes) continue;
      sendHeld();
      held = block;
      block = Buffer.alloc(0);
      filled = 0;
      await take(stream, { most: threads });
    }
  };
  const settle = (work: Promise<unknown>, callback: (error?: Error | null) => void): void => {
    work.then(
      () => callback(),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
    );
  };
  const ended = async (): Promise<unknown> => Promise.allSettled(inFlight);
  return new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, callback) {
      settle(receive(this, chunk), callback);
    },
    flush(callback) {
      const finish = async (): Promise<void> => {
        sendRest();
        await take(this, { most: 0 });
        hand(this, format.joining.end());
      };
      settle(finish(), callback);
    },
    destroy(error, callback) {
      stop.abort(error ?? new Error('The compressing stream was closed'));
      held = undefined;
      block = Buffer.alloc(0);
      spare.length = 0;
      // They end with the piece that they are at, or leave it to its thread.
      settle(ended(), () => callback(error));
    },
  });
}

/** Has so much work done at once; whoever comes then waits for a place. */
function createPlaces(places: number): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let busy = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (busy >= places) await new Promise<void>((resolve) => waiting.push(resolve));
    else busy += 1;
    try {
      return await work();
    } finally {
      // Whoever is next takes the place over.
      const next = waiting.shift();
      if (next === undefined) busy -= 1;
      else next();
    }
  };
}
