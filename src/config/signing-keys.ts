// Whose backups count. A signing key and the public halves of others are really parsed, so that a mistyped one is found now;
// what a person mixes up (private and public, a passphrase, another type) is told apart, and a private key is never repeated.

import { ValueError } from './problem.ts';
import { KeyError, parsePrivateKey, parsePublicKeyLine, type PublicKey, type SigningKey } from './ssh-keys.ts';

const keyRemedy =
  'Make one with: mastodon-backup keygen --output signing_key, and name that file in BACKUP_SIGNING_KEY_FILE';
const signersRemedy =
  "Write public keys of the form 'ssh-ed25519 AAAA… name', as keygen and ssh-keygen -y print them, a line each";

/** Who signs here, and whose signatures count. */
export interface SigningSettings {
  /** Null: nothing is signed here. */
  readonly key: SigningKey | null;
  /** Its public half and those of BACKUP_TRUSTED_SIGNERS; empty: signatures are not looked at. */
  readonly trusted: readonly PublicKey[];
}

/** Nobody signs, and everything counts. */
export const noSigning: SigningSettings = { key: null, trusted: [] };

/** The keys as they are meant together. */
export function toSigningSettings(given: {
  readonly key: SigningKey | undefined;
  readonly others: readonly PublicKey[];
}): SigningSettings {
  const { key = null, others } = given;
  const own = key === null ? [] : [key.publicKey];
  const isOwn = ({ blob }: PublicKey): boolean => own.some((one) => one.blob.equals(blob));
  return { key, trusted: [...own, ...others.filter((one) => !isOwn(one))] };
}

/** A signing key: the content of the file that `keygen` or `ssh-keygen -t ed25519` wrote. Throws `ValueError`. */
export function parseSigningKey(text: string): SigningKey {
  if (/AGE-SECRET-KEY-/i.test(text))
    throw new ValueError("a private key of age's, which opens backups and signs none", { remedy: keyRemedy });
  if (/^\s*ssh-/.test(text))
    throw new ValueError('a public key', {
      remedy: `${keyRemedy}; the public half goes into BACKUP_TRUSTED_SIGNERS of other machines`,
    });
  try {
    return parsePrivateKey(text);
  } catch (error) {
    const kind = error instanceof KeyError ? error.kind : 'not-a-key';
    if (kind === 'passphrase')
      throw new ValueError('protected by a passphrase, which nobody can type here', {
        remedy: "Take it off with: ssh-keygen -p -N '' -f and the name of the file, or make another key with keygen",
      });
    if (kind === 'other-type') throw new ValueError('a key of another type than Ed25519', { remedy: keyRemedy });
    throw new ValueError('not an OpenSSH private key, or mistyped', { remedy: keyRemedy });
  }
}

/**
 * Public keys, a line each or separated by commas, without repetitions; lines that start with `#` are comments, as in an
 * `allowed_signers` file. Throws `ValueError`.
 */
export function parseTrustedSigners(text: string): readonly PublicKey[] {
  const lines = text
    .split(/[\r\n]+|,(?=\s*(?:sk-)?(?:ssh|ecdsa)-)/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0) throw new ValueError('holds no key', { remedy: signersRemedy });
  if (/PRIVATE KEY|AGE-SECRET-KEY-/i.test(text))
    throw new ValueError('holds a private key', {
      remedy: 'Write its public half (ssh-keygen -y -f and the name of the file), and keep the private one where it is',
      hideValue: true,
    });
  const keys = lines.map((line, index) => {
    try {
      return parsePublicKeyLine(line);
    } catch (error) {
      const which = lines.length === 1 ? 'it' : `key ${index + 1} of ${lines.length}`;
      const isOther = error instanceof KeyError && error.kind === 'other-type';
      throw new ValueError(
        isOther ? `${which} is of another type than ssh-ed25519` : `${which} is not a public key, or was mistyped`,
        { remedy: signersRemedy },
      );
    }
  });
  return keys.filter((key, index) => keys.findIndex(({ blob }) => blob.equals(key.blob)) === index);
}
