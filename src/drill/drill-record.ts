// What a drill found, as it is stored beside the snapshots: proof that a backup became a working database, or why not.

import { asFolder } from '../schedule/tier.ts';

/** The format this version writes and reads. */
export const drillFormat = 1;

/** How a drill ended. */
export type DrillStatus = 'passed' | 'failed' | 'incomplete' | 'skipped';

/** A stored drill. Times are ISO 8601 in UTC. */
export interface DrillDocument {
  readonly format: 1;
  readonly id: string;
  readonly instance: string;
  readonly tool: { readonly version: string };
  /** `<tier>/<id>`. */
  readonly snapshot: string;
  readonly dataAt: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly status: DrillStatus;
  /** From the first byte read to the database being whole, in milliseconds: the measured recovery time; null: not reached. */
  readonly durationMs: number | null;
  readonly serverVersion: string | null;
  readonly checks: readonly {
    readonly check: string;
    readonly status: 'ok' | 'failed' | 'note';
    readonly detail: string;
    readonly remedy: string | null;
  }[];
}

/** The document as it is stored. */
export function encodeDrill(document: DrillDocument): Buffer {
  return Buffer.from(`${JSON.stringify(document, null, 2)}\n`);
}

/** Reads a stored document; undefined when it cannot be read. Never throws. */
export function decodeDrill(content: Uint8Array): DrillDocument | undefined {
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content)) as Partial<DrillDocument>;
    const known =
      value.format === drillFormat &&
      typeof value.status === 'string' &&
      typeof value.snapshot === 'string' &&
      asFolder(value.snapshot.split('/')[0] ?? '') !== undefined &&
      !Number.isNaN(Date.parse(value.endedAt ?? '')) &&
      Array.isArray(value.checks);
    return known ? (value as DrillDocument) : undefined;
  } catch {
    return undefined;
  }
}
