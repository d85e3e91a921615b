// A pass-through for what is read back: it fails when bytes are missing at the end and when none come for too long. A
// connection that dies in the middle otherwise looks like a shorter object, or like nothing at all.

import { Transform } from 'node:stream';
import { AppError } from '../errors.ts';
import { startStallClock } from '../stream/stall-clock.ts';
import { formatSpan } from '../text/format.ts';
import { plural } from '../text/table.ts';

const hint = 'Check the network to the store and try again.';

/** Fails unless exactly `bytes` bytes come, of which the first `leaveOut` are not passed on, and when nothing comes for `idleMs` while somebody reads. */
export function createBodyCheck(options: {
  readonly bytes: number;
  readonly leaveOut?: number;
  readonly idleMs: number;
  /** The start of the message, such as "'key' could not be read from bucket x". */
  readonly action: string;
}): Transform {
  const { leaveOut = 0 } = options;
  let seen = 0;
  const stream = new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, callback) {
      const rest = chunk.subarray(Math.max(0, leaveOut - seen));
      seen += chunk.length;
      clock.moved();
      callback(null, rest.length === 0 ? undefined : rest);
    },
    flush(callback) {
      callback(
        seen === options.bytes
          ? null
          : new AppError('store', `${options.action}: ${seen} of ${plural(options.bytes, 'byte')} came`, { hint }),
      );
    },
  });
  const clock = startStallClock({
    timeoutMs: options.idleMs,
    waiting: () => !stream.writableNeedDrain && !stream.writableFinished,
    onStall: () => {
      stream.destroy(
        new AppError('stalled', `${options.action}: no byte came for ${formatSpan(options.idleMs)}`, {
          hint,
        }),
      );
    },
  });
  stream.once('close', () => clock[Symbol.dispose]());
  // Who asked may leave before it reads, and an error that nobody hears ends the process; who reads is told all the same.
  stream.on('error', () => undefined);
  return stream;
}
