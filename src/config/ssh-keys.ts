// Ed25519 keys in OpenSSH's own forms, so that everybody has the tool that makes, shows and uses them: a private key as
// `ssh-keygen -t ed25519` writes it, a public one as it stands in `authorized_keys`. A key that does not belong to itself is
// found here and not when its first signature fails.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';
import { decodeArmour, encodeArmour, readSsh, sshNumber, sshString } from './ssh-wire.ts';

const keyType = 'ssh-ed25519';
const armourName = 'OPENSSH PRIVATE KEY';
const magic = Buffer.from('openssh-key-v1\0');

/** A public key. */
export interface PublicKey {
  /** As OpenSSH's formats hold it. */
  readonly blob: Buffer;
  /** `SHA256:…`, as `ssh-keygen -l` shows it. */
  readonly fingerprint: string;
  readonly comment: string;
}

/** A private key; its public half names it. */
export interface SigningKey {
  readonly publicKey: PublicKey;
  readonly privateKey: KeyObject;
}

/** Why a text is no key of the kind that is wanted. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
  readonly kind: 'not-a-key' | 'other-type' | 'passphrase' | 'private';

  constructor(kind: KeyError['kind']) {
    super(kind);
    this.kind = kind;
  }
}

/** A public key from its 32 bytes. */
function publicKeyOf(raw: Buffer, comment: string): PublicKey {
  const blob = Buffer.concat([sshString(keyType), sshString(raw)]);
  const hash = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
  return { blob, fingerprint: `SHA256:${hash}`, comment };
}

/** A public key from the blob in a signature or a line; undefined: it is of another type, or none. */
export function publicKeyFrom(blob: Buffer, comment = ''): PublicKey | undefined {
  try {
    const reader = readSsh(blob);
    if (reader.text() !== keyType) return undefined;
    const raw = reader.string();
    return raw.length === 32 && reader.rest().length === 0 ? publicKeyOf(raw, comment) : undefined;
  } catch {
    return undefined;
  }
}

/** The key as `node:crypto` takes it. */
export function toKeyObject({ blob }: Pick<PublicKey, 'blob'>): KeyObject {
  const x = blob.subarray(-32).toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}

/** The key on one line: `ssh-ed25519 AAAA… comment`. */
export function publicKeyLine({ blob, comment }: PublicKey): string {
  return `${keyType} ${blob.toString('base64')}${comment === '' ? '' : ` ${comment}`}`;
}

/**
 * A public key from such a line. What stands before it, as in an `allowed_signers` or `authorized_keys` file, is passed over.
 * Throws `KeyError`.
 */
export function parsePublicKeyLine(line: string): PublicKey {
  if (/PRIVATE KEY|AGE-SECRET-KEY/i.test(line)) throw new KeyError('private');
  const words = line.trim().split(/\s+/);
  const place = words.indexOf(keyType);
  if (place === -1)
    throw new KeyError(words.some((word) => /^(?:sk-)?(?:ssh|ecdsa)-/.test(word)) ? 'other-type' : 'not-a-key');
  const base64 = words[place + 1] ?? '';
  const blob = Buffer.from(base64, 'base64');
  const key = publicKeyFrom(blob, words.slice(place + 2).join(' '));
  if (key === undefined || blob.toString('base64') !== base64) throw new KeyError('not-a-key');
  return key;
}

/** A private key as `ssh-keygen` or `keygen` wrote it, without a passphrase. Throws `KeyError`. */
export function parsePrivateKey(text: string): SigningKey {
  const bytes = decodeArmour(text, armourName);
  if (bytes === undefined || !bytes.subarray(0, magic.length).equals(magic)) throw new KeyError('not-a-key');
  try {
    return readPrivateKey(bytes.subarray(magic.length));
  } catch (error) {
    throw error instanceof KeyError ? error : new KeyError('not-a-key');
  }
}

function readPrivateKey(bytes: Buffer): SigningKey {
  const file = readSsh(bytes);
  const [cipher, derivation] = [file.text(), file.text()];
  file.string();
  if (cipher !== 'none' || derivation !== 'none') throw new KeyError('passphrase');
  if (file.number() !== 1) throw new KeyError('not-a-key');
  const stated = file.string();
  const secret = readSsh(file.string());
  if (secret.number() !== secret.number()) throw new KeyError('not-a-key');
  if (secret.text() !== keyType) throw new KeyError('other-type');
  const raw = secret.string();
  const pair = secret.string();
  const comment = secret.string().toString('utf8');
  const publicKey = publicKeyOf(raw, comment);
  const [d, x] = [pair.subarray(0, 32).toString('base64url'), raw.toString('base64url')];
  const privateKey = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', d, x }, format: 'jwk' });
  const derived = createPublicKey(privateKey).export({ format: 'jwk' }).x;
  const isWhole = pair.length === 64 && pair.subarray(32).equals(raw) && derived === x;
  if (!isWhole || !publicKey.blob.equals(stated)) throw new KeyError('not-a-key');
  return { publicKey, privateKey };
}

/** A new key: the text of its file, which `ssh-keygen` takes too, and its public half. */
export function createSigningKey(comment: string): { readonly file: string; readonly publicKey: PublicKey } {
  const pair = generateKeyPairSync('ed25519');
  const { d = '', x = '' } = pair.privateKey.export({ format: 'jwk' });
  const [seed, raw] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')];
  const publicKey = publicKeyOf(raw, comment);
  const check = randomBytes(4);
  const secret = Buffer.concat([
    check,
    check,
    sshString(keyType),
    sshString(raw),
    sshString(Buffer.concat([seed, raw])),
    sshString(comment),
  ]);
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1));
  const file = Buffer.concat([
    magic,
    sshString('none'),
    sshString('none'),
    sshString(''),
    sshNumber(1),
    sshString(publicKey.blob),
    sshString(Buffer.concat([secret, padding])),
  ]);
  return { file: encodeArmour(file, armourName), publicKey };
}
