// Pieces of the log as they are stored: small enough to be encoded and decoded in memory, whole.

import { Readable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { decoders, encoders, type Compression } from '../codec/codec.ts';
import { AppError, describeError, reasonOf } from '../errors.ts';
import type { StoredForm } from '../snapshots/chain-keys.ts';
import { plural } from '../text/table.ts';

/** How new objects are made. */
export interface EncodingForm {
  readonly compression: Compression;
  /** age recipients; none: not encrypted. */
  readonly recipients: readonly string[];
}

/** What the name of an object says of how it is made. */
export function formOf({ compression, recipients }: EncodingForm): StoredForm {
  return { compression: compression.kind, encrypted: recipients.length > 0 };
}

/**
 * How log and base backups are compressed, whatever dumps are: zstd at 3 takes a segment of 16 MiB in a tenth of a second where
 * xz at 0 takes eight, and a database at work writes several a second.
 */
export const chainCompression: Compression = { kind: 'zstd', level: 3, threads: 1 };

/** Encodes. */
export async function encodeWhole(bytes: Buffer, form: EncodingForm): Promise<Buffer> {
  const { compression, recipients } = form;
  const near = compression.kind === 'zstd' ? { ...compression, reach: 'near' as const } : compression;
  return through(bytes, encoders({ compression: near, recipients }));
}

// What is known to become `room` bytes is put where it belongs at once, and lies in memory only once.
async function through(bytes: Buffer, chain: readonly Duplex[], room = 0): Promise<Buffer> {
  const whole = Buffer.allocUnsafeSlow(room);
  let filled = 0;
  const beyond: Buffer[] = [];
  await pipeline([
    Readable.from([bytes]),
    ...chain,
    async (source: AsyncIterable<Buffer>) => {
      for await (const chunk of source) {
        const taken = chunk.copy(whole, filled);
        filled += taken;
        if (taken < chunk.length) beyond.push(chunk.subarray(taken));
      }
    },
  ]);
  return filled === room && beyond.length === 0 ? whole : Buffer.concat([whole.subarray(0, filled), ...beyond]);
}

/**
 * Decodes what should become exactly `bytes` bytes. Throws AppError `verify` with the reason `damaged-object` when it does not,
 * `wrong-key` when no identity opens it.
 */
export async function decodeWhole(
  stored: Buffer,
  options: {
    readonly name: string;
    readonly form: StoredForm;
    readonly identities: readonly string[];
    /** How many bytes it must become; null: whatever it does, up to `maxBytes`. */
    readonly bytes: number | null;
    readonly maxBytes: number;
  },
): Promise<Buffer> {
  const { name, form, identities, bytes, maxBytes } = options;
  let content: Buffer;
  const chain = decoders({
    compression: form.compression,
    identities: form.encrypted ? identities : null,
    threads: 1,
    limit: { bytes: maxBytes, excess: () => new Error(`more than ${maxBytes} bytes come out of it`) },
  });
  const problem = (text: string, cause?: unknown): AppError =>
    new AppError('verify', `'${name}' is damaged: ${text}`, {
      ...(cause === undefined ? {} : { cause }),
      reason: 'damaged-object',
      hint: 'Restore a moment before it, or make a new base with: mastodon-backup pitr base.',
    });
  try {
    // A name may say any number.
    content = await through(stored, chain, Math.min(bytes ?? 0, maxBytes));
  } catch (error) {
    if (reasonOf(error) === 'wrong-key') throw error;
    throw problem(describeError(error), error);
  }
  if (bytes !== null && content.length !== bytes)
    throw problem(`${plural(content.length, 'byte comes', 'bytes come')} out of it instead of ${bytes}`);
  return content;
}
