// Small documents, read whole: what should be one and never ends must not fill the memory.

import type { Readable } from 'node:stream';
import { AppError } from '../errors.ts';

/** Largest document that is read, in bytes; real ones have some 10 KiB. */
export const maxDocumentBytes = 1024 * 1024;

/** Reads a small object whole. Rejects with AppError `store` when it is larger than `maxBytes`, 1 MiB when it is not given. */
export async function readAll(
  body: Readable,
  { maxBytes = maxDocumentBytes }: { readonly maxBytes?: number } = {},
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxBytes)
      throw new AppError('store', `More than ${maxBytes} bytes came of what should be a small document`, {
        hint: 'Look at the object in the store; this program did not write it.',
      });
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}
