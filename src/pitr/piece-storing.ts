// Stores a piece of the log, or a history, where it belongs, and never over anything. What is there already is ours when it is the same
// log. What somebody else has put there does not keep ours out: a key may have another form, such as one without compression.

import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StoredForm } from '../snapshots/chain-keys.ts';
import { readAll } from '../snapshots/document-reading.ts';
import { wantsSigned } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import { assertWalSigned, signWal } from '../snapshots/wal-signature.ts';
import type { ObjectKey } from '../storage/store.ts';
import { decodeWhole, encodeWhole, formOf, type EncodingForm } from './encoding.ts';
import { isOfTheStore } from './object-problem.ts';

/** A form in which a piece may be stored. */
export interface Encoding {
  readonly form: StoredForm;
  /** Encoded once: encrypted again it would be other bytes, and a retry after a lost answer would find them taken. */
  readonly bytes: () => Promise<Buffer>;
}

/** A piece on its way into the store. */
export interface PieceToStore {
  /** Decoded. */
  readonly content: Buffer;
  readonly encodings: readonly Encoding[];
  readonly keyOf: (form: StoredForm) => ObjectKey;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Room for any history. */
const smallBytes = 64 * 1024;

/** The forms of a piece, the usual one first. */
export function encodingsOf(content: Buffer, form: EncodingForm): readonly Encoding[] {
  const forms: EncodingForm[] =
    form.compression.kind === 'none' ? [form] : [form, { ...form, compression: { kind: 'none' } }];
  return forms.map((one) => {
    let encoded: Promise<Buffer> | null = null;
    return { form: formOf(one), bytes: async () => (encoded ??= encodeWhole(content, one)) };
  });
}

/**
 * Stores it, unless it is there, and answers its key. Rejects with the reason `exists` where other log of ours is in its place, or
 * something of which that cannot be ruled out.
 */
export async function storePiece(repository: Repository, piece: PieceToStore): Promise<ObjectKey> {
  const { content, encodings, log, signal } = piece;
  let taken: unknown = new Error('There is no form to store it in');
  for (const encoding of encodings) {
    const key = piece.keyOf(encoding.form);
    const stored = await encoding.bytes();
    let isSigned = false;
    try {
      await signWal(repository, { key, content, signal });
      isSigned = true;
      await repository.store.putDocument(key, stored, { signal });
      return key;
    } catch (error) {
      if (reasonOf(error) !== 'exists') throw error;
      const found = await whatIsThere(repository, { ...piece, key, ...encoding, isSigned, bytes: stored.length });
      if (found === 'this') return key;
      if (found === 'other') throw error;
      taken = error;
      log.warn(
        { key, err: error },
        'What is there counts for nothing and stays: ours is stored beside it, in another form',
      );
    }
  }
  throw taken;
}

/** `this`: what was to be stored; `false`: nothing that counts; `other`: log of ours, or what cannot be told from it. */
async function whatIsThere(
  repository: Repository,
  options: Pick<PieceToStore, 'content' | 'signal'> & {
    readonly key: ObjectKey;
    readonly form: StoredForm;
    readonly bytes: number;
    /** Whether the signature beside it is that of what was to be stored. */
    readonly isSigned: boolean;
  },
): Promise<'this' | 'false' | 'other'> {
  const { key, form, content, isSigned, signal } = options;
  const { store, signing } = repository;
  const unlikeOurs = wantsSigned(signing) ? 'false' : 'other';
  const found = await store.head(key, { signal });
  if (found === null) return unlikeOurs;
  // Encrypted anew it is other bytes, and as many of them; what else it is cannot be seen here.
  if (form.encrypted) return !isSigned ? 'other' : found.bytes === options.bytes ? 'this' : unlikeOurs;
  try {
    // A history of another log may be longer.
    const maxBytes = Math.max(content.length, smallBytes);
    const stored = await readAll(await store.get(key, { signal }), { maxBytes: 2 * maxBytes });
    const decoded = await decodeWhole(stored, { name: key, form, identities: [], bytes: null, maxBytes });
    if (isSigned) return decoded.equals(content) ? 'this' : unlikeOurs;
    await assertWalSigned(repository, { key, content: decoded, signal });
    return 'other';
  } catch (error) {
    signal.throwIfAborted();
    if (isOfTheStore(error)) throw error;
    return unlikeOurs;
  }
}
