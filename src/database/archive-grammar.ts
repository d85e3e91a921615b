// The words of pg_dump's custom format, and how they are waited for: the format is read as plain sequential code, in which every
// `yield` waits for more bytes. A garbled length must not become a request for all memory.

import { plural } from '../text/table.ts';
import type { ByteQueue } from './archive-bytes.ts';
import { decoderOf, type DecodeText } from './text-encoding.ts';

/** The bytes are not a complete custom-format archive. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
}

/** A reading that yields where it needs more bytes. */
export type Steps<Result> = Generator<undefined, Result, undefined>;

// Far above any definition that somebody wrote, far below what a garbled length would ask for.
const maxStringBytes = 64 * 1024 * 1024;

/** So many bytes. */
export function* bytes(queue: ByteQueue, count: number): Steps<Buffer> {
  for (;;) {
    const taken = queue.take(count);
    if (taken !== undefined) return taken;
    yield;
  }
}

/** WriteInt of pg_backup_archiver.c: a sign byte, then the magnitude, least significant byte first. */
export function* integer(queue: ByteQueue, integerBytes: number): Steps<number> {
  const raw = yield* bytes(queue, 1 + integerBytes);
  const magnitude = raw.readUInt32LE(1);
  return raw[0] === 0 ? magnitude : -magnitude;
}

/** WriteStr of pg_backup_archiver.c: a length, -1 for NULL, then the bytes. */
export function* text(
  queue: ByteQueue,
  { integerBytes, decode = decoderOf('UTF8') }: { readonly integerBytes: number; readonly decode?: DecodeText },
): Steps<string | null> {
  const length = yield* integer(queue, integerBytes);
  if (length < 0) return null;
  if (length > maxStringBytes)
    throw new ArchiveError(`String of ${plural(length, 'byte')} before byte ${queue.position()}`);
  return decode(yield* bytes(queue, length));
}
