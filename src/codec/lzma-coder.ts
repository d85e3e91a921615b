// One coder of liblzma on one of Node's own threads, piece by piece, without lzma-native's wrapper: that puts pieces together again,
// looks at each byte in JavaScript for the end of a stream, and hands out what came of a piece in turns of the event loop.

import lzma from 'lzma-native';

/** lzma-native's stream without its wrapper. */
export interface NativeStream {
  /** Called with what came out; with a number when a piece is done; with null and perhaps an error at the end. */
  bufferHandler: (output: Buffer | null | undefined, processed: unknown, error: unknown) => void;
  setBufsize(bytes: number): void;
  streamEncoder_(filters: readonly { readonly id: string; readonly options: object }[], check: number): void;
  /** `memlimit` in bytes. */
  streamDecoder_(memlimit: number, flags: number): void;
  code(piece: Uint8Array | null, isAsynchronous: boolean): void;
  resetUnderlying(): void;
}

/** A coder that is told what to do by whoever opens it. */
export interface LzmaCoder {
  /** Takes a piece, or with null the end; what comes of it has been handed out then. Rejects with liblzma's error. */
  code(piece: Uint8Array | null): Promise<void>;
  /** Whether the end of a stream was come to, all checks of it right. */
  ended(): boolean;
  /** Frees it: hundreds of MiB that the garbage collector does not see. Nothing may be at work. */
  free(): void;
}

/**
 * What comes out at a time, in bytes. As much is set aside for each piece, and what is larger than 128 KiB would be asked of the
 * system and given back each time (mallopt(3), M_MMAP_THRESHOLD).
 */
const outputBytes = 64 * 1024;

const { Stream } = lzma as unknown as { readonly Stream: new () => NativeStream };

/** Opens a coder; `take` gets what comes out. */
export function openLzmaCoder({
  open,
  take,
}: {
  readonly open: (native: NativeStream) => void;
  readonly take: (output: Buffer) => void;
}): LzmaCoder {
  const native = new Stream();
  let failure: Error | undefined;
  let ended = false;
  let done = (): void => undefined;
  native.bufferHandler = (output, processed, error) => {
    if (error instanceof Error) failure = error;
    else if (typeof processed === 'number') done();
    else if (output === null) ended = true;
    else if (output !== undefined) take(output);
    if (failure !== undefined) done();
  };
  native.setBufsize(outputBytes);
  open(native);
  return {
    async code(piece) {
      await new Promise<void>((resolve) => {
        done = resolve;
        native.code(piece, true);
      });
      if (failure !== undefined) throw failure;
    },
    ended: () => ended,
    free: () => native.resetUnderlying(),
  };
}
