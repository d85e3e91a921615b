// What travels beside a dump, encrypted once for all destinations to the same recipients and never stored in the clear. What a
// store gives back is decrypted before a manifest names it: what nobody can open would be found out only when the server is gone.

import { createHash } from 'node:crypto';
import { decryptDocument, encryptDocument, type OneRunKey } from '../codec/age.ts';
import { describeError } from '../errors.ts';
import { besideProblem, besideSuffixes, inItsWords } from '../snapshots/beside.ts';
import type { Part } from '../snapshots/manifest.ts';
import type { BesideKind } from '../snapshots/object-keys.ts';
import type { ReadOptions, StoredPart } from '../snapshots/part-reader.ts';
import { storeDocumentPart } from '../snapshots/parts.ts';

/** Something encrypted that lies beside the dump of one run. */
export interface Enclosure {
  readonly kind: BesideKind;
  readonly content: Buffer;
  readonly sha256: string;
  readonly plain: Buffer;
  /** Opens it: the run's own key, which is forgotten with the run. */
  readonly identity: string;
}

/** Encrypts it to the recipients and to the run itself. */
export async function enclose(
  plain: Buffer,
  options: { readonly kind: BesideKind; readonly recipients: readonly string[]; readonly oneRunKey: OneRunKey },
): Promise<Enclosure> {
  const { kind, oneRunKey } = options;
  const content = await encryptDocument(plain, [...options.recipients, oneRunKey.recipient]);
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { kind, content, sha256, plain, identity: oneRunKey.identity };
}

/** Stores it, reads it back and opens it. Returns what the manifest says of it. Throws AppError. */
export async function storeEnclosure(
  { repository, manifest }: Omit<StoredPart, 'part'>,
  { enclosure, ...options }: ReadOptions & { readonly enclosure: Enclosure },
): Promise<Part> {
  const part: Part = {
    kind: enclosure.kind,
    name: `${manifest.id}${besideSuffixes[enclosure.kind]}`,
    bytes: enclosure.content.length,
    sha256: enclosure.sha256,
    compression: 'none',
    encryption: 'age',
    partBytes: null,
    etag: null,
    // A hash of what a person chose, such as a password, would help to guess it.
    content: null,
  };
  const stored = { repository, manifest, part };
  const back = await storeDocumentPart(stored, { ...options, content: enclosure.content }).catch(inItsWords(stored));
  let opened: Buffer;
  try {
    opened = await decryptDocument(back, [enclosure.identity]);
  } catch (error) {
    throw besideProblem(stored, { text: `it cannot be decrypted: ${describeError(error)}`, cause: error });
  }
  if (!opened.equals(enclosure.plain))
    throw besideProblem(stored, { text: 'it decrypts to something else than was encrypted' });
  return part;
}
