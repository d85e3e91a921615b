// A compressing stream whose content is cut into blocks that are compressed side by side and joined in their order. The event loop
// only cuts and joins, so that signals are heard and health is answered while a dump is compressed.

import { Transform } from 'node:stream';

/** What is handed on at a time, in bytes. */
const pieceBytes = 256 * 1024;
/** Less than this is not cut. */
const smallestBytes = 1024 * 1024;

/** What becomes of a block, and how blocks become a stream. */
export interface BlockFormat<Encoded> {
  /** Rejects when compressing fails, and with the reason of `stop` when that has aborted. */
  encode(content: Uint8Array, stop: AbortSignal): Promise<Encoded>;
  /** Puts a stream together of blocks in their order. */
  readonly joining: { add(block: Encoded): Buffer; end(): Buffer };
}

/** A stream with blocks of `blockBytes`, at most `threads` of them at work; in flight is one more. */
export function createBlockStream<Encoded>(options: {
  readonly format: BlockFormat<Encoded>;
  readonly threads: number;
  readonly blockBytes: number;
}): Transform {
  const { blockBytes, threads } = options;
  const { format } = options;
  const stop = new AbortController();
  const inTurn = createPlaces(threads);
  const inFlight: Promise<Encoded>[] = [];
  // Used again: the garbage collector would come around for them when there are three times as many.
  const spare: Buffer[] = [];
  let block: Buffer = Buffer.alloc(0);
  let filled = 0;

  const send = (content: Buffer): Promise<Encoded> => {
    const encoding = inTurn(async () => format.encode(content, stop.signal));
    // Its failure is told when its turn has come, if it ever does.
    encoding.catch(() => undefined);
    inFlight.push(encoding);
    return encoding;
  };
  const sendBlock = (): void => {
    const sent = block;
    send(sent).then(
      () => void spare.push(sent),
      () => undefined,
    );
    block = Buffer.alloc(0);
    filled = 0;
  };
  // What is left is cut once more: in the time of the last block the other threads would have nothing to do.
  const sendRest = (): void => {
    const bytes = Math.max(Math.ceil(filled / threads), smallestBytes);
    for (let at = 0; at < filled; at += bytes) void send(block.subarray(at, Math.min(at + bytes, filled)));
  };
  const hand = (stream: Transform, bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; at += pieceBytes) stream.push(bytes.subarray(at, at + pieceBytes));
  };
  const take = async (stream: Transform, { most }: { readonly most: number }): Promise<void> => {
    while (inFlight.length > most) {
      const encoding = inFlight.shift();
      if (encoding !== undefined) hand(stream, format.joining.add(await encoding));
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
      sendBlock();
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
      block = Buffer.alloc(0);
      // They end with the piece that they are at.
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
