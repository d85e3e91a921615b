// Keys for age, really parsed, so that a mistyped one is found now and not when a restore needs it. Keys of the wrong kind
// are told apart; a private key is never repeated.

import { createRequire } from 'node:module';
import type * as Age from 'age-encryption';
import { ValueError } from './problem.ts';

const recipientRemedy = "Write keys that start with 'age1', as age-keygen prints them, separated by commas or spaces";
const identityRemedy =
  "Write the line that starts with 'AGE-SECRET-KEY-', or name the file that age-keygen wrote in BACKUP_AGE_IDENTITY_FILE";

/** At least one. */
export type Some<Item> = readonly [Item, ...Item[]];

/** With which keys backups are written and read here. */
export type KeySettings = {
  /** BACKUP_ALLOW_PLAINTEXT: what is not encrypted may be stored after what is, and is taken like it. */
  readonly allowPlaintext: boolean;
} &
  /** Not encrypted; `identities` open what was encrypted before. */
  (
    | { readonly kind: 'plain'; readonly identities: readonly string[] }
    /** Encrypted, and nobody can open it on this machine. */
    | { readonly kind: 'locked'; readonly recipients: Some<string> }
    /** Encrypted, with private keys on this machine. */
    | { readonly kind: 'identities'; readonly recipients: Some<string>; readonly identities: Some<string> }
  );

/** The keys as they are meant together. */
export function toKeySettings(given: {
  readonly recipients: readonly string[];
  readonly identities: readonly string[];
  readonly allowPlaintext: boolean;
}): KeySettings {
  const [recipient, ...recipients] = given.recipients;
  const [identity, ...identities] = given.identities;
  const { allowPlaintext } = given;
  if (recipient === undefined) return { kind: 'plain', allowPlaintext, identities: given.identities };
  const some = [recipient, ...recipients] as const;
  if (identity === undefined) return { kind: 'locked', allowPlaintext, recipients: some };
  return { kind: 'identities', allowPlaintext, recipients: some, identities: [identity, ...identities] };
}

/** Whom backups are encrypted to; nobody when they are not. */
export function recipientsOf(keys: KeySettings): readonly string[] {
  return keys.kind === 'plain' ? [] : keys.recipients;
}

/** The private keys on this machine. */
export function identitiesOf(keys: KeySettings): readonly string[] {
  return keys.kind === 'locked' ? [] : keys.identities;
}

/**
 * Whether only what is encrypted is taken for a backup here: nobody who encrypts, or who names a private key to open one with,
 * means a snapshot in the clear, which anybody who may write the bucket can have put there.
 */
export function wantsEncrypted(
  keys: KeySettings,
  { identities = [] }: { readonly identities?: readonly string[] } = {},
): boolean {
  return !keys.allowPlaintext && (recipientsOf(keys).length > 0 || identities.length > 0);
}

/** Whether a recipient is of the post-quantum kind; age refuses to mix these with classic ones. */
export function isPostQuantum(recipient: string): boolean {
  return recipient.startsWith('age1pq1') || recipient.startsWith('age1tagpq1');
}

/**
 * age public keys, separated by commas or white space, without repetitions; lines that start with `#` are comments, as in
 * a recipients file. Throws `ValueError`.
 */
export function parseAgeRecipients(text: string): readonly string[] {
  if (/AGE-SECRET-KEY-|AGE-PLUGIN-/i.test(text)) {
    throw new ValueError('holds a private key', {
      remedy:
        "Write the public key, which starts with 'age1' (age-keygen -y prints it), and keep the private one elsewhere",
      hideValue: true,
    });
  }
  if (/PRIVATE KEY|AGE ENCRYPTED FILE/.test(text)) {
    throw new ValueError('not an age public key', { remedy: recipientRemedy, hideValue: true });
  }
  const words = withoutComments(text).flatMap((line) => line.split(/[\s,]+/).filter((word) => word !== ''));
  if (words.some((word) => word.startsWith('ssh-') || word.startsWith('ecdsa-'))) {
    throw new ValueError('an SSH key, which is not supported', {
      remedy: "Make a key of age's own with age-keygen and write the one that starts with 'age1'",
    });
  }
  const recipients = [...new Set(words)];
  if (recipients.length === 0) throw new ValueError('holds no key', { remedy: recipientRemedy });
  for (const [index, recipient] of recipients.entries()) {
    try {
      new (loadAge().Encrypter)().addRecipient(recipient);
    } catch {
      const which = recipients.length === 1 ? 'it' : `key ${index + 1} of ${recipients.length}`;
      throw new ValueError(`${which} is not an age public key, or was mistyped`, { remedy: recipientRemedy });
    }
  }
  if (recipients.some(isPostQuantum) && !recipients.every(isPostQuantum)) {
    throw new ValueError('mixes post-quantum (age1pq1…) and classic keys, which age refuses', {
      remedy: 'Write keys of one kind',
    });
  }
  return recipients;
}

/** age private keys: the content of an identity file, comments and empty lines allowed. Throws `ValueError`. */
export function parseAgeIdentity(text: string): readonly string[] {
  if (text.includes('AGE ENCRYPTED FILE')) {
    throw new ValueError('protected by a passphrase, which nobody can type here', {
      remedy: 'Decrypt it first (age -d), or leave the private key off this machine',
    });
  }
  const identities = withoutComments(text);
  if (identities.length === 0) throw new ValueError('holds no key', { remedy: identityRemedy });
  if (identities.some((line) => /^age1/i.test(line))) {
    throw new ValueError('a public key', {
      remedy: `${identityRemedy}; the public key goes into BACKUP_AGE_RECIPIENTS`,
    });
  }
  for (const identity of identities) {
    try {
      new (loadAge().Decrypter)().addIdentity(identity);
    } catch {
      throw new ValueError('not an age private key, or mistyped', { remedy: identityRemedy });
    }
  }
  return [...new Set(identities)];
}

// Who sets no key does not wait for it at every command; it is a fifth of what one loads.
function loadAge(): typeof Age {
  return createRequire(import.meta.url)('age-encryption') as typeof Age;
}

function withoutComments(text: string): readonly string[] {
  return text
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
