// Whose a stored document is. Where somebody is trusted by name, what has no signature of theirs counts for nothing: anybody who
// may write the store can have put it there. A signature is of the exact bytes, which name the document they belong to.

import type { SigningSettings } from '../config/signing-keys.ts';
import type { PublicKey } from '../config/ssh-keys.ts';
import { AppError } from '../errors.ts';
import type { ObjectKey, ObjectStore } from '../storage/store.ts';
import { readAll } from './document-reading.ts';
import { createSignature, readSigner } from './sshsig.ts';

/** Where signed documents are. */
interface SignedPlace {
  readonly store: ObjectStore;
  readonly signing: SigningSettings;
}

/** What stands behind a document's key in that of its signature. */
const signatureSuffix = '.sig';

/** Largest signature that is read; real ones have some 300 bytes. */
export const maxSignatureBytes = 16 * 1024;

/** The key of a document's signature. */
export function signatureKey(key: ObjectKey): ObjectKey {
  return `${key}${signatureSuffix}` as ObjectKey;
}

/** Whether only what somebody trusted has signed counts here. */
export function wantsSigned({ trusted }: Pick<SigningSettings, 'trusted'>): boolean {
  return trusted.length > 0;
}

/**
 * Throws AppError `settings` where signatures count and nothing can be signed: what was backed up there would count for nothing,
 * and be made again and again.
 */
export function assertSigning({ key, trusted }: SigningSettings): void {
  if (key !== null || trusted.length === 0) return;
  throw new AppError(
    'settings',
    'BACKUP_TRUSTED_SIGNERS is set, but not BACKUP_SIGNING_KEY: what is backed up here would count for nothing',
    { hint: 'Make a key with: mastodon-backup keygen --output signing_key, and name it in BACKUP_SIGNING_KEY_FILE.' },
  );
}

/** Why a document is nobody's who is trusted: without a signature, with somebody else's, or with one that is not its own. */
export type Objection =
  | { readonly kind: 'unsigned' }
  /** `signer` is a fingerprint, as `ssh-keygen -l` shows it. */
  | { readonly kind: 'stranger'; readonly signer: string }
  | { readonly kind: 'false' };

/** An objection in words that follow "it". */
export function describeObjection(objection: Objection): string {
  switch (objection.kind) {
    case 'unsigned':
      return 'is not signed';
    case 'stranger':
      return `is signed by ${objection.signer}, which is not trusted here`;
    case 'false':
      return 'has a signature that is not its own';
    default:
      return objection satisfies never;
  }
}

/** Where a document is from, as far as it can be told. */
export interface Origin {
  /** What speaks against it; null: nothing does, or nobody is asked for. */
  readonly objection: Objection | null;
  /** Whoever is trusted and signed it, as they are named here; null: nobody, or nobody is asked for. */
  readonly signer: PublicKey | null;
}

/** Judges a document with these bytes and this signature. `signature` null: there is none. */
export function judgeOrigin(
  content: Uint8Array,
  { signature, trusted }: { readonly signature: Uint8Array | null } & Pick<SigningSettings, 'trusted'>,
): Origin {
  if (!wantsSigned({ trusted })) return { objection: null, signer: null };
  if (signature === null) return { objection: { kind: 'unsigned' }, signer: null };
  const found = readSigner(content, Buffer.from(signature).toString('latin1'));
  if (found === null) return { objection: { kind: 'false' }, signer: null };
  const signer = trusted.find(({ blob }) => blob.equals(found.blob)) ?? null;
  return { signer, objection: signer === null ? { kind: 'stranger', signer: found.fingerprint } : null };
}

/** Reads a document's signature. Rejects with AppError `store`, also when there is none. */
export async function readSignature(
  { store }: { readonly store: ObjectStore },
  { key, signal }: { readonly key: ObjectKey; readonly signal: AbortSignal },
): Promise<Buffer> {
  return readAll(await store.get(signatureKey(key), { signal }), { maxBytes: maxSignatureBytes });
}

/** What speaks against a document that was read at `key`, as `judgeOrigin` says it. Rejects with AppError `store` when that cannot be asked. */
export async function readOrigin(
  repository: SignedPlace,
  { key, content, signal }: { readonly key: ObjectKey; readonly content: Uint8Array; readonly signal: AbortSignal },
): Promise<Objection | null> {
  const { store, signing } = repository;
  if (!wantsSigned(signing)) return null;
  const found = await store.head(signatureKey(key), { signal });
  if (found !== null && found.bytes > maxSignatureBytes) return { kind: 'false' };
  const signature = found === null ? null : await readSignature(repository, { key, signal });
  return judgeOrigin(content, { ...signing, signature }).objection;
}

/**
 * Stores the signature of a document that will be stored at `key`, where somebody signs here, and answers its size; null where
 * nobody does. Before the document itself: what is there without one would count for nothing.
 */
export async function storeSignature(
  { store, signing }: SignedPlace,
  { key, content, signal }: { readonly key: ObjectKey; readonly content: Uint8Array; readonly signal: AbortSignal },
): Promise<{ readonly bytes: number } | null> {
  if (signing.key === null) return null;
  const signature = Buffer.from(createSignature(content, signing.key));
  await store.putDocument(signatureKey(key), signature, { signal, retained: true });
  return { bytes: signature.length };
}
