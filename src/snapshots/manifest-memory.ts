// What was read of manifests, from one command to the next: ten thousand of them take a bucket minutes and a machine seconds, and
// none ever changes. It is believed of an object only where the listing shows the very object that was read (size, ETag and time, or
// what a file system says of a file), in a file that we alone can have written, for this store, these trusted keys and this version of
// the program. Whatever else it says counts as nothing, and is read again. Remembered is what counts and nothing else: what is
// unreadable, or nobody's who is trusted, may be mended tomorrow. What is to be deleted or restored is read once more all the same.

import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import * as v from 'valibot';
import type { SigningSettings } from '../config/signing-keys.ts';
import type { OwnFile } from '../state/own-file.ts';
import type { StoredObject } from '../storage/store.ts';
import { nextTurn } from '../stream/patience.ts';
import { counts, decodeDocument } from '../text/document.ts';
import { decodeManifest, type Manifest } from './manifest.ts';
import type { ParsedKey } from './object-keys.ts';
import { wantsSigned, type Origin } from './origin.ts';

/** What the object of a manifest turned out to be. */
export type ReadManifest =
  /** Without an objection it counts. */
  | ({ readonly kind: 'manifest'; readonly manifest: Manifest } & Origin)
  | { readonly kind: 'unreadable'; readonly reason: string };

/** A manifest that a listing shows. */
export interface ListedManifest {
  readonly parsed: Pick<ParsedKey, 'id' | 'folder'>;
  readonly stored: StoredObject;
  /** Null: there is none, or nobody asks. */
  readonly signature: StoredObject | null;
}

/** What is remembered of one store. */
export interface Recollection {
  /** What was read of this object, if it is the very same; null: that is not remembered. */
  find(listed: ListedManifest): ReadManifest | null;
}

/** The memory of one store. Nothing of it ever rejects. */
export interface ManifestMemory {
  recall(): Promise<Recollection>;
  keep(known: readonly (ListedManifest & { readonly read: ReadManifest })[]): Promise<void>;
  /** Believes nothing of it any more; later commands may. */
  doubt(): void;
  /** The same, and leaves nothing to later commands. */
  forget(): Promise<void>;
}

/** All that is remembered of a store, in bytes of JSON: some 12,000 manifests of a Mastodon. Beyond, the oldest are left out. */
const mostBytes = 64 * 1024 * 1024;
/** The file's format; another one counts as not there. */
const format = 2;
/** So many are packed before others have their turn. */
const atOnce = 256;
const lineFeed = 0x0a;
const tab = 0x09;

const head = v.strictTuple([v.string(), v.string(), v.nullable(v.string()), v.nullable(v.number())]);

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** What stands for everything that decides whether a manifest counts, but for the manifest. */
interface Subject {
  /** The store's own words for itself. */
  readonly place: string;
  readonly prefix: string;
  readonly trusted: SigningSettings['trusted'];
  /** Of the program: another one may judge otherwise. */
  readonly version: string;
}

/** The memory of the store that `subject` names, in `file`. */
export function createManifestMemory(subject: Subject, file: OwnFile): ManifestMemory {
  const title = JSON.stringify({
    format,
    place: subject.place,
    prefix: subject.prefix,
    trusted: subject.trusted.map(({ blob }) => blob.toString('base64')),
    version: subject.version,
  });
  let isDoubted = false;
  return {
    async recall() {
      const lines = isDoubted ? nothing : await unpack(file, title);
      return { find: (listed) => findIn(lines, { ...subject, listed }) };
    },
    async keep(known) {
      const packed = await pack(title, { ...subject, known }).catch(() => Buffer.alloc(0));
      await file.replace(packed);
    },
    doubt() {
      isDoubted = true;
    },
    async forget() {
      isDoubted = true;
      await file.replace(Buffer.alloc(0));
    },
  };
}

/** Whether a store says enough of an object that it can be known again. */
export function isRecognizable({ stored, signature }: Omit<ListedManifest, 'parsed'>): boolean {
  return proofOf(stored) !== null && (signature === null || proofOf(signature) !== null);
}

interface Line {
  readonly proof: string;
  readonly signatureProof: string | null;
  readonly signerAt: number | null;
  /** JSON, in UTF-8, without the rows of the tables. */
  readonly manifest: Buffer;
  /** Those rows, as JSON. */
  readonly rows: Buffer;
}

// Everything that changes with what is in an object, as far as the store says it; null: it does not say enough.
function proofOf({ bytes, modifiedAt, etag, fileMark }: StoredObject): string | null {
  if (etag !== null) return `${bytes} ${modifiedAt.getTime()} ${etag}`;
  return fileMark === undefined ? null : `${bytes} ${fileMark}`;
}

const nothing: ReadonlyMap<string, Line> = new Map();

async function unpack(file: OwnFile, title: string): Promise<ReadonlyMap<string, Line>> {
  const lines = new Map<string, Line>();
  try {
    const packed = await file.read();
    if (packed === null || packed.length === 0) return nothing;
    // Its checksum tells damage. In one piece: of the room for it only what is filled is taken.
    const content = await decompress(packed, { maxOutputLength: mostBytes, chunkSize: mostBytes });
    let isTitle = true;
    for (let start = 0, end = 0; start < content.length; start = end + 1) {
      end = content.indexOf(lineFeed, start);
      if (end === -1) throw new Error('it ends in the middle of a line');
      const line = content.subarray(start, end);
      if (isTitle && line.toString() !== title) return nothing;
      if (!isTitle) {
        const first = line.indexOf(tab);
        const second = line.indexOf(tab, first + 1);
        const [key, proof, signatureProof, signerAt] = v.parse(head, JSON.parse(line.subarray(0, first).toString()));
        const manifest = line.subarray(first + 1, second);
        lines.set(key, { proof, signatureProof, signerAt, manifest, rows: line.subarray(second + 1) });
      }
      isTitle = false;
      if (lines.size % atOnce === 0) await nextTurn();
    }
    return lines;
  } catch {
    return nothing;
  }
}

function findIn(
  lines: ReadonlyMap<string, Line>,
  { listed, trusted }: Subject & { readonly listed: ListedManifest },
): ReadManifest | null {
  const { parsed, stored, signature } = listed;
  const line = lines.get(stored.key);
  if (line === undefined || line.proof !== proofOf(stored)) return null;
  const signer = line.signerAt === null ? null : (trusted[line.signerAt] ?? null);
  if (wantsSigned({ trusted })) {
    if (signer === null || signature === null || line.signatureProof !== proofOf(signature)) return null;
  } else if (signer !== null) return null;
  const decoded = decodeManifest(line.manifest);
  if (decoded.kind === 'unreadable') return null;
  if (decoded.manifest.id !== parsed.id || decoded.manifest.tier !== parsed.folder) return null;
  return { kind: 'manifest', manifest: withRows(decoded.manifest, line), objection: null, signer };
}

// Most commands want none of the rows, which are most of what is remembered: they are decoded for who asks for them. Rows that are
// none make another manifest than the one that is stored, which whoever restores or copies it finds out.
function withRows(manifest: Manifest, { rows }: Line): Manifest {
  let decoded: Manifest['database']['rows'] | undefined;
  Object.defineProperty(manifest.database, 'rows', {
    get: () => (decoded ??= decodeRows(rows)),
    enumerable: true,
  });
  return manifest;
}

function decodeRows(content: Buffer): Manifest['database']['rows'] {
  const decoded = decodeDocument(content, { schema: counts, format });
  return decoded.kind === 'read' ? decoded.document : {};
}

async function pack(
  title: string,
  { known, trusted }: Subject & { readonly known: Parameters<ManifestMemory['keep']>[0] },
): Promise<Buffer> {
  const lines = [Buffer.from(`${title}\n`)];
  let bytes = 0;
  // An id begins with its time: of too many the newest are remembered.
  const nameOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1);
  for (const { stored, signature, read } of known.toSorted((a, b) =>
    nameOf(a.stored.key) < nameOf(b.stored.key) ? 1 : -1,
  )) {
    if (read.kind !== 'manifest' || read.objection !== null) continue;
    const { signer } = read;
    const signerAt = signer === null ? null : trusted.findIndex(({ blob }) => blob.equals(signer.blob));
    const proofs = [proofOf(stored), signature === null ? null : proofOf(signature)];
    const { database } = read.manifest;
    // In the place where they were: two manifests are the same when their documents are.
    const light = { ...read.manifest, database: { ...database, rows: {} } };
    const line = Buffer.from(
      `${[[stored.key, ...proofs, signerAt], light, database.rows].map((one) => JSON.stringify(one)).join('\t')}\n`,
    );
    bytes += line.length;
    if (bytes > mostBytes - Buffer.byteLength(title) - 1) break;
    lines.push(line);
    if (lines.length % atOnce === 0) await nextTurn();
  }
  return compress(Buffer.concat(lines), {
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}
