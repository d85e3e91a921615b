// Detached signatures as `ssh-keygen -Y sign` makes and `ssh-keygen -Y verify` checks them (OpenSSH's PROTOCOL.sshsig): whoever
// restores has that tool already, and nobody has to believe this program.

import { createHash, sign, verify } from 'node:crypto';
import { publicKeyFrom, toKeyObject, type PublicKey, type SigningKey } from '../config/ssh-keys.ts';
import { decodeArmour, encodeArmour, readSsh, sshNumber, sshString } from '../config/ssh-wire.ts';

/** What a signature is for: one of a commit or a mail by the same key is none of a backup. */
const signatureNamespace = 'mastodon-backup';

const armourName = 'SSH SIGNATURE';
const magic = Buffer.from('SSHSIG');
const algorithm = 'ssh-ed25519';
const hashes: ReadonlySet<string> = new Set(['sha256', 'sha512']);

/** Signs exactly these bytes; the text is what `ssh-keygen -Y verify -s` takes. */
export function createSignature(content: Uint8Array, { publicKey, privateKey }: SigningKey): string {
  const hash = 'sha512';
  const signature = sign(null, signedBytes(content, { reserved: Buffer.alloc(0), hash }), privateKey);
  const blob = Buffer.concat([
    magic,
    sshNumber(1),
    sshString(publicKey.blob),
    sshString(signatureNamespace),
    sshString(''),
    sshString(hash),
    sshString(Buffer.concat([sshString(algorithm), sshString(signature)])),
  ]);
  return encodeArmour(blob, armourName);
}

/** Whose signature of these bytes it is; null: it is nobody's, since it is garbled, of other bytes or for something else. */
export function readSigner(content: Uint8Array, signature: string): PublicKey | null {
  try {
    const bytes = decodeArmour(signature, armourName);
    if (bytes === undefined) return null;
    const reader = readSsh(bytes);
    if (!reader.raw(magic.length).equals(magic) || reader.number() !== 1) return null;
    const signer = publicKeyFrom(reader.string());
    const namespace = reader.text();
    const reserved = reader.string();
    const hash = reader.text();
    const signed = readSsh(reader.string());
    if (reader.rest().length > 0) return null;
    if (signer === undefined || namespace !== signatureNamespace || !hashes.has(hash)) return null;
    if (signed.text() !== algorithm) return null;
    const isRight = verify(null, signedBytes(content, { reserved, hash }), toKeyObject(signer), signed.string());
    return isRight ? signer : null;
  } catch {
    return null;
  }
}

function signedBytes(
  content: Uint8Array,
  { reserved, hash }: { readonly reserved: Buffer; readonly hash: string },
): Buffer {
  const digest = createHash(hash).update(content).digest();
  return Buffer.concat([magic, sshString(signatureNamespace), sshString(reserved), sshString(hash), sshString(digest)]);
}
