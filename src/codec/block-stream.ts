// An .xz stream made of blocks that are compressed side by side, each with its sizes in its header, as several threads of xz write
// it. The event loop only cuts and joins, so that signals are heard and health is answered while a dump is compressed.

import { Transform } from 'node:stream';
import { createBlockEncoder } from './xz-block-encoder.ts';
import { joinXz, type SizedBlock } from './xz-blocks.ts';

/** What is handed on at a time, in bytes. */
const pieceBytes = 256 * 1024;

/** A compressing stream with blocks of `blockBytes`; in flight is one block more than there are threads. */
export function createEncodingStream(options: {
  readonly level: number;
  readonly threads: number;
  readonly blockBytes: number;
}): Transform {
  const { blockBytes } = options;
  const stop = new AbortController();
  const encoder = createBlockEncoder({ ...options, stop: stop.signal });
  const joining = joinXz();
  const inFlight: Promise<SizedBlock>[] = [];
  // Used again: the garbage collector would come around for them when there are three times as many.
  const spare: Buffer[] = [];
  let block: Buffer = Buffer.alloc(0);
  let filled = 0;

  const send = (): void => {
    if (filled === 0) return;
    const sent = block;
    const encoding = encoder.encode(sent.subarray(0, filled)).then((encoded) => {
      spare.push(sent);
      return encoded;
    });
    // Its failure is told when its turn has come, if it ever does.
    encoding.catch(() => undefined);
    inFlight.push(encoding);
    block = Buffer.alloc(0);
    filled = 0;
  };
  const hand = (stream: Transform, bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; at += pieceBytes) stream.push(bytes.subarray(at, at + pieceBytes));
  };
  const take = async (stream: Transform, { most }: { readonly most: number }): Promise<void> => {
    while (inFlight.length > most) {
      const encoding = inFlight.shift();
      if (encoding !== undefined) hand(stream, joining.add(await encoding));
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
      send();
      await take(stream, { most: options.threads });
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
        send();
        await take(this, { most: 0 });
        hand(this, joining.end());
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
