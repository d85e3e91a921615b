// One stream to several destinations at the pace of the slowest. A branch that fails or is cut off is left behind and the
// others go on; only when none is left does the stream itself fail. Without this a hung disk would cost the R2 copy too.

import { PassThrough, Writable } from 'node:stream';

/** One of the destinations a stream is copied to. */
export interface Branch {
  /** What the destination reads. Ends only when the source has ended well; is destroyed with the error otherwise. */
  readonly body: PassThrough;
  /** Aborts when the source has failed, with its error: a destination that hangs never sees what becomes of its body. */
  readonly abandoned: AbortSignal;
  /** True while the source waits for this branch to take bytes. */
  blocks(): boolean;
  /** Stops feeding this branch and destroys its body with the error; the first reason wins. */
  cutOff(error: Error): void;
}

/** A writable that copies every chunk to all branches. */
export interface FanOut {
  readonly stream: Writable;
  readonly branches: readonly Branch[];
}

/** A fan-out with `count` branches. */
export function createFanOut(count: number): FanOut {
  const branches = Array.from({ length: count }, () => createBranch());
  const live = (): readonly OpenBranch[] => branches.filter((branch) => branch.failure() === undefined);
  const firstFailure = (): Error => branches[0]?.failure() ?? new Error('A fan-out needs at least one branch');
  const stream = new Writable({
    highWaterMark: 1024 * 1024,
    write(chunk: Buffer, _encoding, callback) {
      Promise.all(live().map(async (branch) => branch.write(chunk))).then(
        () => callback(live().length === 0 ? firstFailure() : null),
        callback,
      );
    },
    final(callback) {
      for (const branch of live()) branch.body.end();
      callback(live().length === 0 ? firstFailure() : null);
    },
    destroy(error, callback) {
      if (error !== null) for (const branch of live()) branch.abandon(error);
      callback(error);
    },
  });
  return { stream, branches };
}

interface OpenBranch extends Branch {
  failure(): Error | undefined;
  /** Cuts it off because there is nothing more to come. */
  abandon(error: Error): void;
  /** Resolves when the branch can take more, or has failed. */
  write(chunk: Buffer): Promise<void>;
}

function createBranch(): OpenBranch {
  let failure: Error | undefined;
  let blocked = false;
  let release: (() => void) | undefined;
  const body = new PassThrough({ highWaterMark: 1024 * 1024 });
  const abandoned = new AbortController();
  const fail = (error: Error): void => {
    failure ??= error;
    release?.();
  };
  body.on('error', fail);
  body.on('drain', () => release?.());
  // A reader that destroys the body without an error has left as well.
  body.on('close', () => {
    if (!body.writableFinished) fail(new Error('The destination stopped reading'));
  });
  const cutOff = (error: Error): void => {
    fail(error);
    body.destroy(error);
  };
  return {
    body,
    abandoned: abandoned.signal,
    blocks: () => blocked,
    failure: () => failure,
    cutOff,
    abandon(error) {
      abandoned.abort(error);
      cutOff(error);
    },
    async write(chunk) {
      if (body.write(chunk) || failure !== undefined) return;
      blocked = true;
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      release = undefined;
      blocked = false;
    },
  };
}
