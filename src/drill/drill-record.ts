// What a drill found, as it is stored beside the snapshots: proof that a backup became a working database, or why not.

import * as v from 'valibot';
import { asFolder } from '../schedule/tier.ts';
import { count, decodeDocument, encodeDocument, list, oneOf, record, text, time } from '../text/document.ts';

const schema = record({
  format: v.literal(1),
  id: text,
  instance: text,
  tool: record({ version: text }),
  /** `<tier>/<id>`. */
  snapshot: v.pipe(
    text,
    v.check((name) => asFolder(name.split('/')[0] ?? '') !== undefined, 'names no tier'),
  ),
  dataAt: time,
  startedAt: time,
  endedAt: time,
  status: oneOf('passed', 'failed', 'incomplete', 'skipped'),
  /** From the first byte read to the database being whole, in milliseconds: the measured recovery time; null: not reached. */
  durationMs: v.nullable(count),
  serverVersion: v.nullable(text),
  checks: list(record({ check: text, status: oneOf('ok', 'failed', 'note'), detail: text, remedy: v.nullable(text) })),
});

/** A stored drill. */
export interface DrillDocument extends v.InferOutput<typeof schema> {}
/** How a drill ended. */
export type DrillStatus = DrillDocument['status'];

/** The document as it is stored. */
export const encodeDrill: (document: DrillDocument) => Buffer = encodeDocument;

/** Reads a stored document; undefined when it cannot be read. Never throws. */
export function decodeDrill(content: Uint8Array): DrillDocument | undefined {
  const decoded = decodeDocument<DrillDocument>(content, { schema, format: 1 });
  return decoded.kind === 'read' ? decoded.document : undefined;
}
