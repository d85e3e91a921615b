// age (age-encryption.org/v1) as streams, through typage. A run adds a key of its own to the
// recipients, with which it reads back what it stored, and forgets it: so a machine with only public keys can still
// prove that its backup decodes to the end.

import { Duplex } from 'node:stream';
import type { Decrypter, Encrypter } from 'age-encryption';
import { isPostQuantum } from '../config/age-keys.ts';
import { AppError } from '../errors.ts';

/**
 * What a header may have, in bytes, before the library is given it, which holds all of it several times and tries every stanza:
 * some 150 post-quantum recipients, or 2,500 others.
 */
const longestHeader = 256 * 1024;

/** A key pair that lives as long as one run. */
export interface OneRunKey {
  readonly identity: string;
  readonly recipient: string;
}

/** Makes a one-run key of the kind the recipients are: age refuses to mix post-quantum and classic recipients. */
export async function createOneRunKey(recipients: readonly string[]): Promise<OneRunKey> {
  const { generateHybridIdentity, generateX25519Identity, identityToRecipient } = await import('age-encryption');
  const postQuantum = recipients.length > 0 && recipients.every(isPostQuantum);
  const identity = postQuantum ? await generateHybridIdentity() : await generateX25519Identity();
  return { identity, recipient: await identityToRecipient(identity) };
}

/** A stream that encrypts to all recipients. */
export function createAgeEncrypter(recipients: readonly string[]): Duplex {
  return duplex(async (source) => (await encrypterTo(recipients)).encrypt(source));
}

/**
 * A stream that decrypts with whichever identity fits; fails with the reason `wrong-key` when none does, and on a flipped bit
 * and an early end.
 */
export function createAgeDecrypter(identities: readonly string[]): Duplex {
  return duplex(async (source) => (await decrypterWith(identities)).decrypt(source).catch(refuse), withBoundedHeader);
}

/** Encrypts a small document whole. */
export async function encryptDocument(content: Uint8Array, recipients: readonly string[]): Promise<Buffer> {
  return Buffer.from(await (await encrypterTo(recipients)).encrypt(content));
}

/** Decrypts a small document whole; rejects as `createAgeDecrypter` fails. */
export async function decryptDocument(content: Uint8Array, identities: readonly string[]): Promise<Buffer> {
  assertHeader(Buffer.from(content.buffer, content.byteOffset, content.length));
  return Buffer.from(await (await decrypterWith(identities)).decrypt(content).catch(refuse));
}

// The library is loaded when something is encrypted: most commands never need it.
async function encrypterTo(recipients: readonly string[]): Promise<Encrypter> {
  const { Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  return encrypter;
}

async function decrypterWith(identities: readonly string[]): Promise<Decrypter> {
  const { Decrypter } = await import('age-encryption');
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  return decrypter;
}

// The library has no error of its own for a key that does not fit; its words are read here and nowhere else. A person reads
// them after what could not be opened.
function refuse(error: unknown): never {
  if (!(error instanceof Error) || !error.message.startsWith('no identity matched')) throw error;
  throw new AppError('codec', error.message, {
    cause: error,
    reason: 'wrong-key',
    hint: 'Name the private key that belongs to its recipients with --identity.',
  });
}

// A header ends with the line of its MAC; until that line the bytes have to be held, here as in the library.
async function* withBoundedHeader(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let header: Buffer | null = Buffer.alloc(0);
  for await (const chunk of source) {
    if (header === null) {
      yield chunk;
      continue;
    }
    header = Buffer.concat([header, chunk]);
    if (!assertHeader(header)) continue;
    yield header;
    header = null;
  }
  if (header !== null && header.length > 0) yield header;
}

// Throws for what is too long to be one; answers whether it is there to its end.
function assertHeader(bytes: Buffer): boolean {
  const lastLine = bytes.indexOf('\n---');
  const end = lastLine === -1 ? -1 : bytes.indexOf('\n', lastLine + 1);
  if (end > longestHeader || (end === -1 && bytes.length > longestHeader))
    throw new AppError('codec', `The age header has more than ${longestHeader / 1024} KiB`, {
      reason: 'damaged-object',
      hint: 'Restore another snapshot, from the other destination if there are two; see them with: mastodon-backup list.',
    });
  return end !== -1;
}

type ByteTransform = (source: ReadableStream<Uint8Array>) => Promise<ReadableStream<Uint8Array>>;

function duplex(
  transform: ByteTransform,
  before: (source: AsyncIterable<Buffer>) => AsyncIterable<Buffer> = (source) => source,
): Duplex {
  return Duplex.from(async function* (source: AsyncIterable<Buffer>) {
    const encoded = await transform(ReadableStream.from<Uint8Array>(before(source)));
    for await (const chunk of encoded)
      if (chunk.length > 0) yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
  });
}
