// Whose a piece of the log is. What is signed is its name and the hash of what is in it, decoded: encrypted anew after a crash it is
// other bytes and the same log, and its signature is the same. Without it whoever may write the store could put log of their own
// behind our base, and it would be replayed.

import { createHash } from 'node:crypto';
import { AppError, reasonOf } from '../errors.ts';
import type { ObjectKey } from '../storage/store.ts';
import type { Log } from '../log.ts';
import { chainsPrefix } from './chain-keys.ts';
import { removeFalseSignature } from './deletion-law.ts';
import { describeObjection, readOrigin, signatureKey, wantsSigned, type Objection } from './origin.ts';
import type { Repository } from './repository.ts';
import { createSignature } from './sshsig.ts';

/** A piece of the log, or a history. */
export interface Piece {
  readonly key: ObjectKey;
  /** Decoded. */
  readonly content: Uint8Array;
}

/** A piece whose content is not kept. */
export interface Stated {
  readonly key: ObjectKey;
  /** What is signed of it. */
  readonly statement: Buffer;
}

/** What is signed: a line as `sha256sum` prints it, with the name of the object below `pitr/`. */
export function statementOf({ key, content }: Piece, { prefix }: Pick<Repository, 'prefix'>): Buffer {
  const name = key.slice(chainsPrefix(prefix).length);
  return Buffer.from(`${createHash('sha256').update(content).digest('hex')}  ${name}\n`);
}

/** Stores the signature of a piece, where somebody signs here; before the piece, which would count for nothing without. */
export async function signWal(
  repository: Repository,
  { signal, ...piece }: Piece & { readonly signal: AbortSignal },
): Promise<void> {
  const { store, signing } = repository;
  if (signing.key === null) return;
  const signature = Buffer.from(createSignature(statementOf(piece, repository), signing.key));
  try {
    await store.putDocument(signatureKey(piece.key), signature, { signal });
  } catch (error) {
    // One of ours by an earlier key is as good.
    if (reasonOf(error) !== 'exists') throw error;
    const objection = await objectionTo(repository, { ...piece, signal });
    if (objection === null) return;
    throw new AppError('store', `'${piece.key}' ${describeObjection(objection)}, and nothing is written over`, {
      cause: error,
      reason: 'exists',
      hint: 'Somebody else writes into this place: look at the object, and remove it and its signature by hand.',
    });
  }
}

/** Throws AppError `verify`, where only what is signed counts, for a piece that nobody trusted has signed by that name. */
export async function assertWalSigned(
  repository: Pick<Repository, 'store' | 'signing' | 'prefix'>,
  { signal, ...piece }: Piece & { readonly signal: AbortSignal },
): Promise<void> {
  if (!wantsSigned(repository.signing)) return;
  const objection = await objectionTo(repository, { ...piece, signal });
  if (objection === null) return;
  throw new AppError('verify', `'${piece.key}' ${describeObjection(objection)}: it is not what was stored here`, {
    reason: 'damaged-object',
    hint: 'Restore a moment before it, or a snapshot: mastodon-backup list. If you know that it is yours: --accept-unsigned.',
  });
}

/**
 * Signs what somebody vouches for. What stands in the place of a signature and is nobody's goes first; one that counts stays as it
 * is. Throws where it is somebody's who is not trusted.
 */
export async function signStatement(
  repository: Repository,
  { key, statement, log, signal }: Stated & { readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  const { store, signing } = repository;
  if (signing.key === null) throw new Error('There is no key to sign with');
  const objection = await readOrigin(repository, { key, content: statement, signal });
  if (objection === null) return;
  if (objection.kind !== 'unsigned') await removeFalseSignature(repository, { key, content: statement, log, signal });
  const signature = Buffer.from(createSignature(statement, signing.key));
  await store.putDocument(signatureKey(key), signature, { signal });
}

async function objectionTo(
  repository: Pick<Repository, 'store' | 'signing' | 'prefix'>,
  { signal, ...piece }: Piece & { readonly signal: AbortSignal },
): Promise<Objection | null> {
  return readOrigin(repository, { key: piece.key, content: statementOf(piece, repository), signal });
}
