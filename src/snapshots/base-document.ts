// The document of a base backup: written last, after its tar was read back and the log through its end is stored. Without it
// there is no base, whatever else is in the bucket.

import * as v from 'valibot';
import {
  count,
  decodeDocument,
  encodeDocument,
  instant,
  oneOf,
  record,
  sha256,
  text,
  type Decoded,
} from '../text/document.ts';
import { isSnapshotId } from './object-keys.ts';

/** The documents' format. */
const format = 1;
const lsn = v.pipe(text, v.regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/, 'is no position in the log'));

const schema = record({
  format: v.literal(format, 'is not known'),
  id: v.pipe(text, v.check(isSnapshotId, 'is no id')),
  instance: text,
  tool: record({ version: text }),
  systemIdentifier: v.pipe(text, v.regex(/^\d{1,20}$/, 'is no system identifier')),
  timeline: v.pipe(count, v.minValue(1, 'is no timeline')),
  startLsn: lsn,
  endLsn: lsn,
  /** Bytes in a segment of this server's log: PostgreSQL has powers of two from 1 MiB to 1 GiB. */
  segmentBytes: v.pipe(count, v.check(isSegmentSize, 'is no size of a segment')),
  /** The segment with which replaying begins. */
  startSegment: v.pipe(text, v.regex(/^[0-9A-F]{24}$/, 'is no segment')),
  /** By the server's clock. No moment before `endedAt` can be had from it. */
  startedAt: instant,
  endedAt: instant,
  server: record({
    major: v.pipe(count, v.minValue(10, 'is no version')),
    version: text,
    /** The role with the id 10, which every cluster has. */
    superuser: text,
    dataBytes: count,
  }),
  tar: record({
    name: text,
    bytes: count,
    sha256,
    compression: oneOf('xz', 'zstd', 'none'),
    encryption: v.nullable(oneOf('age')),
    content: record({ bytes: count, sha256 }),
  }),
  verified: record({ method: oneOf('full'), at: instant }),
});

function isSegmentSize(bytes: number): boolean {
  const megabytes = bytes / (1024 * 1024);
  return megabytes >= 1 && megabytes <= 1024 && Number.isInteger(Math.log2(megabytes));
}

/** A base backup. */
export interface BaseDocument extends v.InferOutput<typeof schema> {}

/** As it is stored. */
export const encodeBase: (document: BaseDocument) => Buffer = encodeDocument;

/** Reads one; never throws. */
export function decodeBase(content: Uint8Array): Decoded<BaseDocument> {
  const decoded = decodeDocument(content, { schema, format });
  if (decoded.kind === 'unreadable') return decoded;
  const { id, tar, startedAt, endedAt } = decoded.document;
  const no = (reason: string): Decoded<BaseDocument> => ({ kind: 'unreadable', reason });
  if (!tar.name.startsWith(`${id}.tar`) || tar.name.includes('/')) return no('tar.name is not of this base');
  if (endedAt < startedAt) return no('endedAt is before startedAt');
  return decoded;
}
