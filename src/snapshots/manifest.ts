// The manifest, format 1: the document that makes a backup exist. Retention and restore act on what it says, so it is
// decoded by one schema; one that contradicts itself or names what is not its own is unreadable, and then protects what it
// names instead of speaking for it.

import * as v from 'valibot';
import { folders } from '../schedule/tier.ts';
import {
  byName,
  count,
  counts,
  decodeDocument,
  encodeDocument,
  instant,
  list,
  oneOf,
  record,
  sha256,
  text,
} from '../text/document.ts';
import { partSuffix, startOfId, type PartKind } from './object-keys.ts';

const dayMs = 86_400_000;
/** Clocks of two machines that differ by less than this are taken to say the same. */
export const clockToleranceMs = 5 * 60_000;

const hashed = { bytes: count, sha256 };

const part = record({
  /** `dump`, `secrets`, `extra`, or a kind that a newer version writes. */
  kind: text,
  /** The file beside the manifest: the snapshot's id and an ending. A folder that was copied elsewhere reads the same. */
  name: text,
  ...hashed,
  compression: oneOf('xz', 'zstd', 'none'),
  /** The library that compressed it and its version, such as `liblzma 5.8.1`; left out where nothing did, and of older dumps. */
  compressor: v.exactOptional(text),
  encryption: v.nullable(oneOf('age')),
  /** Size of its parts in the upload, in bytes; null where it was stored whole. */
  partBytes: v.nullable(count),
  etag: v.nullable(text),
  /** Before compression and encryption; null where its hash could help to guess what is in it. */
  content: v.nullable(record(hashed)),
});

const schema = v.pipe(
  record({
    format: v.literal(1),
    id: text,
    tier: oneOf(...folders),
    label: v.nullable(text),
    instance: text,
    /** The moment of the database snapshot; ages count from it. */
    dataAt: instant,
    /** The scheduled instant this run answers; null for one by hand. */
    slot: v.nullable(instant),
    committedAt: instant,
    tool: record({ version: text }),
    database: record({
      name: text,
      /** The role that Mastodon uses, for whom it is restored; left out where nobody knew. */
      role: v.exactOptional(text),
      systemIdentifier: v.nullable(text),
      serverVersion: text,
      clientVersion: text,
      sizeBytes: count,
      encoding: text,
      /** How text sorts and compares; all of it becomes words of SQL. */
      locale: record({
        /** LC_COLLATE. */
        collation: text,
        /** LC_CTYPE: which characters are letters, and their case. */
        ctype: text,
        /** PostgreSQL 14 has libc alone. */
        provider: oneOf('libc', 'icu', 'builtin'),
        /** The provider's own locale; null with libc. */
        name: v.nullable(text),
      }),
      /** In the order in which they were created, which is one in which they can be. */
      extensions: list(record({ name: text, version: text, schema: text })),
      /** Exact number of rows in the dump by `schema.table`. */
      rows: counts,
      /** Tables of `rows` that have none and had some in the snapshot before; left out: there are none. */
      emptied: v.exactOptional(list(text)),
      /** What was so in the source already, such as an invalid index. */
      oddities: list(record({ kind: text, name: text, detail: text })),
    }),
    mastodon: v.nullable(
      record({
        schemaVersion: text,
        release: v.nullable(text),
        /** The image that it ran from; left out: nobody has said. */
        image: v.exactOptional(text),
      }),
    ),
    parts: list(part),
    /** HMAC-SHA-256 under the snapshot's id, 64 bits, of Mastodon's secrets; see `mastodon/secret-fingerprints.ts`. */
    secrets: v.nullable(record({ fingerprints: byName(text) })),
    /** What was looked at before the backup counted: the whole object, its ETag, or its size alone. */
    verified: record({ method: oneOf('full', 'etag', 'size'), at: instant }),
    /** `<tier>/<id>` of the snapshot it is a copy of. */
    copiedFrom: v.nullable(text),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    const reason = dataset.typed ? findContradiction(dataset.value) : null;
    if (reason !== null) addIssue({ message: reason });
  }),
);

/** A committed backup. Sizes are bytes, hashes SHA-256 in hexadecimal. */
export interface Manifest extends v.InferOutput<typeof schema> {}
/** An object that belongs to a snapshot. */
export interface Part extends v.InferOutput<typeof part> {}
/** What was looked at before the backup counted. */
export type VerificationMethod = Manifest['verified']['method'];

/** The manifest as it is stored. */
export const encodeManifest: (manifest: Manifest) => Buffer = encodeDocument;

/** What a stored document turned out to be. */
export type DecodedManifest =
  { readonly kind: 'manifest'; readonly manifest: Manifest } | { readonly kind: 'unreadable'; readonly reason: string };

/** Reads a stored document; never throws. */
export function decodeManifest(content: Uint8Array): DecodedManifest {
  const decoded = decodeDocument<Manifest>(content, { schema, format: 1 });
  return decoded.kind === 'read' ? { kind: 'manifest', manifest: decoded.document } : decoded;
}

function findContradiction({ id, parts, dataAt, slot, committedAt }: Manifest): string | null {
  const startedAt = startOfId(id);
  if (startedAt === undefined) return 'names itself by what is no id of a snapshot';
  if (Math.abs(committedAt.getTime() - startedAt.getTime()) > 2 * dayMs)
    return 'was committed more than two days from the time in its id';
  const end = committedAt.getTime() + clockToleranceMs;
  if (dataAt.getTime() > end) return 'has data from after it was committed';
  if (slot !== null && slot.getTime() > end) return 'answers a slot that came after it was committed';
  // What a manifest names goes with it when it is pruned: it must not be able to name anything but its own.
  const stranger = parts.find((one) => partSuffix(one, id) === undefined);
  if (stranger !== undefined) return `names '${stranger.name}', which is not its own`;
  if (new Set(parts.map(({ name }) => name)).size < parts.length) return 'names a part twice';
  const dumps = parts.filter(({ kind }) => kind === 'dump');
  if (dumps.length !== 1 || dumps[0]?.content === null) return 'does not name one dump with its size and hash';
  return null;
}

/** A part with the size and hash of what is in it. */
export type DumpPart = Part & { readonly content: NonNullable<Part['content']> };

/** The dump of a snapshot; there is always one. */
export function dumpOf(manifest: Pick<Manifest, 'parts'>): DumpPart {
  const dump = manifest.parts.find((one): one is DumpPart => one.kind === 'dump' && one.content !== null);
  if (dump === undefined) throw new Error('A manifest without a dump');
  return dump;
}

/** A part by its kind; undefined when the snapshot has none. */
export function partOf(manifest: Pick<Manifest, 'parts'>, kind: PartKind): Part | undefined {
  return manifest.parts.find((one) => one.kind === kind);
}

/** What people and other manifests call a snapshot: `<tier>/<id>`. */
export function snapshotName({ tier, id }: { readonly tier: string; readonly id: string }): string {
  return `${tier}/${id}`;
}
